import { ARCHIVED, REMOVED } from '../archive/tables.ts'
import type { Growth } from '../archive/step.ts'
import type { Query, Session } from '../database/query.ts'
import { boundedText, orNothing, storedCount, storedNumber, storedText, storedTime } from '../database/stored-values.ts'
import type { EpochMs } from '../time/clock.ts'
import { heldByRunSql } from './held-rows-of-run.ts'
import { RUN_HOLDS } from './hold-tables.ts'
import { RUN_POLICIES } from './policy-tables.ts'
import type { Outcome } from './result.ts'
import { FUTURE_MS, RUNS } from './run-records.ts'

/** A recorded run. */
export interface PastRun {
  readonly id: number
  readonly job: string
  /** `undefined`: it has not ended, or its worker was killed and no worker has run the job since. */
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
  /** Expired rows that holds kept; 0: none, or that is not recorded. */
  readonly held: number
  /** What it added to the archive; `undefined`: nothing. */
  readonly archived: Growth | undefined
  /** What it removed from the archive; `undefined`: nothing. */
  readonly removed: Growth | undefined
  /** Why it failed, was stopped, skipped or interrupted; of any run, how many rows came back that it had deleted. */
  readonly error: string | undefined
}

/** The names of the tables that record runs, for use in SQL. */
export interface RunTables {
  readonly runs: string
  /** Records what runs archived; `undefined`: there is no such table. */
  readonly archived: string | undefined
  /** Records what runs removed from the archive; `undefined`: there is no such table. */
  readonly removed: string | undefined
  /** Records what holds kept in runs; `undefined`: there is no such table. */
  readonly held: string | undefined
  /** Records which retention and rules runs went by; `undefined`: there is no such table. */
  readonly policies: string | undefined
}

export const RUN_TABLES = [RUNS, ARCHIVED, REMOVED, RUN_HOLDS, RUN_POLICIES] as const

/** Takes the tables that exist. `undefined`: this database records no runs. */
export function runTables(database: Pick<Session, 'named'>, found: ReadonlySet<string>): RunTables | undefined {
  const named = (table: string): string | undefined => (found.has(table) ? database.named(table) : undefined)
  const runs = named(RUNS)
  if (runs === undefined) return undefined
  return { runs, archived: named(ARCHIVED), removed: named(REMOVED), held: named(RUN_HOLDS), policies: named(RUN_POLICIES) }
}

/** Runs that began at `since` or later, oldest first; runs of all jobs if `jobs` is empty. */
export async function runsSince(query: Query, tables: RunTables, since: EpochMs, jobs: readonly string[]): Promise<readonly PastRun[]> {
  const ofJobs = jobs.length === 0 ? '' : `AND r.job IN (${jobs.map((_, at) => `$${at + 2}`).join(', ')})`
  const { rows } = await query.query<StoredRun>(`${selected(tables)} WHERE r.started_at >= $1 ${ofJobs} ORDER BY r.started_at, r.id`, [
    since,
    ...jobs,
  ])
  return rows.map(pastRun)
}

/** The last run of a job that has ended, with any outcome. Ignores runs in the future, which a clock that was set back leaves behind. */
export async function lastEnded(query: Query, tables: RunTables, job: string, now: EpochMs): Promise<PastRun | undefined> {
  const { rows } = await query.query<StoredRun>(
    `${selected(tables)} WHERE r.job = $1 AND r.outcome IS NOT NULL AND r.started_at <= $2 ORDER BY r.started_at DESC, r.id DESC LIMIT 1`,
    [job, now + FUTURE_MS],
  )
  return rows[0] === undefined ? undefined : pastRun(rows[0])
}

/** The last run of a job that has counted what holds keep, because it got to its end. Ignores runs in the future. */
export async function lastCounted(query: Query, tables: RunTables, job: string, now: EpochMs): Promise<PastRun | undefined> {
  const { held } = tables
  const counted = held === undefined ? '' : ` OR k."rows" > 0`
  const { rows } = await query.query<StoredRun>(
    `${selected(tables)} WHERE r.job = $1 AND r.started_at <= $2 AND (${boundedText('r.outcome')} = 'succeeded'${counted}) ORDER BY r.started_at DESC, r.id DESC LIMIT 1`,
    [job, now + FUTURE_MS],
  )
  return rows[0] === undefined ? undefined : pastRun(rows[0])
}

/** The last runs of a job, ended or not, newest first. Ignores runs in the future. */
export async function lastRuns(query: Query, tables: RunTables, job: string, now: EpochMs, most: number): Promise<readonly PastRun[]> {
  const { rows } = await query.query<StoredRun>(
    `${selected(tables)} WHERE r.job = $1 AND r.started_at <= $2 ORDER BY r.started_at DESC, r.id DESC LIMIT $3`,
    [job, now + FUTURE_MS, most],
  )
  return rows.map(pastRun)
}

