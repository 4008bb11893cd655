import { DAY, type EpochMs } from '../../src/time/clock.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { partitioned } from '../support/partitioned.ts'
import { AUDIT_LOGS, migrated, type Fixture } from './support.ts'

/** Rows of a day, at every hour of it. */
export const A_DAY = 24
/** Of the retention of all runs here. */
export const DAYS = 5
/** Where the partition of the oldest rows ends, and each day behind it has its own. */
export const BOUND = -9
export const OLDEST = -12

export const POSTGRES = ENGINES.filter(({ name }) => name !== 'sqlite')

/** The beginning of a day, so many from today. */
export function dayAt(day: number): EpochMs {
  return (Math.floor(Date.now() / DAY) + day) * DAY
}

/** Rows of each day from `OLDEST` on, half of them Alice's. */
export async function filledWith(outside: TestDatabase): Promise<void> {
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp")
     SELECT 't', CASE n % 2 WHEN 0 THEN 'alice' ELSE 'bob' END, 'invoke', 'success', date_trunc('day', now() AT TIME ZONE 'UTC') + make_interval(days => d, hours => n)
     FROM generate_series($1::integer, 0) AS d, generate_series(0, ${A_DAY - 1}) AS n WHERE d < 0 OR n = 0`,
    [OLDEST],
  )
}

export const POLICY = { job: AUDIT_LOGS, retentionMs: DAYS * DAY } as const

export async function names(outside: TestDatabase): Promise<string[]> {
  const rows = await outside.sql<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'audit_logs'::regclass ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

export function partitionOf(day: number): string {
  return `audit_logs_p${new Date(dayAt(day)).toISOString().slice(0, 10).replaceAll('-', '')}`
}

export async function exists(outside: TestDatabase, table: string): Promise<boolean> {
  return (await outside.sql<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [table]))[0]!.there
}

export async function prepared(engine: (typeof POSTGRES)[number]): Promise<Fixture> {
  const fixture = await migrated(engine)
  await partitioned(fixture.outside, { boundDay: BOUND, days: [BOUND, 3] })
  await filledWith(fixture.outside)
  return fixture
}

/** Rows of a user before a time, as the gateway sees them. */
export async function rowsBefore(outside: TestDatabase, user: string, time = dayAt(-DAYS)): Promise<number> {
  const [row] = await outside.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs WHERE "user" = $1 AND "timestamp" < $2::timestamp', [
    user,
    new Date(time).toISOString().slice(0, -1),
  ])
  return row!.n
}
