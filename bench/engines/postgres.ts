import { Client } from 'pg'
import { startPostgres, type PostgresMajor } from '../../test/support/postgres-server.ts'
import { HISTORY_DAYS, postgresInsert, PROSE, RETENTION_MS, stored, type Spread } from '../audit-rows.ts'
import { partitioned } from '../../test/support/partitioned.ts'
import { DAY } from '../../src/time/clock.ts'
import { migrated } from './migrated.ts'
import { REDUNDANT_INDEX, WITHOUT_REDUNDANT_INDEX, type Copy, type CopyOptions, type Engine, type Indexes } from './engine.ts'

/** As somebody would run it: durable, and otherwise with the defaults. */
const SETTINGS = { fsync: 'on', full_page_writes: 'on', shared_buffers: '256MB', max_wal_size: '1GB', ssl: 'off' }

/** A separate server below `folder`, until it is disposed of. */
export async function postgresEngine(folder: string, major: PostgresMajor, progress: (step: string) => void): Promise<Engine> {
  const server = await startPostgres(major, { folder, settings: SETTINGS })
  const admin = await connected(server.url)
  const made = new Map<string, Promise<string>>()
  let copies = 0

  const urlOf = (name: string): string => Object.assign(new URL(server.url), { pathname: `/${name}` }).href
  const cloned = async (name: string, from: string): Promise<void> => {
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${from} STRATEGY file_copy`)
  }
  const template = (rows: number, indexes: Indexes): Promise<string> => {
    const name = `${indexes}_${rows}`
    const making = made.get(name) ?? (indexes === 'published' ? filled(name, rows) : without(name, rows))
    made.set(name, making)
    return making
  }
  const filled = async (name: string, rows: number): Promise<string> => {
    await using client = await empty(name, rows)
    await client.query(REDUNDANT_INDEX)
    await fill(client, rows, stored(Date.now()), {})
    return name
  }
  const empty = async (name: string, rows: number): Promise<Client & AsyncDisposable> => {
    progress(`making a database of ${rows.toLocaleString('en')} rows`)
    await admin.query(`CREATE DATABASE ${name}`)
    await migrated(urlOf(name))
    return await connected(urlOf(name))
  }
  const spreadOut = (rows: number, spread: NonNullable<CopyOptions['spread']>): Promise<string> => {
    const { days = HISTORY_DAYS, small = false, daily } = spread
    const name = `${daily ? 'daily' : 'plain'}_${rows}_${days}${small ? '_small' : ''}`
    const making = made.get(name) ?? spreadIn(name, rows, { days, small, daily })
    made.set(name, making)
    return making
  }
  const spreadIn = async (name: string, rows: number, spread: Required<NonNullable<CopyOptions['spread']>>): Promise<string> => {
    await using client = await empty(name, rows)
    const { days, daily } = spread
    if (daily)
      await partitioned(
        {
          url: urlOf(name),
          sql: async <Row>(text: string, values: readonly (string | number | null)[] = []) =>
            (await client.query(text, [...values])).rows as Row[],
          [Symbol.asyncDispose]: async () => {},
        },
        { boundDay: -days - 1, days: [-days - 1, DAYS_AHEAD] },
      )
    await fill(client, rows, stored(lastMidnight()), spread)
    // The first partition, which was the table before, went in an earlier night.
    if (daily) await dropFirst(client)
    return name
  }
  const without = async (name: string, rows: number): Promise<string> => {
    await cloned(name, await template(rows, 'published'))
    await using client = await connected(urlOf(name))
    await client.query(WITHOUT_REDUNDANT_INDEX)
    return name
  }

  return {
    name: 'postgres',
    version: `PostgreSQL ${(await admin.query<{ server_version: string }>('SHOW server_version')).rows[0]!.server_version}`,
    async copy(rows, { indexes = 'published', spread } = {}) {
      const from = await (spread === undefined ? template(rows, indexes) : spreadOut(rows, spread))
      const name = `copy_${(copies += 1)}`
      await cloned(name, from)
      // Every trial pays for full-page images, and for no checkpoint of earlier writes.
      await admin.query('CHECKPOINT')
      return copyAt(urlOf(name), rows, admin, () => admin.query(`DROP DATABASE ${name} WITH (FORCE)`))
    },
    async slowDisk(ms) {
      await delayCommits(admin, ms * 1_000, 0)
      return { [Symbol.asyncDispose]: () => delayCommits(admin, 0, 5) }
    },
    async [Symbol.asyncDispose]() {
      await admin.end()
      await server.stop()
    },
  }
}

/** Makes each commit that would flush the log wait first; with no siblings required, it waits whether or not others are about to commit. */
async function delayCommits(admin: Client, microseconds: number, siblings: number): Promise<void> {
  await admin.query(`ALTER SYSTEM SET commit_delay = ${microseconds}`)
  await admin.query(`ALTER SYSTEM SET commit_siblings = ${siblings}`)
  await admin.query('SELECT pg_reload_conf()')
}

async function fill(client: Client, rows: number, made: string, spread: Spread): Promise<void> {
  for (let n = 0; n < rows; n += ROWS_A_TRANSACTION)
    await client.query(postgresInsert(spread), [n, Math.min(n + ROWS_A_TRANSACTION, rows), rows, PROSE, made])
  await client.query('VACUUM ANALYZE')
}

/** The same for all databases of a run, also when it goes on beyond midnight. */
const MADE = Date.now()
const DAYS_AHEAD = 15

/** UTC. The rows of each day then fill one partition. */
export function lastMidnight(): number {
  return Math.floor(MADE / DAY) * DAY
}

const ROWS_A_TRANSACTION = 50_000

/** It has no rows: they are spread over the days behind it. */
async function dropFirst(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT c.oid::regclass::text AS name FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'audit_logs'::regclass AND pg_get_expr(c.relpartbound, c.oid) LIKE '%MINVALUE%'`,
  )
  for (const { name } of rows) await client.query(`ALTER TABLE audit_logs DETACH PARTITION ${name}; DROP TABLE ${name}`)
}

function copyAt(url: string, rows: number, admin: Client, drop: () => Promise<unknown>): Copy {
  return {
    url,
    rows,
    async walBytes() {
      const answer = await admin.query<{ bytes: string }>(`SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') AS bytes`)
      return Number(answer.rows[0]!.bytes)
    },
    async oldTransaction() {
      const client = await connected(url)
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1')
      return client
    },
    async deleteExpired() {
      await using client = await connected(url)
      await client.query('DELETE FROM audit_logs WHERE "timestamp" < $1', [stored(Date.now() - RETENTION_MS)])
      await client.query('VACUUM ANALYZE audit_logs')
      await client.query('CHECKPOINT')
    },
    async [Symbol.asyncDispose]() {
      await drop()
    },
  }
}

async function connected(url: string): Promise<Client & AsyncDisposable> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {}) // the failing query reports what broke the connection
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}
