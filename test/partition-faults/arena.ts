import { Client } from 'pg'
import { applyMigrations, opened } from '../runs/support.ts'
import type { TestDatabase } from '../support/engines.ts'
import { startPostgres, type PostgresMajor, type PostgresServer } from '../support/postgres-server.ts'
import { partitioned } from '../support/partitioned.ts'
import { shapeOf } from '../support/schema-shape.ts'
import { STANDING } from './traffic.ts'

export type Kind = 'start' | 'undo'

/** A server with a database for each kind of round to begin with. */
export interface Arena extends AsyncDisposable {
  readonly major: PostgresMajor
  readonly server: PostgresServer
  /** Of the plain table with its rows. */
  readonly shape: readonly string[]
  readonly standing: number
  round(kind: Kind, name: string): Promise<TestDatabase>
}

const STANDING_ROWS = 200

/** `rows`: how many the table has; the more, the longer the steps in which a command can be killed. */
export async function arenaOf(major: PostgresMajor, rows: number): Promise<Arena> {
  const server = await startPostgres(major, { settings: { max_connections: '40' } })
  const at = (name: string): string => Object.assign(new URL(server.url), { pathname: `/${name}` }).href
  const admin = (sql: string): Promise<unknown> => onConnection(server.url, (client) => client.query(sql))
  await admin('CREATE DATABASE plain')
  await applyMigrations(at('plain'))
  await onConnection(at('plain'), (client) => client.query(FILLED(rows)))
  const shape = await onConnection(at('plain'), (client) => shapeOf(outsideOf(at('plain'), client)))
  await admin('CREATE DATABASE converted TEMPLATE plain')
  await onConnection(at('converted'), async (client) => {
    await partitioned(outsideOf(at('converted'), client), { boundDay: -2, days: [-2, 9] })
    await client.query(BEHIND)
  })
  return {
    major,
    server,
    shape,
    standing: STANDING_ROWS,
    async round(kind, name) {
      await admin(`CREATE DATABASE ${name} TEMPLATE ${kind === 'start' ? 'plain' : 'converted'}`)
      const url = at(name)
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

/** From three days ago on, so that a table that ends the day before yesterday has them. */
const FILLED = (rows: number): string => `INSERT INTO audit_logs (tool_name, "user", action, status, parameters, "timestamp")
SELECT CASE WHEN n <= ${STANDING_ROWS} THEN 'standing' ELSE 'filling' END, 'user' || n % 50, 'invoke', CASE WHEN n <= ${STANDING_ROWS} THEN '${STANDING}' ELSE 'success' END,
  repeat('x', 200), now() AT TIME ZONE 'UTC' - interval '5 days' + make_interval(secs => n % 86400)
FROM generate_series(1, ${rows}) AS n`

/** Rows of several partitions, and of DEFAULT: without a partition of their day, and at the end of time. */
const BEHIND = `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp")
SELECT 'behind', 'user', 'invoke', 'success', d FROM unnest(ARRAY[now() - interval '1 day', now(), now() + interval '2 days', now() + interval '40 days']) AS t (d), generate_series(1, 700)
UNION ALL SELECT 'behind', 'user', 'invoke', 'success', d FROM unnest(ARRAY['infinity', '-infinity']::timestamp[]) AS t (d)`

/** Of all rows that were there from the beginning, one text: equal if every one of them is there once and unchanged. */
export function fingerprint(outside: TestDatabase): Promise<{ rows: number; sum: string }[]> {
  return outside.sql(
    `SELECT count(*)::int AS rows, md5(string_agg(a::text, '|' ORDER BY a.id, a::text)) AS sum FROM audit_logs AS a WHERE a."user" <> 'writer'`,
  )
}

export async function stateOf(url: string): Promise<string> {
  await using database = await opened(url)
  return (await database.partitions({ table: 'audit_logs', column: 'timestamp' })!.state()).kind
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
