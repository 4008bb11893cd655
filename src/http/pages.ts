import { SECOND } from '../time/clock.ts'

/** What a request is answered with. */
export interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
  /** What a browser may do with it; absent: nothing at all. */
  readonly securityPolicy?: string
}

/** What is answered at a path. It only reads. */
export interface Route {
  readonly page: () => Page | Promise<Page>
  /** Whether it is answered whatever host the request names. */
  readonly anyHost: boolean
  /** Whether it is made at once and of a few bytes, so that it costs nothing to answer it always and anew. */
  readonly probe: boolean
}

export type Routes = Readonly<Record<string, Route>>

/** Says that the process is there, or what it waits for. */
export function probe(page: () => Page): Route {
  return { page, anyHost: true, probe: true }
}

/** For a program that collects it, by whatever name it knows this one. */
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

/** What is made for one is given to all who ask meanwhile and shortly after: however many ask, it is made ten times a second at most. */
export function shared(make: () => Promise<Page>): () => Promise<Page> {
  let last: Promise<Page> | undefined
  const forget = (): void => void (last = undefined)
  return () => (last ??= make().finally(() => setTimeout(forget, SHARED_MS).unref()))
}
