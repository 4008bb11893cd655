import { ALL_MAJORS } from '../support/postgres-server.ts'
import { asked, ReplicatedPair } from '../support/standby.ts'
import type { TestDatabase, TestEngine } from '../support/engines.ts'
import { Proxy } from './proxy.ts'

/** A primary with its standby, and one address that leads to either of them: what the worker knows of both. */
export interface Replicated extends AsyncDisposable {
  readonly pair: ReplicatedPair
  readonly link: Proxy
  /** For the program by way of the address; what is asked from outside goes to the primary, whichever it is by then. */
  readonly database: TestDatabase
}

export async function replicated({ name }: TestEngine): Promise<Replicated> {
  const major = ALL_MAJORS.find((each) => name.endsWith(String(each)))!
  const pair = await ReplicatedPair.start(major)
  const link = await Proxy.open(pair.primaryUrl)
  const url = link.through(pair.primaryUrl)
  // The two have certificates of their own, or none: it is not what is tested here.
  url.searchParams.set('sslmode', 'disable')
  return {
    pair,
    link,
    database: {
      url: url.href,
      sql: <Row>(text: string, values: readonly (string | number | null)[] = []) => asked<Row>(pair.primaryUrl, text, values),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    },
    async [Symbol.asyncDispose]() {
      await link[Symbol.asyncDispose]()
      await pair[Symbol.asyncDispose]()
    },
  }
}
