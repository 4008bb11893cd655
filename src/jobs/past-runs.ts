import { ARCHIVED, type Growth } from '../archive/state.ts'
import type { Query, Relation, Session } from '../database/database.ts'
import type { EpochMs } from '../time.ts'
import { RUNS } from './history.ts'

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
  /** What it added to the archive; `undefined`: nothing. */
  readonly archived: Growth | undefined
  /** Why it failed, was stopped, skipped or interrupted. */
  readonly error: string | undefined
}

/** Where runs are on record, as it is written in SQL. */
export interface RunTables {
  readonly runs: string
  /** What runs archived; `undefined`: there is no such table. */
  readonly archived: string | undefined
}

/** `undefined`: no run is on record here. */
export function runTables(database: Pick<Session, 'named'>, relations: ReadonlyMap<string, Relation>): RunTables | undefined {
  const named = (table: string): string | undefined => (relations.get(table)?.kind === 'table' ? database.named(table) : undefined)
  const runs = named(RUNS)
  return runs === undefined ? undefined : { runs, archived: named(ARCHIVED) }
}

/** Runs that began at `since` or later, oldest first; of every job where `jobs` is empty. */
export async function runsSince(query: Query, tables: RunTables, since: EpochMs, jobs: readonly string[]): Promise<readonly PastRun[]> {
  const ofJobs = jobs.length === 0 ? '' : `AND r.job IN (${jobs.map((_, at) => `$${at + 2}`).join(', ')})`
  const { rows } = await query.query<StoredRun>(`${selected(tables)} WHERE r.started_at >= $1 ${ofJobs} ORDER BY r.started_at, r.id`, [
    since,
    ...jobs,
  ])
  return rows.map(pastRun)
}

/** The last run of a job that ended, however it did. */
export async function lastEnded(query: Query, tables: RunTables, job: string): Promise<PastRun | undefined> {
  const { rows } = await query.query<StoredRun>(
    `${selected(tables)} WHERE r.job = $1 AND r.outcome IS NOT NULL ORDER BY r.started_at DESC, r.id DESC LIMIT 1`,
    [job],
  )
  return rows[0] === undefined ? undefined : pastRun(rows[0])
}

/** The last runs of a job that began, whether or not they have ended: newest first. */
export async function lastRuns(query: Query, tables: RunTables, job: string, most: number): Promise<readonly PastRun[]> {
  const { rows } = await query.query<StoredRun>(`${selected(tables)} WHERE r.job = $1 ORDER BY r.started_at DESC, r.id DESC LIMIT $2`, [
    job,
    most,
  ])
  return rows.map(pastRun)
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
  'r.id, r.job, r.outcome, r."trigger", r.worker, r.version, r.started_at, r.finished_at, r.cutoff, r.retention, r.rows_deleted, r.batches, ' +
  'r.undated, r.unreadable, r.locked, r.error'

function selected({ runs, archived }: RunTables): string {
  if (archived === undefined) return `SELECT ${COLUMNS} FROM ${runs} AS r`
  return `SELECT ${COLUMNS}, a."rows" AS archived_rows, a.bytes AS archived_bytes, a.files AS archived_files
     FROM ${runs} AS r LEFT JOIN ${archived} AS a ON a.run = r.id`
}

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
  readonly archived_rows?: number | null
  readonly archived_bytes?: number | null
  readonly archived_files?: number | null
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
    archived: archivedBy(row),
    error: row.error ?? undefined,
  }
}

function archivedBy({ archived_rows: rows, archived_bytes: bytes, archived_files: files }: StoredRun): Growth | undefined {
  return rows == null ? undefined : { rows, bytes: bytes ?? 0, files: files ?? 0 }
}
