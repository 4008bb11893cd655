import type { Match } from '../../src/policy/match.ts'
import { DAY } from '../../src/time/clock.ts'
import type { TestDatabase, TestEngine } from '../support/engines.ts'
import { AUDIT_LOGS, auditLogs } from './support.ts'

interface PlacedHold {
  readonly placedAt?: number
  readonly reviewAt?: number
  /** Instead of the match, as somebody may have written it by hand. */
  readonly matches?: string
}

/** A hold as it is on record, in force at once. */
export async function placedHold(database: TestDatabase, name: string, match: Match, hold: PlacedHold = {}): Promise<void> {
  const { placedAt = Date.now() - DAY, reviewAt = null, matches = JSON.stringify(match) } = hold
  await database.sql(
    `INSERT INTO maintenance_holds (name, job, matches, reason, placed_at, placed_by, review_at) VALUES ($1, $2, $3, 'a letter', $4, 'counsel', $5)`,
    [name, AUDIT_LOGS.name, matches, placedAt, reviewAt],
  )
}

export async function released(database: TestDatabase, name: string, at = Date.now()): Promise<void> {
  await database.sql(
    `UPDATE maintenance_holds SET released_at = $1, released_by = 'counsel', release_reason = 'done' WHERE name = $2 AND released_at IS NULL`,
    [at, name],
  )
}

/** So many audit rows of a user, the newest so many days old. */
export async function auditLogsOf(database: TestDatabase, engine: TestEngine, user: string, rows: number, days: number): Promise<void> {
  await auditLogs(database, engine, rows, days)
  await database.sql(`UPDATE audit_logs SET "user" = $1 WHERE "user" = 'u'`, [user])
}

/** Every run began and ended earlier, and so much has expired since. */
export async function runsWere(database: TestDatabase, days: number): Promise<void> {
  await database.sql('UPDATE maintenance_runs SET started_at = started_at - $1, finished_at = finished_at - $1, cutoff = cutoff - $1', [
    days * DAY,
  ])
}

/** As autovacuum leaves the table after a while: the planner knows its rows, and no deleted ones take space. */
export async function tidied(database: TestDatabase, engine: TestEngine): Promise<void> {
  await database.sql(engine.name === 'sqlite' ? 'ANALYZE' : 'VACUUM ANALYZE audit_logs')
}
