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

type Execute = (sql: string, values: readonly string[]) => Promise<number>

/** A gateway in small, in a process of its own: audits, logs people in, renews their sessions at the last moment, reads. Until it is told to stop. */
async function main([url = '', seed = '0']: readonly string[]): Promise<void> {
  const { execute, close } = url.startsWith('sqlite:') ? sqlite(url) : await postgres(url)
  let stopping = false
  process.once('message', () => (stopping = true))
  process.send?.('ready')
  const journal = await work(execute, Number(seed), () => stopping)
  await close()
  process.send?.(journal, () => process.disconnect())
}

async function work(execute: Execute, seed: number, stopping: () => boolean): Promise<Journal> {
  const random = randomOf(seed, 'gateway')
  const due = new Map<string, { table: string; at: number }>()
  const troubles: string[] = []
  let operations = 0
  let longestMs = 0
  const write = async (table: string, at: number): Promise<void> => {
    const mark = `gw-${operations}`
    await execute(insertInto(subjectOf(table), '$1', '$2'), [mark, stamp(at)])
    due.set(mark, { table, at })
  }
  const renew = async (): Promise<void> => {
    const near = [...due].filter(([, { table, at }]) => table === 'sessions' && Math.abs(at - Date.now()) < NEAR_MS)
    if (near.length === 0) return
    const [mark, row] = random.pick(near)
    const alive = row.at > Date.now() + 5
    const at = Date.now() + random.pick([random.whole(100, 2_000), 3_600_000])
    const changed = await execute('UPDATE sessions SET expires_at = $2 WHERE session_token = $1', [mark, stamp(at)])
    if (changed === 1) due.set(mark, { table: 'sessions', at })
    // What was asked for in time may have been waited for too long: only what is answered in time counts.
    else if (alive && row.at > Date.now()) troubles.push(`${mark} was to be renewed before its time, ${stamp(row.at)}, and was gone`)
  }
  const actions = [
    () => write('audit_logs', Date.now()),
    () => write('sessions', Date.now() + random.whole(50, 2_500)),
    () => write('policy_decisions', Date.now() + random.pick([random.whole(-100, 1_500), 3_600_000])),
    renew,
    renew,
    async () => void (await execute('SELECT count(*) FROM sessions', [])),
  ]
  for (; !stopping(); operations += 1) {
    const startedMs = performance.now()
    try {
      await random.pick(actions)()
    } catch (error) {
      troubles.push(`operation ${operations}: ${error instanceof Error ? error.message : String(error)}`)
    }
    longestMs = Math.max(longestMs, performance.now() - startedMs)
    await new Promise((resolve) => setTimeout(resolve, random.whole(2, 12)))
  }
  const rows = [...due].map(([mark, { table, at }]) => ({ table, mark, due: stamp(at) }))
  return { rows, operations, longestMs: Math.round(longestMs), troubles }
}

/** Around its end a session is renewed: that is where a purge could take it wrongly. */
const NEAR_MS = 400

function sqlite(url: string): { execute: Execute; close: () => Promise<void> } {
  const database = new BetterSqlite3(fileOf({ url }), { timeout: 5_000 })
  return {
    execute: (sql, values) => {
      const statement = database.prepare(sql)
      const bound = values.length === 0 ? [] : [Object.fromEntries(values.map((value, at) => [at + 1, value]))]
      return Promise.resolve(statement.reader ? statement.all(...bound).length : statement.run(...bound).changes)
    },
    close: () => Promise.resolve(void database.close()),
  }
}

async function postgres(url: string): Promise<{ execute: Execute; close: () => Promise<void> }> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return {
    execute: async (sql, values) => (await client.query(sql, [...values])).rowCount ?? 0,
    close: () => client.end(),
  }
}

if (process.send !== undefined) await main(process.argv.slice(2))
