import type { Tally } from '../database/purging.ts'
import type { Query, Session, Transaction } from '../database/query.ts'
import { notKept, readBack, rowOf } from '../database/read-back.ts'
import { boundedText, LONGEST_TEXT, storedNumber } from '../database/stored-values.ts'
import type { Gap } from '../purge/safety.ts'
import { DAY, MINUTE, type EpochMs } from '../time/clock.ts'
import type { LastHolder } from './lease.ts'
import type { Outcome, Trigger } from './result.ts'

/** One row per run of a job. Created by migration 002. */
export const RUNS = 'maintenance_runs'
export const LEASES = 'maintenance_leases'

/** A run stamped further ahead of the clock than this counts as in the future, as a clock that was set back leaves it behind. */
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
 * Returns the run's number, which is greater than those of all earlier runs of the job and of those in `counted`: the sequence may be behind,
 * as after a restore from a backup. If the claim had to wait for the previous run to release the lease, the run began when that one ended, not when its own
 * transaction began. An end far in the future is ignored: it was written under a clock that has been set back since.
 */
export async function openRun(tx: Transaction, database: Session, counted: readonly string[], run: OpenedRun): Promise<number> {
  const table = database.named(RUNS)
  const numbers = counted.map((name) => `SELECT max(run) AS id FROM ${database.named(name)}`)
  const { job, trigger, worker, version } = run
  let id = await insertRun(tx, table, run)
  if (id === undefined || !(await isNewest(tx, table, numbers, job, id))) {
    if (id !== undefined) await tx.query(`DELETE FROM ${table} WHERE id = $1`, [id])
    await database.raiseNumbers(tx, RUNS, await highestOf(tx, [`SELECT max(id) AS id FROM ${table}`, ...numbers]))
    id = await insertRun(tx, table, run)
  }
  if (id === undefined || !(await isNewest(tx, table, numbers, job, id))) throw notKept(table, ['id'])
  await readBack(tx, table, { id }, { job, trigger, worker, version, outcome: null })
  return id
}

/** `undefined`: the number that the database gave it is already in use. */
async function insertRun(tx: Transaction, table: string, { job, trigger, worker, version }: OpenedRun): Promise<number | undefined> {
  const { rows } = await tx.query<{ id: number }>(
    `INSERT INTO ${table} (job, "trigger", worker, version, started_at)
     SELECT $1, $2, $3, $4, coalesce((SELECT CASE WHEN finished_at > $5 AND finished_at <= $6 THEN finished_at END FROM ${table}
       WHERE job = $1 ORDER BY started_at DESC LIMIT 1), $5) ON CONFLICT (id) DO NOTHING RETURNING id`,
    [job, trigger, worker, version, tx.now, tx.now + FUTURE_MS],
  )
  return rows[0]?.id
}

/** Other jobs may have opened a run at the same moment, under a higher number. More runs than that, or one of the job's own, are earlier ones. */
async function isNewest(tx: Transaction, table: string, numbers: readonly string[], job: string, id: number): Promise<boolean> {
  const { rows } = await tx.query<{ own: number }>(
    `SELECT CASE WHEN job = $1 THEN 1 ELSE 0 END AS own FROM ${table} WHERE id > $2 ORDER BY id LIMIT ${MOST_AT_ONCE + 1}`,
    [job, id],
  )
  return rows.length <= MOST_AT_ONCE && rows.every(({ own }) => own === 0) && id > (await highestOf(tx, numbers))
}

/** More than there are jobs. */
const MOST_AT_ONCE = 10

/** The highest `id` that one of these statements finds; 0: none does. */
async function highestOf(tx: Transaction, statements: readonly string[]): Promise<number> {
  if (statements.length === 0) return 0
  const { rows } = await tx.query<{ id: number | null }>(`SELECT max(highest.id) AS id FROM (${statements.join(' UNION ALL ')}) AS highest`)
  return rows[0]?.id ?? 0
}

/**
 * Called by the holder of the lease, so any run of the job that is still open has lost its worker. The end of the worker's own earlier run could not be
 * recorded, or was taken back by a failover of the database. A run ended when its worker last renewed the lease, as far as that is known; otherwise now. Returns their
 * numbers, in order.
 */
export async function closeDeadRuns(
  tx: Transaction,
  table: string,
  job: string,
  worker: string,
  before: LastHolder | undefined,
): Promise<readonly number[]> {
  const { holder = null, renewedAt = null } = before ?? {}
  const { rows: closed } = await tx.query<{ id: unknown }>(
    `UPDATE ${table} SET outcome = 'interrupted', error = CASE WHEN worker = $2 THEN '${END_LOST}'
       ELSE 'worker ' || ${boundedText('worker')} || ' went away during the run; closed by ' || $2 END,
       finished_at = CASE WHEN worker = $4 AND CAST($5 AS bigint) BETWEEN started_at AND $1 THEN CAST($5 AS bigint) ELSE $1 END
     WHERE job = $3 AND outcome IS NULL RETURNING id`,
    [tx.now, worker, job, holder, renewedAt],
  )
  const { rows } = await tx.query(`SELECT id FROM ${table} WHERE job = $1 AND outcome IS NULL LIMIT 1`, [job])
  if (rows.length > 0) throw notKept(table, ['outcome'])
  return closed.map(({ id }) => storedNumber(id, `${RUNS}.id`)).toSorted((a, b) => a - b)
}

const END_LOST = 'the end of this run was not recorded, or was lost when the database failed over; the next run goes on'

/** Deletes a run that was opened by a claim whose answer was lost: it never began. One that has deleted something is an earlier one, whose end was lost. */
export async function forgetOwnRun(tx: Transaction, table: string, job: string, worker: string): Promise<void> {
  await tx.query(`DELETE FROM ${table} WHERE job = $1 AND worker = $2 AND outcome IS NULL AND batches = 0`, [job, worker])
}

