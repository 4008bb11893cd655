import { Client } from 'pg'
import { applyMigrations } from '../runs/support.ts'
import type { TestDatabase } from '../support/engines.ts'
import { startPostgres, type PostgresMajor, type PostgresServer } from '../support/postgres-server.ts'
import { partition, partitioned } from '../support/partitioned.ts'
import { shapeOf } from '../support/schema-shape.ts'
import type { Way } from './process.ts'
import { STANDING } from './traffic.ts'

/** A server with what each kind of round to begin with. */
export interface Arena extends AsyncDisposable {
  /** Of the program that is killed. */
  readonly packageRoot: string
  readonly server: PostgresServer
  /** Of the plain table with its rows. */
  readonly shape: readonly string[]
  /** How many rows have to be read at any moment. */
  standing(way: Way): number
  readonly expired: number
  round(way: Way, name: string): Promise<TestDatabase>
}

const STANDING_ROWS = 200
/** Besides, in each of four tables that an undo empties. */
const STANDING_EACH = 100
const EXPIRED_ROWS = 3_000
const TEMPLATES: Readonly<Record<Way, string>> = { start: 'plain', undo: 'converted', drop: 'expiring' }

/** `rows`: how many the table has; the more, the longer the steps in which a command can be killed. */
export async function arenaOf(major: PostgresMajor, packageRoot: string, rows: number): Promise<Arena> {
  const server = await startPostgres(major, { settings: { max_connections: '40' } })
  const at = (name: string): string => Object.assign(new URL(server.url), { pathname: `/${name}` }).href
  const admin = (sql: string): Promise<unknown> => onConnection(server.url, (client) => client.query(sql))
  await admin('CREATE DATABASE plain')
  await applyMigrations(at('plain'))
  await onConnection(at('plain'), (client) => client.query(FILLED(rows)))
  const shape = await onConnection(at('plain'), (client) => shapeOf(outsideOf(at('plain'), client)))
  await admin('CREATE DATABASE converted TEMPLATE plain')
  await onConnection(at('converted'), async (client) => {
    const outside = outsideOf(at('converted'), client)
    await partitioned(outside, { boundDay: -2, days: [-2, 9] })
    await client.query(BEHIND)
  })
  await admin('CREATE DATABASE expiring TEMPLATE plain')
  await onConnection(at('expiring'), async (client) => {
    const outside = outsideOf(at('expiring'), client)
    await client.query('TRUNCATE audit_logs')
    await partitioned(outside, { boundDay: -97, days: [-97, -90] })
    for (let day = -6; day < 9; day += 1) await partition(outside, day)
    await client.query(FILLED(rows))
  })
  return {
    packageRoot,
    server,
    shape,
    standing: (way) => STANDING_ROWS + (way === 'undo' ? 4 * STANDING_EACH : 0),
    expired: EXPIRED_ROWS,
    async round(way, name) {
      await admin(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATES[way]}`)
      const url = at(name)
      await onConnection(url, (client) => client.query(NUMBERS_OF_ITS_OWN))
      return {
        url,
        // The server may have been killed since: a new connection each time.
        sql: <Row>(text: string, values: readonly (string | number | null)[] = []) =>
          onConnection(url, async (client) => (await client.query(text, [...values])).rows as Row[]),
        [Symbol.asyncDispose]: async () => void (await admin(`DROP DATABASE ${name} WITH (FORCE)`)),
      }
    },
    [Symbol.asyncDispose]: () => server.stop(),
  }
}

/**
 * A server logs a sequence's numbers 32 at a time, ahead. A database that is copied from another has the sequence as it stands, but not that log: after a crash
 * it would give the rest of the 32 a second time, which no gateway meets. Set anew, it logs its own.
 */
const NUMBERS_OF_ITS_OWN = `SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, last_value) FROM pg_sequences WHERE last_value IS NOT NULL`

/** Up to three days ago, so that a table that ends the day before yesterday has them; expired ones up to 93 days ago. */
const FILLED = (rows: number): string => `INSERT INTO audit_logs (tool_name, "user", action, status, parameters, "timestamp")
SELECT CASE WHEN n <= ${STANDING_ROWS} THEN 'standing' WHEN n <= ${STANDING_ROWS + EXPIRED_ROWS} THEN 'expired' ELSE 'filling' END, 'user' || n % 50, 'invoke',
  CASE WHEN n <= ${STANDING_ROWS} THEN '${STANDING}' ELSE 'success' END, repeat('x', 200),
  now() AT TIME ZONE 'UTC' - CASE WHEN n BETWEEN ${STANDING_ROWS + 1} AND ${STANDING_ROWS + EXPIRED_ROWS} THEN interval '98 days' ELSE interval '5 days' END
    + make_interval(secs => n % 3000 * 50)
FROM generate_series(1, ${rows}) AS n`

/** Rows of several partitions, and of DEFAULT: without a partition of their day, and at the end of time. */
const BEHIND = `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp")
SELECT 'behind', 'user', 'invoke', CASE WHEN n <= ${STANDING_EACH} THEN '${STANDING}' ELSE 'success' END, d FROM unnest(ARRAY[now() - interval '1 day', now(), now() + interval '2 days', now() + interval '40 days']) AS t (d), generate_series(1, 700) AS n
UNION ALL SELECT 'behind', 'user', 'invoke', 'success', d FROM unnest(ARRAY['infinity', '-infinity']::timestamp[]) AS t (d)`

/** Of all rows that were there from the beginning, one text: equal if every one of them is there once and unchanged. */
export function fingerprint(outside: TestDatabase): Promise<{ rows: number; sum: string }[]> {
  return outside.sql(
    `SELECT count(*)::int AS rows, md5(string_agg(a::text, '|' ORDER BY a.id, a::text)) AS sum FROM audit_logs AS a WHERE a."user" <> 'writer' AND a.tool_name <> 'expired'`,
  )
}

/** Those that a purge may delete. */
export async function expiredRows(outside: TestDatabase): Promise<{ readonly rows: number; readonly ids: number }> {
  const [row] = await outside.sql<{ rows: number; ids: number }>(
    `SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids FROM audit_logs WHERE tool_name = 'expired'`,
  )
  return row!
}

function outsideOf(url: string, client: Client): TestDatabase {
  return {
    url,
    sql: async <Row>(text: string, values: readonly (string | number | null)[] = []) =>
      (values.length === 0 ? await client.query(text) : await client.query(text, [...values])).rows as Row[],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

async function onConnection<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
