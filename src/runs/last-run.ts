import type { Database } from '../database/database.ts'
import { orNothing, storedTime } from '../database/stored-values.ts'
import { LEDGER } from '../migrations/ledger.ts'
import { DAY, type Clock, type EpochMs } from '../time/clock.ts'
import { SLOT_TOLERANCE_MS } from './recorded-run.ts'
import { lastRunAt, RUNS } from './run-records.ts'

/** Older runs do not matter. */
const MOST_AGO_MS = 400 * DAY

/**
 * The time up to which the slots of a job are done, on the host's clock: the start of its last run or, without one, the first migration of the database.
 * `undefined`: neither is recorded. `at` is the database's clock, if the caller has just read it.
 */
export async function doneUntil(database: Database, clock: Clock, job: string, at?: EpochMs): Promise<EpochMs | undefined> {
  const now = at ?? (await database.now())
  const clockSkewMs = clock.now() - now
  const last = await lastRunAt(database, database.named(RUNS), job, now - MOST_AGO_MS, now)
  if (last !== undefined) return last + clockSkewMs + SLOT_TOLERANCE_MS
  const { rows } = await database.query<{ first: number | null }>(`SELECT min(applied_at) AS first FROM ${database.named(LEDGER)}`)
  const first = orNothing(storedTime, rows[0]?.first, `${LEDGER}.applied_at`)
  return first === undefined ? undefined : first + clockSkewMs
}
