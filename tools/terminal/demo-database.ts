import { expiredSessions } from '../../test/runs/support.ts'
import { command } from '../../test/support/command.ts'
import { ENGINES, sqliteDatabase, type TestDatabase } from '../../test/support/engines.ts'

export interface DemoDatabase extends TestDatabase {
  readonly folder: string
  /** Relative to the folder, as a gateway's default is. */
  readonly relativeUrl: string
}

/** Audit rows of one day after the other, as an office makes them. */
const ROWS_OF_DAYS = [4_210, 4_388, 4_105, 3_960, 3_871, 912, 640]
/** Far from the 90 days of the default on both sides, so that midnight may pass while the pictures are made. */
const EXPIRED_DAYS = { from: 92, to: 103 }
const KEPT_DAYS = { from: 40, to: 87 }

/** A file that the program has migrated and run on once; since then rows have expired. They are the same ones whenever it is made, but for their times. */
export async function demoDatabase(): Promise<DemoDatabase> {
  const database = await sqliteDatabase()
  const [engine] = ENGINES
  await command(['--run-now'], { env: { DATABASE_URL: database.url } })
  await database.sql(AUDIT_ROWS, [EXPIRED_DAYS.from, EXPIRED_DAYS.to, KEPT_DAYS.from, KEPT_DAYS.to])
  await database.sql(POLICY_DECISIONS, [1_862])
  await expiredSessions(database, engine!, 417)
  return { ...database, relativeUrl: 'sqlite:///gateway.db' }
}

/** `$1` to `$2` and `$3` to `$4` days ago, from 08:00 UTC on, a row every ten seconds. */
const AUDIT_ROWS = `
  WITH RECURSIVE
    days (day) AS (SELECT 0 UNION ALL SELECT day + 1 FROM days WHERE day < 120),
    numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${Math.max(...ROWS_OF_DAYS) - 1}),
    rows_of (weekday, rows) AS (VALUES ${ROWS_OF_DAYS.map((rows, weekday) => `(${weekday}, ${rows})`).join(', ')})
  INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
  SELECT 'search', 'ann', 'invoke', 'success', strftime('%Y-%m-%d %H:%M:%S', 'now', 'start of day', (-day) || ' days', (28800 + n * 10) || ' seconds')
  FROM days JOIN rows_of ON weekday = day % 7 JOIN numbers ON n < rows
  WHERE day BETWEEN $1 AND $2 OR day BETWEEN $3 AND $4`

const POLICY_DECISIONS = `
  WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
  INSERT INTO policy_decisions (user_identifier, resource, action, decision, expires_at)
  SELECT 'ann', 'tool:search', 'invoke', 'allow', strftime('%Y-%m-%d %H:%M:%S', 'now', (-n) || ' seconds') FROM numbers`
