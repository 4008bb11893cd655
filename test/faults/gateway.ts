import { setTimeout as sleep } from 'node:timers/promises'
import BetterSqlite3 from 'better-sqlite3'
import { Client } from 'pg'
import { fileOf, stamp } from './dialect.ts'
import { randomOf } from './random.ts'
import { insertInto, subjectOf } from './subjects.ts'

/** What the gateway knows of its rows when it ends. */
export interface Journal {
  /** Every row that was written and acknowledged: its table, its mark, and when its time comes as it was last acknowledged. */
  readonly rows: readonly { readonly table: string; readonly mark: string; readonly due: string }[]
  readonly operations: number
  readonly longestMs: number
  /** What should not have happened to it. */
  readonly troubles: readonly string[]
}

interface Link {
  /** Answers with how many rows changed, or were read. */
  execute(sql: string, values: readonly string[]): Promise<number>
  /** Opens a transaction for writing. */
  readonly begin: string
  close(): Promise<void>
}

/** A gateway in small, in a process of its own: audits, logs people in, renews their sessions at the last moment, reads. Until it is told to stop. */
async function main([url = '', seed = '0']: readonly string[]): Promise<void> {
  const link = url.startsWith('sqlite:') ? sqlite(url) : await postgres(url)
  let stopping = false
  for (const event of ['message', 'disconnect']) process.once(event, () => (stopping = true))
  process.send?.('ready')
  const journal = await work(link, Number(seed), () => stopping)
  await link.close()
  if (process.connected) process.send?.(journal, () => process.disconnect())
}

async function work(link: Link, seed: number, stopping: () => boolean): Promise<Journal> {
  const random = randomOf(seed, 'gateway')
  const execute = (sql: string, values: readonly string[] = []): Promise<number> => link.execute(sql, values)
  const due = new Map<string, { table: string; at: number }>()
  const troubles: string[] = []
  let operations = 0
  let longestMs = 0
  let written = 0
  const write = async (table: string, at: number): Promise<void> => {
    const mark = `gw-${(written += 1)}`
    await execute(insertInto(subjectOf(table), '$1', '$2'), [mark, stamp(at)])
    due.set(mark, { table, at })
  }
  const logIn = async (): Promise<void> => {
    for (let session = 0; session < TOGETHER; session += 1) await write('sessions', Date.now() + random.whole(50, 2_500))
  }
  /** Within one transaction that takes its time: a purge may have chosen the rows before, and waits for them. */
  const renew = async (): Promise<void> => {
    const startedAt = Date.now()
    const near = [...due].filter(([, { table, at }]) => table === 'sessions' && at > startedAt - AFTER_MS && at < startedAt + BEFORE_MS)
    const renewed = new Map<string, number>()
    const missed: [mark: string, at: number][] = []
    await execute(link.begin)
    for (const [mark, row] of near.slice(-TOGETHER)) {
      const at = Date.now() + random.pick([random.whole(300, 2_000), 3_600_000])
      const changed = await execute('UPDATE sessions SET expires_at = $2 WHERE session_token = $1', [mark, stamp(at)])
      if (changed === 1) renewed.set(mark, at)
      else missed.push([mark, row.at])
    }
    // What was asked for in time may have been waited for too long: only what was answered in time counts.
    for (const [mark, at] of missed) if (at > Date.now()) troubles.push(`${mark} was renewed before its time, ${stamp(at)}, and was gone`)
    await sleep(random.whole(0, LONGEST_TRANSACTION_MS))
    await execute('COMMIT')
    for (const [mark, at] of renewed) due.set(mark, { table: 'sessions', at })
  }
  const actions = [
    () => write('audit_logs', Date.now()),
    logIn,
    () => write('policy_decisions', Date.now() + random.pick([random.whole(-100, 1_500), 3_600_000])),
    renew,
    renew,
    async () => void (await execute('SELECT count(*) FROM sessions')),
  ]
  for (; !stopping(); operations += 1) {
    const startedMs = performance.now()
    try {
      await random.pick(actions)()
    } catch (error) {
      troubles.push(`operation ${operations}: ${error instanceof Error ? error.message : String(error)}`)
    }
    longestMs = Math.max(longestMs, performance.now() - startedMs)
    await sleep(random.whole(2, 12))
  }
  const rows = [...due].map(([mark, { table, at }]) => ({ table, mark, due: stamp(at) }))
  return { rows, operations, longestMs: Math.round(longestMs), troubles }
}

const TOGETHER = 8
/** Around its end, and later as long as it is there, a session is renewed: that is where a purge could take it wrongly. */
const AFTER_MS = 1_500
const BEFORE_MS = 400
const LONGEST_TRANSACTION_MS = 20

/** Rows are what is looked at here; how long the gateway waits on a machine that does nothing else is for the benchmark to say. */
const PATIENCE_MS = 30_000

function sqlite(url: string): Link {
  const database = new BetterSqlite3(fileOf({ url }), { timeout: PATIENCE_MS })
  return {
    begin: 'BEGIN IMMEDIATE',
    execute: (sql, values) => {
      const statement = database.prepare(sql)
      const bound = values.length === 0 ? [] : [Object.fromEntries(values.map((value, at) => [at + 1, value]))]
      return Promise.resolve(statement.reader ? statement.all(...bound).length : statement.run(...bound).changes)
    },
    close: () => Promise.resolve(void database.close()),
  }
}

async function postgres(url: string): Promise<Link> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return {
    begin: 'BEGIN',
    execute: async (sql, values) => (await client.query(sql, [...values])).rowCount ?? 0,
    close: () => client.end(),
  }
}

if (process.send !== undefined) await main(process.argv.slice(2))
