import { JOBS } from '../catalogue.ts'
import { PAUSE_REASONS } from '../purge/pacer.ts'
import { OUTCOMES } from '../runs/result.ts'

/** One metric, as data. What is served, written and documented is derived from it. */
export type MetricDefinition = {
  readonly name: string
  readonly help: string
  /** Every value that a label can have: few, and none of them read from a row. */
  readonly labels: Readonly<Record<string, readonly string[]>>
} & ({ readonly kind: 'counter' | 'gauge' } | { readonly kind: 'histogram'; /** Upper bounds. */ readonly buckets: readonly number[] })

const JOB = JOBS.map(({ name }) => name)
const HOLDABLE = JOBS.flatMap(({ name, holdable }) => (holdable.by.length > 0 ? [name] : []))
const ARCHIVED = JOBS.flatMap(({ name, archived }) => (archived === true ? [name] : []))

/** The label values, with the names of the fields of `job.finished` that count them. */
export const KEPT = { undated: 'undated', unreadable: 'unreadable', locked: 'locked', held: 'held', too_large: 'tooLarge' } as const
export const KEPT_REASONS = ['undated', 'unreadable', 'locked', 'held', 'too_large'] as const satisfies readonly (keyof typeof KEPT)[]

/** In the order of the documents. Durations are in seconds, times in seconds since 1970. */
export const METRICS = {
  rowsDeleted: {
    name: 'mcp_maintenance_rows_deleted_total',
    kind: 'counter',
    help: 'Rows deleted, counted with each batch that was committed.',
    labels: { job: JOB },
  },
  runs: {
    name: 'mcp_maintenance_job_runs_total',
    kind: 'counter',
    help: 'Runs that ended, by what they came to.',
    labels: { job: JOB, outcome: OUTCOMES },
  },
  runDuration: {
    name: 'mcp_maintenance_job_duration_seconds',
    kind: 'histogram',
    help: 'How long runs took; those that were skipped are left out.',
    labels: { job: JOB },
    buckets: [0.01, 0.1, 1, 10, 60, 300, 1_800, 7_200],
  },
  lastSuccess: {
    name: 'mcp_maintenance_job_last_success_timestamp_seconds',
    kind: 'gauge',
    help: 'When the last run that succeeded ended, by any worker; absent until one has.',
    labels: { job: JOB },
  },
  due: {
    name: 'mcp_maintenance_job_due_timestamp_seconds',
    kind: 'gauge',
    help: 'When the next run is due, by the schedule and the last run that succeeded or was stopped; in the past: the job is behind. Absent until there was one.',
    labels: { job: JOB },
  },
  lastOutcome: {
    name: 'mcp_maintenance_job_last_run_outcome',
    kind: 'gauge',
    help: 'What the last run that ended came to, by any worker: 1 for that outcome, 0 for the others; absent until one has ended.',
    labels: { job: JOB, outcome: OUTCOMES },
  },
  running: {
    name: 'mcp_maintenance_job_running',
    kind: 'gauge',
    help: '1 while this process runs the job, 0 otherwise.',
    labels: { job: JOB },
  },
  databaseBytes: {
    name: 'mcp_maintenance_database_bytes',
    kind: 'gauge',
    help: 'Size of the database. Free space, which later rows fill, is a part of its own where the database is a file.',
    labels: { part: ['used', 'free'] },
  },
  expiredRows: {
    name: 'mcp_maintenance_expired_rows',
    kind: 'gauge',
    help: 'Rows that have expired and are still there, without those that legal holds and retention rules keep, counted up to 100,000. Beyond that what the planner expects, where the database has one that says so, or 100,001.',
    labels: { job: JOB },
  },
  oldestExpiredAge: {
    name: 'mcp_maintenance_oldest_expired_age_seconds',
    kind: 'gauge',
    help: 'How long ago the time of the oldest of these rows was; 0 where there is none.',
    labels: { job: JOB },
  },
  holds: {
    name: 'mcp_maintenance_holds',
    kind: 'gauge',
    help: 'Legal holds in force.',
    labels: {},
  },
  heldRows: {
    name: 'mcp_maintenance_held_rows',
    kind: 'gauge',
    help: 'Expired rows that legal holds keep, as the last run counted them. No other gauge counts them.',
    labels: { job: HOLDABLE },
  },
  rowsKept: {
    name: 'mcp_maintenance_rows_kept_total',
    kind: 'counter',
    help: 'Rows that runs met and left: without a time, with one that cannot be read, locked by another transaction to the end, kept by a legal hold (each night again), too large for the archive.',
    labels: { job: JOB, reason: KEPT_REASONS },
  },
  batchDuration: {
    name: 'mcp_maintenance_batch_duration_seconds',
    kind: 'histogram',
    help: 'How long the transaction of a batch took.',
    labels: { job: JOB },
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
  },
  paused: {
    name: 'mcp_maintenance_paused_seconds_total',
    kind: 'counter',
    help: 'How long runs waited between batches, by why.',
    labels: { job: JOB, reason: PAUSE_REASONS },
  },
  archivedRows: {
    name: 'mcp_maintenance_archived_rows_total',
    kind: 'counter',
    help: 'Rows that runs wrote to the archive and then deleted, counted when the run ends.',
    labels: { job: ARCHIVED },
  },
  archivedBytes: {
    name: 'mcp_maintenance_archived_bytes_total',
    kind: 'counter',
    help: 'Bytes of the files that runs added to the archive, compressed.',
    labels: { job: ARCHIVED },
  },
  archivedFiles: {
    name: 'mcp_maintenance_archived_files_total',
    kind: 'counter',
    help: 'Files that runs added to the archive.',
    labels: { job: ARCHIVED },
  },
  archiveRemovedRows: {
    name: 'mcp_maintenance_archive_removed_rows_total',
    kind: 'counter',
    help: 'Rows of files that runs removed from the archive, their time having come, counted when the run ends.',
    labels: { job: ARCHIVED },
  },
  archiveRemovedBytes: {
    name: 'mcp_maintenance_archive_removed_bytes_total',
    kind: 'counter',
    help: 'Bytes of the files that runs removed from the archive, compressed.',
    labels: { job: ARCHIVED },
  },
  archiveRemovedFiles: {
    name: 'mcp_maintenance_archive_removed_files_total',
    kind: 'counter',
    help: 'Files that runs removed from the archive.',
    labels: { job: ARCHIVED },
  },
  archiveRows: {
    name: 'mcp_maintenance_archive_rows',
    kind: 'gauge',
    help: 'Rows in the archive, those of files whose time has come left out.',
    labels: { job: ARCHIVED },
  },
  archiveBytes: {
    name: 'mcp_maintenance_archive_bytes',
    kind: 'gauge',
    help: 'Bytes of the files in the archive, without their manifests.',
    labels: { job: ARCHIVED },
  },
  archiveFiles: {
    name: 'mcp_maintenance_archive_files',
    kind: 'gauge',
    help: 'Files in the archive.',
    labels: { job: ARCHIVED },
  },
  archiveLag: {
    name: 'mcp_maintenance_archive_lag_seconds',
    kind: 'gauge',
    help: 'How long the oldest row has waited that has expired, is kept by no legal hold or rule, and is not in the archive yet, exact to the day; 0 where none has.',
    labels: { job: ARCHIVED },
  },
  archiveVerifiedAt: {
    name: 'mcp_maintenance_archive_last_verification_timestamp_seconds',
    kind: 'gauge',
    help: 'When archive verify last read the whole archive or a sample of it; absent until it has.',
    labels: { job: ARCHIVED },
  },
  archiveSound: {
    name: 'mcp_maintenance_archive_last_verification_successful',
    kind: 'gauge',
    help: '1 where that found nothing wrong, 0 otherwise; absent until it has.',
    labels: { job: ARCHIVED },
  },
  partitionsUntil: {
    name: 'mcp_maintenance_partitions_covered_until_timestamp_seconds',
    kind: 'gauge',
    help: 'Up to when each day has its partition, where `partition start` has made them; absent elsewhere, as are the other metrics of partitions.',
    labels: { job: JOB },
  },
  partitionsEnabled: {
    name: 'mcp_maintenance_partitions_enabled',
    kind: 'gauge',
    help: '1 where partitions are made and dropped, 0 where PARTITIONS_ENABLED is false.',
    labels: { job: JOB },
  },
  partitionsDefaultRows: {
    name: 'mcp_maintenance_partitions_default_rows',
    kind: 'gauge',
    help: 'Rows in the DEFAULT partition, since there was none for their day, or they have no time. Not counted to the end where they are very many.',
    labels: { job: JOB },
  },
  partitionsDetached: {
    name: 'mcp_maintenance_partitions_detached',
    kind: 'gauge',
    help: 'Partitions that were taken out of their table and wait to be dropped.',
    labels: { job: JOB },
  },
  partitionsRefusing: {
    name: 'mcp_maintenance_partitions_refusing_from_timestamp_seconds',
    kind: 'gauge',
    help: 'While `partition start` has not ended: from when on the table refuses rows. Absent otherwise.',
    labels: { job: JOB },
  },
  databaseConnected: {
    name: 'mcp_maintenance_database_connected',
    kind: 'gauge',
    help: '1 while this process is connected to a database that takes writes; 0 while there is none, or a standby in its place.',
    labels: {},
  },
  migrations: {
    name: 'mcp_maintenance_migrations',
    kind: 'gauge',
    help: 'Migrations that are applied, and that are not yet.',
    labels: { state: ['applied', 'pending'] },
  },
  buildInfo: {
    name: 'mcp_maintenance_build_info',
    kind: 'gauge',
    help: 'Always 1; the version is a label.',
    labels: { version: [] },
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>
