import type { Query, Tally, Transaction } from '../database/database.ts'
import { MINUTE, type EpochMs } from '../time.ts'
import type { Outcome, Trigger } from './result.ts'

/** One row a run of a job; made by migration 002. */
export const RUNS = 'maintenance_runs'
export const LEASES = 'maintenance_leases'

/** How far a clock may be ahead of the one that stamped a run before that run is taken for one of the future, which a clock that was set back leaves. */
const FUTURE_MS = MINUTE

export interface OpenedRun {
  readonly job: string
  readonly trigger: Trigger
  readonly worker: string
  readonly version: string
}

export interface FinishedRun {
  readonly outcome: Outcome
  readonly cutoff: EpochMs | undefined
  readonly undated: number
  readonly unreadable: number
  readonly locked: number
  /** Why it ended so. */
  readonly error: string | undefined
}

/**
 * Answers with the run's number. A claim may have waited for the run before to let go of the lease: then it began when that ended, not when its
 * transaction did. An end far in the future was written under a clock that was set back since.
 */
export async function openRun(tx: Transaction, table: string, { job, trigger, worker, version }: OpenedRun): Promise<number> {
  const { rows } = await tx.query<{ id: number }>(
    `INSERT INTO ${table} (job, "trigger", worker, version, started_at)
     SELECT $1, $2, $3, $4, coalesce((SELECT CASE WHEN finished_at > $5 AND finished_at <= $6 THEN finished_at END FROM ${table}
       WHERE job = $1 ORDER BY started_at DESC LIMIT 1), $5) RETURNING id`,
    [job, trigger, worker, version, tx.now, tx.now + FUTURE_MS],
  )
  return rows[0]?.id ?? NaN
}

/** For whoever holds the lease now: a run of the job that is still open has lost its worker. */
export async function closeDeadRuns(tx: Transaction, table: string, job: string, worker: string): Promise<void> {
  await tx.query(
    `UPDATE ${table} SET outcome = 'interrupted', finished_at = $1, error = 'worker ' || worker || ' went away during the run; closed by ' || $2
     WHERE job = $3 AND outcome IS NULL`,
    [tx.now, worker, job],
  )
}

/** A run that was opened by a claim whose answer was lost never began. */
export async function forgetOwnRun(tx: Transaction, table: string, job: string, worker: string): Promise<void> {
  await tx.query(`DELETE FROM ${table} WHERE job = $1 AND worker = $2 AND outcome IS NULL`, [job, worker])
}

/** When the newest run of the job began that did some work, or is doing it; from `since` on. */
export async function lastRunAt(query: Query, table: string, job: string, since: EpochMs, now: EpochMs): Promise<EpochMs | undefined> {
  const { rows } = await query.query<{ started_at: number }>(
    `SELECT started_at FROM ${table} WHERE job = $1 AND started_at >= $2 AND started_at <= $3
     AND (outcome IS NULL OR outcome NOT IN ('skipped', 'stopped')) ORDER BY started_at DESC LIMIT 1`,
    [job, since, now + FUTURE_MS],
  )
  return rows[0]?.started_at
}

/** The retention of the last run that was allowed to delete. */
export async function lastAcceptedRetention(query: Query, table: string, job: string): Promise<number | undefined> {
  const { rows } = await query.query<{ retention: number }>(
    `SELECT retention FROM ${table} WHERE job = $1 AND retention IS NOT NULL ORDER BY id DESC LIMIT 1`,
    [job],
  )
  return rows[0]?.retention
}

/** From here on the run may delete. */
export async function acceptRun(
  tx: Transaction,
  table: string,
  id: number,
  cutoff: EpochMs,
  retentionMs: number | undefined,
): Promise<void> {
  await tx.query(`UPDATE ${table} SET cutoff = $1, retention = $2 WHERE id = $3`, [cutoff, retentionMs ?? null, id])
}

/** In the transaction of the batch, so that the counts are true whatever happens after it. */
export async function addToRun(tx: Transaction, table: string, id: number, { affected }: Tally): Promise<void> {
  await tx.query(`UPDATE ${table} SET rows_deleted = rows_deleted + $1, batches = batches + 1 WHERE id = $2`, [affected, id])
}

export interface RunCounts {
  readonly deleted: number
  readonly batches: number
}

/** A run that was closed by another worker keeps the end it was given, and gets the reason. */
export async function finishRun(tx: Transaction, table: string, id: number, finished: FinishedRun): Promise<RunCounts | undefined> {
  const { outcome, cutoff, undated, unreadable, locked, error } = finished
  const { rows } = await tx.query<{ rows_deleted: number; batches: number }>(
    `UPDATE ${table} SET outcome = $1, finished_at = coalesce(finished_at, $2), cutoff = $3, undated = $4, unreadable = $5, locked = $6, error = $7
     WHERE id = $8 RETURNING rows_deleted, batches`,
    [outcome, tx.now, cutoff ?? null, undated, unreadable, locked, error?.slice(0, LONGEST_ERROR) ?? null, id],
  )
  const row = rows[0]
  return row === undefined ? undefined : { deleted: row.rows_deleted, batches: row.batches }
}

const LONGEST_ERROR = 2_000
