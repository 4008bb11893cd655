import { SECOND } from '../time/clock.ts'

/** The answer to a request. */
export interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
  /** What a browser may do with it; absent: nothing. */
  readonly securityPolicy?: string
}

/** How a path is answered. Answering only reads. */
export interface Route {
  readonly page: () => Page | Promise<Page>
  /** Whether it is answered regardless of the host that the request names. */
  readonly anyHost: boolean
  /** Whether it is made immediately and has a few bytes, so that answering every request afresh costs nothing. */
  readonly probe: boolean
}

export type Routes = Readonly<Record<string, Route>>

/** Says that the process is alive, or what it waits for. */
export function probe(page: () => Page): Route {
  return { page, anyHost: true, probe: true }
}

/** For a program that collects it, whatever host name it uses for this one. */
export function collected(page: () => Promise<Page>): Route {
  return { page, anyHost: true, probe: false }
}

/** For people and their browsers. */
export function shown(page: () => Promise<Page>): Route {
  return { page, anyHost: false, probe: false }
}

export function plain(status: number, line: string): Page {
  return { status, type: 'text/plain; charset=utf-8', body: `${line}\n` }
}

const SHARED_MS = SECOND / 10

/** One page answers all requests that arrive while it is made and shortly after: it is made at most ten times a second, however many requests there are. */
export function shared(make: () => Promise<Page>): () => Promise<Page> {
  let last: Promise<Page> | undefined
  const forget = (): void => void (last = undefined)
  return () => (last ??= make().finally(() => setTimeout(forget, SHARED_MS).unref()))
}