/** When the newest run of the job since `since` began that has done or is doing any work. */
export async function lastRunAt(query: Query, table: string, job: string, since: EpochMs, now: EpochMs): Promise<EpochMs | undefined> {
  const { rows } = await query.query<{ started_at: number }>(
    `SELECT started_at FROM ${table} WHERE job = $1 AND started_at >= $2 AND started_at <= $3
     AND (outcome IS NULL OR ${boundedText('outcome')} NOT IN ('skipped', 'stopped')) ORDER BY started_at DESC LIMIT 1`,
    [job, since, now + FUTURE_MS],
  )
  return rows[0]?.started_at
}

/** When the run began that began latest, if that is later than now: by a clock that was ahead, or has been set back since. `undefined`: there is none. */
export async function latestFutureRun(query: Query, table: string, now: EpochMs): Promise<EpochMs | undefined> {
  const { rows } = await query.query<{ started_at: number }>(
    `SELECT started_at FROM ${table} WHERE started_at > $1 ORDER BY started_at DESC LIMIT 1`,
    [now + FUTURE_MS],
  )
  return rows[0] === undefined ? undefined : storedNumber(rows[0].started_at, `${RUNS}.started_at`)
}

/** What a run is compared with: the last run of its job that was allowed to delete, and the gaps since then. */
export interface Precedent {
  readonly retentionMs: number
  /** Pairs of consecutive runs, from that one to this run, that began far apart. Ignores runs in the future, which a clock that was set back leaves behind. */
  readonly gaps: readonly Gap[]
}

/**
 * `undefined`: no run of the job was ever allowed to delete. Uses the order in which runs were opened, not their times, which a wrong clock may have set. A
 * run that was stopped since then also ends a gap: rows written after it do not fill that gap.
 * Uses the window function max, which is built in for exactly this type. For lag, which takes any type, someone could define a function that fits better.
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

/** More gaps need not be checked. */
const MOST_GAPS = 20

/** From here on the run is allowed to delete. */
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

export interface RunCounts {
  readonly deleted: number
  readonly batches: number
}

/** A run's row. After a failover to a server that had not received it, its number may be that of another run. */
export interface RunKey {
  readonly id: number
  readonly job: string
  readonly worker: string
}

/** `undefined`: the database knows nothing of the run. */
export async function countsOf(query: Query, table: string, { id, job, worker }: RunKey): Promise<RunCounts | undefined> {
  const stored = await rowOf<StoredCounts>(query, table, { id, job, worker }, ['rows_deleted', 'batches'])
  if (stored === undefined) return undefined
  return { deleted: storedNumber(stored.rows_deleted, `${RUNS}.rows_deleted`), batches: storedNumber(stored.batches, `${RUNS}.batches`) }
}

// oxlint-disable-next-line typescript/consistent-type-definitions -- an interface has no index signature
type StoredCounts = { readonly rows_deleted: number; readonly batches: number }

/**
 * Runs in the transaction of the batch, so that the counts are right whatever happens afterwards. They are always read from the database: it may have lost
 * batches that were committed. Returns what it held, and what it holds once the batch is committed.
 */
export async function addToRun(
  tx: Transaction,
  table: string,
  key: RunKey,
  { affected }: Tally,
): Promise<{ readonly before: RunCounts; readonly after: RunCounts }> {
  const before = await countsOf(tx, table, key)
  if (before === undefined) throw notKept(table, ['id'])
  const after = { deleted: before.deleted + affected, batches: before.batches + 1 }
  const { id } = key
  await tx.query(`UPDATE ${table} SET rows_deleted = $1, batches = $2 WHERE id = $3`, [after.deleted, after.batches, id])
  await readBack(tx, table, { id }, { rows_deleted: after.deleted, batches: after.batches })
  return { before, after }
}

/** Keeps the beginning and the end, which says what to do, of an error that is too long. */
function shortened(error: string): string {
  const half = LONGEST_TEXT / 2 - 3
  return error.length <= LONGEST_TEXT ? error : `${error.slice(0, half)} ... ${error.slice(-half)}`
}

/** For a run that is on record with these counts. A run that another worker has closed keeps the time of that. */
export async function finishRun(
  tx: Transaction,
  table: string,
  { id, job, worker }: RunKey,
  { deleted, batches }: RunCounts,
  finished: FinishedRun,
): Promise<void> {
  const { outcome, cutoff, undated, unreadable, locked, error } = finished
  await tx.query(
    `UPDATE ${table} SET outcome = $1, finished_at = coalesce(finished_at, $2), cutoff = $3, undated = $4, unreadable = $5, locked = $6, error = $7
     WHERE id = $8`,
    [outcome, tx.now, cutoff ?? null, undated, unreadable, locked, error === undefined ? null : shortened(error), id],
  )
  await readBack(tx, table, { id, job, worker }, { outcome, rows_deleted: deleted, batches })
}

/** How long runs stay recorded. */
export const HISTORY_MS = 400 * DAY
/** About three hundred are added per day, so a backlog may take several nights. */
const MOST_OLD_RUNS = 5_000

/** Deletes the oldest runs that began before this time. */
export async function deleteOldRuns(tx: Transaction, runs: string, before: EpochMs): Promise<void> {
  const oldest = `SELECT id FROM ${runs} WHERE started_at < $1 ORDER BY started_at, id LIMIT ${MOST_OLD_RUNS}`
  await tx.query(`DELETE FROM ${runs} WHERE id IN (${oldest}) AND started_at < $1`, [before])
}
