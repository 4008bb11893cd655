import type { Tally } from '../database/purging.ts'
import type { Query, Transaction } from '../database/query.ts'
import { notKept, readBack, rowOf } from '../database/read-back.ts'
import { boundedText, LONGEST_TEXT, storedNumber } from '../database/stored-values.ts'
import type { Gap } from '../purge/safety.ts'
import { DAY, MINUTE, type EpochMs } from '../time/clock.ts'
import type { Outcome, Trigger } from './result.ts'

/** One row a run of a job; made by migration 002. */
export const RUNS = 'maintenance_runs'
export const LEASES = 'maintenance_leases'

/** How far a clock may be ahead of the one that stamped a run before that run is taken for one of the future, which a clock that was set back leaves. */
export const FUTURE_MS = MINUTE

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
 * Returns the run's number. A claim may have waited for the run before to let go of the lease: then it began when that ended, not when its
 * transaction did. An end far in the future was written under a clock that was set back since.
 */
export async function openRun(tx: Transaction, table: string, { job, trigger, worker, version }: OpenedRun): Promise<number> {
  const { rows } = await tx.query<{ id: number }>(
    `INSERT INTO ${table} (job, "trigger", worker, version, started_at)
     SELECT $1, $2, $3, $4, coalesce((SELECT CASE WHEN finished_at > $5 AND finished_at <= $6 THEN finished_at END FROM ${table}
       WHERE job = $1 ORDER BY started_at DESC LIMIT 1), $5) RETURNING id`,
    [job, trigger, worker, version, tx.now, tx.now + FUTURE_MS],
  )
  const [row] = rows
  if (row === undefined) throw notKept(table, ['job'])
  await readBack(tx, table, { id: row.id }, { job, trigger, worker, version, outcome: null })
  return row.id
}

/** Called by the holder of the lease: a run of the job that is still open has lost its worker. */
export async function closeDeadRuns(tx: Transaction, table: string, job: string, worker: string): Promise<void> {
  await tx.query(
    `UPDATE ${table} SET outcome = 'interrupted', finished_at = $1, error = 'worker ' || ${boundedText('worker')} || ' went away during the run; closed by ' || $2
     WHERE job = $3 AND outcome IS NULL`,
    [tx.now, worker, job],
  )
  const { rows } = await tx.query(`SELECT id FROM ${table} WHERE job = $1 AND outcome IS NULL LIMIT 1`, [job])
  if (rows.length > 0) throw notKept(table, ['outcome'])
}

/** A run that was opened by a claim whose answer was lost never began. */
export async function forgetOwnRun(tx: Transaction, table: string, job: string, worker: string): Promise<void> {
  await tx.query(`DELETE FROM ${table} WHERE job = $1 AND worker = $2 AND outcome IS NULL`, [job, worker])
}

/** When the newest run of the job began that did some work, or is doing it; from `since` on. */
export async function lastRunAt(query: Query, table: string, job: string, since: EpochMs, now: EpochMs): Promise<EpochMs | undefined> {
  const { rows } = await query.query<{ started_at: number }>(
    `SELECT started_at FROM ${table} WHERE job = $1 AND started_at >= $2 AND started_at <= $3
     AND (outcome IS NULL OR ${boundedText('outcome')} NOT IN ('skipped', 'stopped')) ORDER BY started_at DESC LIMIT 1`,
    [job, since, now + FUTURE_MS],
  )
  return rows[0]?.started_at
}

/** What a run is measured by: the last run of its job that was allowed to delete, and what lies between. */
export interface Precedent {
  readonly retentionMs: number
  /** From it to this run, each pair of runs that began so far apart. Runs of the future, which a clock that was set back leaves, are none. */
  readonly gaps: readonly Gap[]
}

/**
 * `undefined`: no run of the job was ever allowed to delete. By the order in which runs were opened, not by their times, which a wrong clock may have given. A run
 * that was stopped since is one end of a gap: what is written after it does not fill that gap.
 * The time before comes from max, which is built in for exactly this type; of lag, which takes any type, somebody could make one that fits better.
 */
