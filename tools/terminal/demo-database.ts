import { DAY, HOUR, MINUTE } from '../../src/time/clock.ts'
import { command } from '../../test/support/command.ts'
import { sqliteDatabase, type TestDatabase } from '../../test/support/engines.ts'

export interface DemoDatabase extends TestDatabase {
  readonly folder: string
  /** Relative to the folder, as a gateway's default is. */
  readonly relativeUrl: string
}

/** Audit rows of a Sunday and of the days after it, as an office makes them. */
const ROWS_OF_DAYS = [640, 4_210, 4_388, 4_105, 3_960, 3_871, 912]
/** A whole week, so that it is always as many rows. Far from the 90 days of the default on both sides, so that midnight may pass while the pictures are made. */
const EXPIRED_DAYS = { from: 92, to: 98 }
const KEPT_DAYS = { from: 40, to: 87 }

/** A gateway's file that the program has migrated and never purged. Its rows are the same whenever it is made, but for their times. */
export async function demoDatabase(): Promise<DemoDatabase> {
  const database = await sqliteDatabase()
  await command(['migrate'], { env: { DATABASE_URL: database.url } })
  await database.sql(AUDIT_ROWS, [EXPIRED_DAYS.from, EXPIRED_DAYS.to, KEPT_DAYS.from, KEPT_DAYS.to])
  const quarter = lastSlot(15 * MINUTE, 0)
  await expires(database, { decisions: 1_862, sessions: 417, from: quarter - 15 * MINUTE, to: quarter })
  return { ...database, relativeUrl: 'sqlite:///gateway.db' }
}

/** The runs that it has seen become those of the schedules' last slots, and what expires after those has expired since. */
export async function later(database: DemoDatabase): Promise<void> {
  const night = lastSlot(DAY, 3 * HOUR)
  const quarter = lastSlot(15 * MINUTE, 0)
  for (const [jobs, slot] of [
    [`job = 'purge-audit-logs'`, night],
    [`job <> 'purge-audit-logs'`, quarter],
  ] as const)
    await database.sql(
      `UPDATE maintenance_runs SET "trigger" = 'schedule', cutoff = cutoff - started_at + $1, finished_at = finished_at - started_at + $1, started_at = $1 WHERE ${jobs}`,
      [slot],
    )
  await database.sql(EXPIRED_SINCE, [912, night / 1000 - 90 * 86_400, (Date.now() - night) / 1000])
  await expires(database, { decisions: 214, sessions: 38, from: quarter, to: Date.now() })
}

/** The latest point in time that is so long after a multiple of a period. */
function lastSlot(periodMs: number, afterMs: number): number {
  return Math.floor((Date.now() - afterMs) / periodMs) * periodMs + afterMs
}

interface Expiring {
  readonly decisions: number
  readonly sessions: number
  readonly from: number
  readonly to: number
}

/** Evenly between the two. */
async function expires(database: TestDatabase, { decisions, sessions, from, to }: Expiring): Promise<void> {
  await database.sql(POLICY_DECISIONS, [decisions, from / 1000, (to - from) / 1000])
  await database.sql(SESSIONS, [sessions, from / 1000, (to - from) / 1000])
}

/** `$1` to `$2` and `$3` to `$4` days ago, from 08:00 UTC on, a row every ten seconds. */
const AUDIT_ROWS = `
  WITH RECURSIVE
    days (day) AS (SELECT 0 UNION ALL SELECT day + 1 FROM days WHERE day < 120),
    numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${Math.max(...ROWS_OF_DAYS) - 1}),
    rows_of (weekday, rows) AS (VALUES ${ROWS_OF_DAYS.map((rows, weekday) => `(${weekday}, ${rows})`).join(', ')})
  INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
  SELECT 'search', 'ann', 'invoke', 'success', strftime('%Y-%m-%d %H:%M:%S', 'now', 'start of day', (-day) || ' days', (28800 + n * 10) || ' seconds')
  FROM days JOIN rows_of ON weekday = CAST(strftime('%w', 'now', (-day) || ' days') AS INTEGER) JOIN numbers ON n < rows
  WHERE day BETWEEN $1 AND $2 OR day BETWEEN $3 AND $4`

const NUMBERS = 'WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)'
/** Of `$1` rows, evenly from `$2` on, within `$3` seconds. */
const MOMENT = `strftime('%Y-%m-%d %H:%M:%f', $2 + $3 * (n - 0.5) / $1, 'unixepoch')`

const EXPIRED_SINCE = `${NUMBERS}
  INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) SELECT 'search', 'ann', 'invoke', 'success', ${MOMENT} FROM numbers`

const POLICY_DECISIONS = `${NUMBERS}
  INSERT INTO policy_decisions (user_identifier, resource, action, decision, expires_at)
  SELECT 'ann', 'tool:search', 'invoke', 'allow', ${MOMENT} FROM numbers`

const SESSIONS = `${NUMBERS}
  INSERT INTO sessions (session_token, user_identifier, expires_at) SELECT hex(randomblob(16)), 'ann', ${MOMENT} FROM numbers`