/** When the last run of a job ended that ended in one of these ways. Ignores runs in the future. */
export async function lastEndAt(
  query: Query,
  table: string,
  job: string,
  now: EpochMs,
  outcomes: readonly Outcome[],
): Promise<EpochMs | undefined> {
  const listed = outcomes.map((_, at) => `$${at + 3}`).join(', ')
  const { rows } = await query.query<{ finished_at: number | null }>(
    `SELECT finished_at FROM ${table} WHERE job = $1 AND ${boundedText('outcome')} IN (${listed}) AND started_at <= $2 ORDER BY started_at DESC, id DESC LIMIT 1`,
    [job, now + FUTURE_MS, ...outcomes],
  )
  return orNothing(storedTime, rows[0]?.finished_at, `${RUNS}.finished_at`)
}

/** When the open run of a worker began. */
export async function openSince(query: Query, table: string, job: string, worker: string): Promise<EpochMs | undefined> {
  const { rows } = await query.query<{ started_at: number }>(
    `SELECT started_at FROM ${table} WHERE job = $1 AND outcome IS NULL AND worker = $2 ORDER BY started_at DESC LIMIT 1`,
    [job, worker],
  )
  return orNothing(storedTime, rows[0]?.started_at, `${RUNS}.started_at`)
}

const TEXTS = ['job', 'outcome', 'trigger', 'worker', 'version', 'error']
const NUMBERS = 'r.id, r.started_at, r.finished_at, r.cutoff, r.retention, r.rows_deleted, r.batches, r.undated, r.unreadable, r.locked'
const COLUMNS = [NUMBERS, ...TEXTS.map((name) => `${boundedText(`r."${name}"`)} AS "${name}"`)].join(', ')

function selected({ runs, archived, removed, held }: RunTables): string {
  const joined = [
    ...(archived === undefined ? [] : [{ table: archived, alias: 'a', name: 'archived' }]),
    ...(removed === undefined ? [] : [{ table: removed, alias: 'g', name: 'removed' }]),
  ]
  const columns = joined.map(
    ({ alias, name }) => `, ${alias}."rows" AS ${name}_rows, ${alias}.bytes AS ${name}_bytes, ${alias}.files AS ${name}_files`,
  )
  const joins = joined.map(({ table, alias }) => ` LEFT JOIN ${table} AS ${alias} ON ${alias}.run = r.id`)
  const [heldColumn, heldJoin] =
    held === undefined ? ['', ''] : [', k."rows" AS held_rows', ` LEFT JOIN (${heldByRunSql(held)}) AS k ON k.run = r.id`]
  return `SELECT ${COLUMNS}${columns.join('')}${heldColumn} FROM ${runs} AS r${joins.join('')}${heldJoin}`
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
  readonly held_rows?: number | null
  readonly archived_rows?: number | null
  readonly archived_bytes?: number | null
  readonly archived_files?: number | null
  readonly removed_rows?: number | null
  readonly removed_bytes?: number | null
  readonly removed_files?: number | null
}

function pastRun(row: StoredRun): PastRun {
  const text = (column: 'job' | 'trigger' | 'worker' | 'version'): string => storedText(row[column], `${RUNS}.${column}`)
  const number = (column: 'id' | 'rows_deleted' | 'batches' | 'undated' | 'unreadable' | 'locked'): number =>
    storedNumber(row[column], `${RUNS}.${column}`)
  const time = (column: 'finished_at' | 'cutoff'): EpochMs | undefined => orNothing(storedTime, row[column], `${RUNS}.${column}`)
  return {
    id: number('id'),
    job: text('job'),
    trigger: text('trigger'),
    worker: text('worker'),
    version: text('version'),
    batches: number('batches'),
    undated: number('undated'),
    unreadable: number('unreadable'),
    locked: number('locked'),
    held: orNothing(storedCount, row.held_rows, `${RUN_HOLDS}.rows`) ?? 0,
    outcome: orNothing(storedText, row.outcome, `${RUNS}.outcome`),
    startedAt: storedTime(row.started_at, `${RUNS}.started_at`),
    finishedAt: time('finished_at'),
    cutoff: time('cutoff'),
    retentionMs: orNothing(storedNumber, row.retention, `${RUNS}.retention`),
    deleted: number('rows_deleted'),
    archived: growthOf(ARCHIVED, row.archived_rows, row.archived_bytes, row.archived_files),
    removed: growthOf(REMOVED, row.removed_rows, row.removed_bytes, row.removed_files),
    error: orNothing(storedText, row.error, `${RUNS}.error`),
  }
}

function growthOf(table: string, rows: unknown, bytes: unknown, files: unknown): Growth | undefined {
  if (rows === null || rows === undefined) return undefined
  return {
    rows: storedNumber(rows, `${table}.rows`),
    bytes: storedNumber(bytes, `${table}.bytes`),
    files: storedNumber(files, `${table}.files`),
  }
}