export async function precedentOf(query: Query, table: string, job: string, now: EpochMs, apartMs: number): Promise<Precedent | undefined> {
  const { rows } = await query.query<{ id: number; retention: number }>(
    `SELECT id, retention FROM ${table} WHERE job = $1 AND retention IS NOT NULL ORDER BY id DESC LIMIT 1`,
    [job],
  )
  const [last] = rows
  if (last === undefined) return undefined
  const { rows: gaps } = await query.query<Gap>(
    `SELECT s.earlier AS "from", s.later AS "to" FROM (
       SELECT r.at AS later, max(r.at) OVER (ORDER BY r.id ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) AS earlier FROM (
         SELECT id, started_at AS at FROM ${table} WHERE job = $1 AND id >= CAST($2 AS bigint) AND started_at <= CAST($3 AS bigint)
         UNION ALL SELECT CAST($4 AS bigint) AS id, CAST($5 AS bigint) AS at
       ) AS r
     ) AS s WHERE s.later - s.earlier > CAST($6 AS bigint) ORDER BY s.later LIMIT ${MOST_GAPS}`,
    [job, last.id, now + FUTURE_MS, Number.MAX_SAFE_INTEGER, now, apartMs],
  )
  return { retentionMs: storedNumber(last.retention, `${RUNS}.retention`), gaps }
}

/** So many suspect gaps behind each other, and one of them tells enough. */
const MOST_GAPS = 20

/** From here on the run may delete. */
export async function acceptRun(
  tx: Transaction,
  table: string,
  id: number,
  cutoff: EpochMs,
  retentionMs: number | undefined,
): Promise<void> {
  await tx.query(`UPDATE ${table} SET cutoff = $1, retention = $2 WHERE id = $3`, [cutoff, retentionMs ?? null, id])
  await readBack(tx, table, { id }, { cutoff, retention: retentionMs ?? null })
}

/** In the transaction of the batch, so that the counts are true whatever happens after it. */
export async function addToRun(tx: Transaction, table: string, id: number, { affected }: Tally): Promise<void> {
  const before = await rowOf<StoredCounts>(tx, table, { id }, ['rows_deleted', 'batches'])
  if (before === undefined) throw notKept(table, ['id'])
  const after = {
    rows_deleted: storedNumber(before.rows_deleted, `${RUNS}.rows_deleted`) + affected,
    batches: storedNumber(before.batches, `${RUNS}.batches`) + 1,
  }
  await tx.query(`UPDATE ${table} SET rows_deleted = $1, batches = $2 WHERE id = $3`, [after.rows_deleted, after.batches, id])
  await readBack(tx, table, { id }, after)
}

// oxlint-disable-next-line typescript/consistent-type-definitions -- an interface has no index signature
type StoredCounts = { readonly rows_deleted: number; readonly batches: number }

export interface RunCounts {
  readonly deleted: number
  readonly batches: number
}

/** A run that was closed by another worker keeps the time at which that was done. */
export async function finishRun(tx: Transaction, table: string, id: number, finished: FinishedRun): Promise<RunCounts | undefined> {
  const { outcome, cutoff, undated, unreadable, locked, error } = finished
  const { rows } = await tx.query<{ rows_deleted: number; batches: number }>(
    `UPDATE ${table} SET outcome = $1, finished_at = coalesce(finished_at, $2), cutoff = $3, undated = $4, unreadable = $5, locked = $6, error = $7
     WHERE id = $8 RETURNING rows_deleted, batches`,
    [outcome, tx.now, cutoff ?? null, undated, unreadable, locked, error?.slice(0, LONGEST_TEXT) ?? null, id],
  )
  const [row] = rows
  if (row === undefined) return undefined
  await readBack(tx, table, { id }, { outcome, rows_deleted: row.rows_deleted, batches: row.batches })
  return { deleted: row.rows_deleted, batches: row.batches }
}

/** What is on record of a run is kept this long. */
export const HISTORY_MS = 400 * DAY
/** A day adds some three hundred; a backlog takes several nights. */
const MOST_OLD_RUNS = 5_000

/** Deletes the oldest of the runs that began before. */
export async function deleteOldRuns(tx: Transaction, runs: string, before: EpochMs): Promise<void> {
  const oldest = `SELECT id FROM ${runs} WHERE started_at < $1 ORDER BY started_at, id LIMIT ${MOST_OLD_RUNS}`
  await tx.query(`DELETE FROM ${runs} WHERE id IN (${oldest}) AND started_at < $1`, [before])
}
