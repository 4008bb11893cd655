import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'

/** A statement that is prepared once a connection under its name, as the gateway's drivers do. */
export interface Prepared {
  readonly name: string
  readonly text: string
  /** Of its call number `n`. */
  readonly values: (n: number) => readonly (string | number | null)[]
}

/** One call, in milliseconds of the machine's monotonic clock. */
export interface Call {
  /** It begins later if the call before it took too long. */
  readonly dueMs: number
  readonly startedMs: number
  readonly endedMs: number
}

export interface Calls {
  readonly calls: readonly Call[]
  /** A sentence each. Nothing is tried again. */
  readonly errors: readonly string[]
}

export interface Written extends Calls {
  /** As the server returned them, in the order of the calls. */
  readonly ids: readonly number[]
}

export interface Traffic<Report> extends AsyncDisposable {
  /** Resolves once the call that is under way has ended. */
  end(): Promise<Report>
}

const FIXED = `'tool', 'user@example.org', 'invoke', 'success'`

/** As the gateway's drivers write it. */
export const INSERT: Prepared = {
  name: 'insert',
  text: `INSERT INTO audit_logs (tool_name, "user", action, status, parameters, "timestamp") VALUES (${FIXED}, $1, now() AT TIME ZONE 'UTC') RETURNING id`,
  values: (n) => [`{"call": ${n}}`],
}

/** As JDBC does when it is asked for generated keys: a column more or in another place, and the prepared statement fails. */
export const INSERT_RETURNING_ALL: Prepared = { ...INSERT, name: 'insert_all', text: INSERT.text.replace('RETURNING id', 'RETURNING *') }

/** A newest page and the view. */
export const READS: readonly Prepared[] = [
  { name: 'newest', text: 'SELECT * FROM audit_logs ORDER BY "timestamp" DESC LIMIT 20', values: () => [] },
  { name: 'recent', text: 'SELECT * FROM recent_audit_activity LIMIT 20', values: () => [] },
]

/** Milliseconds on the machine's monotonic clock, the same in every process. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Calls one statement at fixed moments, whether or not the call before it was slow. What it returns as `id` is kept. */
export async function startWriter(url: string, statement: Prepared, perSecond: number): Promise<Traffic<Written>> {
  const ids: number[] = []
  const traffic = await started(url, 1_000 / perSecond, async (client, n) => {
    const { rows } = await client.query<{ id: string | number }>({ ...statement, values: [...statement.values(n)] })
    ids.push(Number(rows[0]!.id))
  })
  return { ...traffic, end: async () => ({ ...(await traffic.end()), ids }) }
}

/** Calls each of the statements in turn. */
export function startReader(url: string, statements: readonly Prepared[], everyMs: number): Promise<Traffic<Calls>> {
  return started(url, everyMs, async (client, n) => {
    const statement = statements[n % statements.length]!
    await client.query({ ...statement, values: [...statement.values(n)] })
  })
}

async function started(url: string, everyMs: number, call: (client: Client, n: number) => Promise<void>): Promise<Traffic<Calls>> {
  const calls: Call[] = []
  const errors: string[] = []
  const client = new Client({ connectionString: url })
  client.on('error', (error) => void errors.push(`the connection broke: ${error.message}`))
  await client.connect()
  const ending = new AbortController()
  const work = (async () => {
    const firstMs = machineMs()
    for (let n = 0; !ending.signal.aborted; n += 1) {
      const dueMs = firstMs + n * everyMs
      const earlyMs = dueMs - machineMs()
      if (earlyMs > 0) await sleep(earlyMs)
      else await setImmediate() // lets the request to end in
      const startedMs = machineMs()
      try {
        await call(client, n)
      } catch (error) {
        errors.push(error instanceof Error ? error.message : String(error))
        // On a broken connection every further call fails.
        if (errors.length > MOST_ERRORS) break
      }
      calls.push({ dueMs, startedMs, endedMs: machineMs() })
    }
  })()
  const end = async (): Promise<Calls> => {
    ending.abort()
    await work
    await client.end()
    return { calls, errors }
  }
  let ended: Promise<Calls> | undefined
  const once = (): Promise<Calls> => (ended ??= end())
  return { end: once, [Symbol.asyncDispose]: async () => void (await once()) }
}

const MOST_ERRORS = 100

/** The longest call that overlaps the span, in ms; 0: there was none. */
export function worstMs(calls: readonly Call[], fromMs = -Infinity, toMs = Infinity): number {
  return Math.max(
    0,
    ...calls.filter((call) => call.endedMs >= fromMs && call.startedMs <= toMs).map((call) => call.endedMs - call.startedMs),
  )
}

/** Each greater than the one before it: none lost its place, none came twice. */
export function rise(ids: readonly number[]): boolean {
  return ids.every((id, at) => at === 0 || id > ids[at - 1]!)
}
