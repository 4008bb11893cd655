import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { codeOf } from '../../src/errors.ts'

export interface Written {
  /** What was certainly written, in the order of the calls. */
  readonly tokens: readonly string[]
  readonly ids: readonly number[]
  /** The server was lost before it answered: written or not. */
  readonly unknown: readonly string[]
}

export interface Running<Report> {
  end(): Promise<Report>
}

/** The status of the rows that are there from the beginning and must be read as often as they are, at any moment. */
export const STANDING = 'policy_violation'
const PAUSE_MS = 10
/** Of a server that was killed and is there again. */
const AGAIN_MS = 50

/** Writes rows one after the other, as the gateway does: most of them now, some stamped a few days ahead, which may be refused while a conversion is under way. */
export function startWriter(url: string): Running<Written> {
  const [tokens, unknown]: [string[], string[]] = [[], []]
  const ids: number[] = []
  const end = repeated(url, async (client, n) => {
    const token = `w-${n}`
    const isAhead = n % 5 === 4
    unknown.push(token)
    try {
      const { rows } = await client.query<{ id: string }>(
        `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp")
         VALUES ($1, 'writer', 'invoke', 'success', now() AT TIME ZONE 'UTC' + make_interval(days => $2)) RETURNING id`,
        [token, isAhead ? 3 : 0],
      )
      ids.push(Number(rows[0]!.id))
      tokens.push(token)
    } catch (error) {
      if (!isAhead || codeOf(error) !== CHECK_VIOLATION) throw error
    }
    unknown.pop()
  })
  return { end: async () => (await end(), { tokens, ids, unknown }) }
}

const CHECK_VIOLATION = '23514'

/** Counts the standing rows, in the table and in a view of it. Resolves to how often it looked, and to what it saw that must not be. */
export function startReader(url: string, standing: number): Running<{ readonly looks: number; readonly seen: readonly string[] }> {
  const seen = new Set<string>()
  let looks = 0
  const end = repeated(url, async (client, n) => {
    const from = n % 2 === 0 ? `audit_logs WHERE status = '${STANDING}'` : 'policy_violations'
    try {
      const { rows } = await client.query<{ rows: string; ids: string }>(`SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM ${from}`)
      const { rows: all, ids } = rows[0]!
      if (Number(all) !== standing || Number(ids) !== standing) seen.add(`${all} rows and ${ids} ids of ${standing} in ${from}`)
      looks += 1
    } catch (error) {
      if (/^(42|40)/.test(codeOf(error) ?? '')) seen.add(`${from}: ${String(error)}`)
      throw error
    }
  })
  return { end: async () => (await end(), { looks, seen: [...seen] }) }
}

/** Calls again and again, on a new connection where one was lost. Anything else than a loss ends the round as a failure. */
function repeated(url: string, call: (client: Client, n: number) => Promise<void>): () => Promise<void> {
  const ending = new AbortController()
  const work = (async () => {
    let n = 0
    while (!ending.signal.aborted) {
      const client = new Client({ connectionString: url })
      client.on('error', () => {})
      try {
        await client.connect()
        for (; !ending.signal.aborted;) {
          n += 1
          await call(client, n)
          await sleep(PAUSE_MS)
        }
      } catch (error) {
        const code = codeOf(error) ?? ''
        if (!/^(57P0|08|E)/.test(code) && !/Connection terminated|client has encountered/i.test(String(error))) throw error
        await sleep(AGAIN_MS)
      } finally {
        await client.end().catch(() => undefined)
      }
    }
  })()
  work.catch(() => undefined)
  return async () => {
    ending.abort()
    await work
  }
}
