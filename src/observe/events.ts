import type { DatabaseError } from '../database/database-error.ts'
import type { DatabaseListener, Label } from '../database/database.ts'
import { linesOf, MaintenanceError, messageOf } from '../errors.ts'
import { grantingSentence } from '../migrations/granted-roles.ts'
import type { MigrationListener } from '../migrations/migrate-options.ts'
import { counted, countText } from '../number-text.ts'
import type { PauseReason } from '../purge/pacer.ts'
import type { ReceiptMark } from '../receipts/receipt.ts'
import { isBad, type RunResult } from '../runs/result.ts'
import type { RunListener } from '../runs/run-context.ts'
import { withoutCredentials } from '../secrets/foreign-text.ts'
import { formatTime } from '../time/clock.ts'
import type { Log } from './log.ts'

/** Every event that the program reports: one function for each, which logs one line. */
export interface Events extends DatabaseListener, MigrationListener, RunListener {
  workerStarted(fields: { version: string; database: Label; jobs: readonly string[]; timeZone: string }): void
  workerStopped(reason: string, durationMs: number): void
  jobFinished(result: RunResult): void
  /** The first attempt to migrate is over, and with it everything that a start waits for. */
  migrationsEnded(): void
  /** Partitions for the next days, by this worker. */
  partitionsMade(table: string, partitions: readonly string[]): void
  /** Days that get no partition, and where their rows go. */
  partitionsSkipped(table: string, clause: string): void
  /** What was to be made, or may not be made. */
  partitionsNotMade(table: string, sentence: string): void
  listening(url: string): void
  note(message: string): void
  /** Says whose hold it is and why, and how many rows it keeps, not which: what is named in its conditions may be a person. */
  holdPlaced(hold: ChangedHold): void
  /** `rows`: those that go in the next run because of it. */
  holdReleased(hold: ChangedHold): void
  /** The error that ends the program: one line for each problem. */
  failed(error: unknown): void
}

export interface ChangedHold {
  readonly id: number
  readonly name: string
  readonly by: string
  readonly reason: string
  /** `undefined`: not counted. */
  readonly rows: number | undefined
  /** Whether there may be more. */
  readonly more: boolean
  /** `undefined`: none was written. */
  readonly receipt: ReceiptMark | undefined
}

export function openEvents(log: Log): Events {
  return {
    workerStarted: (fields) => log.info({ event: 'worker.started', ...fields }, 'worker started'),
    workerStopped: (reason, durationMs) => log.info({ event: 'worker.stopped', reason, durationMs }, 'worker stopped'),
    note: (message) => log.info({ event: 'note' }, message),

    holdPlaced: (hold) => log.info({ event: 'hold.placed', ...hold }, `hold ${hold.name} was placed`),
    holdReleased: (hold) => log.info({ event: 'hold.released', ...hold }, `hold ${hold.name} was released`),

    created: (file) => log.info({ event: 'database.created', file }, 'database file created'),
    warning: (message) => log.warn({ event: 'warning' }, message),
    awaiting: (place, reason) =>
      log.warn({ event: 'database.awaiting', place, err: reason }, `the database cannot be used yet, trying again: ${reason}`),
    jobWarning: (job, message) => log.warn({ event: 'job.warning', job }, message),
    lost: (error: DatabaseError) =>
      log.warn({ event: 'database.lost', err: error.message }, `database connection lost, connecting again: ${error.message}`),
    regained: (afterMs) => log.info({ event: 'database.regained', durationMs: afterMs }, 'database connection regained'),

    applied: ({ version, name, durationMs }) => log.info({ event: 'migration.applied', version, name, durationMs }, 'migration applied'),
    current: (applied, latest) => log.info({ event: 'migrations.current', applied, latest }, 'migrations are current'),
    waiting: (holder, waitedMs) =>
      log.info({ event: 'migrations.waiting', holder, durationMs: waitedMs }, `waiting for the migration lock held by ${holder}`),
    blocked: (path, reason, waitedMs) =>
      log.info({ event: 'migrations.blocked', path, durationMs: waitedMs }, `${path} waits for a lock: ${reason}`),
    healed: (path, index) =>
      log.warn(
        { event: 'migrations.healed', path, index },
        `${path}: dropped the invalid index ${index}, left by an interrupted build; it will be built again`,
      ),
    granting: (path, rights, roles) => log.info({ event: 'migrations.grants', path, rights, roles }, grantingSentence(path, rights, roles)),
    slowIndex: (table, rows, message) => log.warn({ event: 'migrations.slow-index', table, rows }, message),

    partitionsMade: (table, partitions) =>
      log.info(
        { event: 'partitions.made', table, partitions },
        `${counted(partitions.length, 'partition')} of ${table} made ahead, up to ${partitions.at(-1)}`,
      ),
    partitionsSkipped: (table, clause) => log.info({ event: 'partitions.skipped', table }, clause),
    partitionsNotMade: (table, sentence) => log.warn({ event: 'partitions.not-made', table }, sentence),

    listening: (url) => log.info({ event: 'http.listening', url }, `listening at ${url}`),

    jobStarted: (job, start) => log.debug({ event: 'job.started', job, ...start }, `${job}: started`),
    jobBatch: (job, { affected, total, durationMs }) =>
      log.debug(
        { event: 'job.batch', job, rows: affected, total, durationMs },
        `${job}: a batch of ${counted(affected, 'row')}, ${countText(total)} by now`,
      ),
    jobPaused: (job, ms, reason) => log.debug({ event: 'job.paused', job, reason, durationMs: ms }, `${job}: waited, ${PAUSES[reason]}`),

    // For counters only: not logged.
    migrationsEnded: () => {},
    jobFinished: (result) => log[levelOf(result)]({ event: 'job.finished', ...fieldsOf(result) }, sentenceOf(result)),

    failed(error) {
      if (!(error instanceof MaintenanceError))
        return log.fatal({ event: 'program.failed', code: 'UNEXPECTED', err: detailOf(error) }, messageOf(error))
      for (const line of error.lines) log.fatal({ event: 'program.failed', code: error.code }, line)
    },
  }
}

