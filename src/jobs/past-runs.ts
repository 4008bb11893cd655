import type { Query } from '../database/database.ts'
import type { EpochMs } from '../time.ts'

/** A run as it is on record. */
export interface PastRun {
  readonly id: number
  readonly job: string
  /** `undefined`: it has not ended, or its worker was killed and no other has run the job since. */
  readonly outcome: string | undefined
  readonly trigger: string
  /** `host:process` */
  readonly worker: string
  readonly version: string
  readonly startedAt: EpochMs
  readonly finishedAt: EpochMs | undefined
  readonly cutoff: EpochMs | undefined
  readonly retentionMs: number | undefined
  readonly deleted: number
  readonly batches: number
  readonly undated: number
  readonly unreadable: number
  readonly locked: number
  /** Why it failed, was stopped, skipped or interrupted. */
  readonly error: string | undefined
}

/** Runs that began at `since` or later, oldest first; of every job where `jobs` is empty. */
export async function runsSince(query: Query, table: string, since: EpochMs, jobs: readonly string[]): Promise<readonly PastRun[]> {
  const ofJobs = jobs.length === 0 ? '' : `AND job IN (${jobs.map((_, at) => `$${at + 2}`).join(', ')})`
  const { rows } = await query.query<StoredRun>(
    `SELECT ${COLUMNS} FROM ${table} WHERE started_at >= $1 ${ofJobs} ORDER BY started_at, id`,
    [since, ...jobs],
  )
  return rows.map(pastRun)
}

/** The last run of a job that ended, however it did. */
export async function lastEnded(query: Query, table: string, job: string): Promise<PastRun | undefined> {
  const { rows } = await query.query<StoredRun>(
    `SELECT ${COLUMNS} FROM ${table} WHERE job = $1 AND outcome IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1`,
    [job],
  )
  return rows[0] === undefined ? undefined : pastRun(rows[0])
}

/** When the last run of a job that succeeded came to its end. */
export async function lastSuccessAt(query: Query, table: string, job: string): Promise<EpochMs | undefined> {
  const { rows } = await query.query<{ finished_at: number | null }>(
    `SELECT finished_at FROM ${table} WHERE job = $1 AND outcome = 'succeeded' ORDER BY started_at DESC, id DESC LIMIT 1`,
    [job],
  )
  return rows[0]?.finished_at ?? undefined
}

/** When the run that a worker has open began. */
export async function openSince(query: Query, table: string, job: string, worker: string): Promise<EpochMs | undefined> {
  const { rows } = await query.query<{ started_at: number }>(
    `SELECT started_at FROM ${table} WHERE job = $1 AND outcome IS NULL AND worker = $2 ORDER BY started_at DESC LIMIT 1`,
    [job, worker],
  )
  return rows[0]?.started_at
}

const COLUMNS =
  'id, job, outcome, "trigger", worker, version, started_at, finished_at, cutoff, retention, rows_deleted, batches, undated, unreadable, locked, error'

interface StoredRun {
  readonly id: number
  readonly job: string
  readonly outcome: string | null
  readonly trigger: string
  readonly worker: string
  readonly version: string
  readonly started_at: number
  readonly finished_at: number | null
  readonly cutoff: number | null
  readonly retention: number | null
  readonly rows_deleted: number
  readonly batches: number
  readonly undated: number
  readonly unreadable: number
  readonly locked: number
  readonly error: string | null
}

function pastRun(row: StoredRun): PastRun {
  const { id, job, trigger, worker, version, batches, undated, unreadable, locked } = row
  return {
    id,
    job,
    trigger,
    worker,
    version,
    batches,
    undated,
    unreadable,
    locked,
    outcome: row.outcome ?? undefined,
    startedAt: row.started_at,
    finishedAt: row.finished_at ?? undefined,
    cutoff: row.cutoff ?? undefined,
    retentionMs: row.retention ?? undefined,
    deleted: row.rows_deleted,
    error: row.error ?? undefined,
  }
}