const PAUSES: Readonly<Record<PauseReason, string>> = {
  polite: 'because others are active',
  contended: 'because a lock of this run was in the way of others',
  hold: 'because the database is behind with what was written',
  retry: 'before a batch that failed is tried again',
  reconnect: 'for the connection to come back',
}

function levelOf({ outcome }: RunResult): 'info' | 'error' {
  return isBad(outcome) ? 'error' : 'info'
}

function fieldsOf(result: RunResult): Record<string, unknown> {
  const { cutoff, archived, error } = result
  return {
    job: result.job,
    outcome: result.outcome,
    trigger: result.trigger,
    deleted: result.deleted,
    cameBack: result.cameBack,
    batches: result.batches,
    durationMs: result.durationMs,
    cutoff: cutoff === undefined ? undefined : formatTime(cutoff),
    undated: result.undated,
    unreadable: result.unreadable,
    locked: result.locked,
    held: result.held,
    holds: result.holds,
    tooLarge: result.tooLarge,
    cascaded: result.cascaded,
    receipt: result.receipt,
    dryRun: result.dryRun,
    expired: result.expired,
    archivedRows: archived?.rows,
    archivedBytes: archived?.bytes,
    archivedFiles: archived?.files,
    archiveRemovedRows: archived?.removed.rows,
    archiveRemovedBytes: archived?.removed.bytes,
    archiveRemovedFiles: archived?.removed.files,
    archiveLagMs: archived?.lagMs,
    archiveVerifiedAt: archived?.verification === undefined ? undefined : formatTime(archived.verification.at),
    archiveSound: archived?.verification?.sound,
    reason: result.reason,
    err:
      error === undefined ? undefined : error instanceof MaintenanceError ? { code: error.code, message: error.message } : detailOf(error),
  }
}

function sentenceOf({ job, outcome, dryRun, deleted, cascaded, expired, archived, reason, error, held, holds }: RunResult): string {
  const kept = held === 0 ? '' : `, ${countText(held)} kept by ${holds === 1 ? 'a legal hold' : `${countText(holds)} legal holds`}`
  switch (outcome) {
    case 'succeeded':
      if (dryRun) return `${job}: ${counted(expired ?? 0, 'row')} would be deleted${kept}`
      return `${job}: ${counted(deleted, 'row')} deleted${cascaded === 0 ? '' : `, ${countText(cascaded)} went or changed along by foreign keys`}${archived === undefined ? '' : `, ${countText(archived.rows)} archived in ${counted(archived.files, 'file')}`}${kept}`
    case 'skipped':
      return `${job}: skipped, ${reason}`
    case 'interrupted':
      return `${job}: interrupted after ${counted(deleted, 'row')}`
    case 'failed':
    case 'stopped':
      return `${job} ${outcome}: ${linesOf(error).join(' ')}`
  }
}

/** An unexpected error keeps its stack: it is for the developers, not for the operator. */
function detailOf(error: unknown): Record<string, unknown> {
  return error instanceof Error
    ? { code: 'UNEXPECTED', message: messageOf(error), stack: withoutCredentials(error.stack ?? '') }
    : { code: 'UNEXPECTED', message: messageOf(error) }
}
