import type { Job } from '../catalogue.ts'
import type { Census, Database, DatabaseError, TellDay } from '../database/database.ts'
import { exitCodeOf, MaintenanceError, messageOf } from '../errors.ts'
import { counting, removing, watched } from '../retention/disposals.ts'
import { adaptivePacer, countingPacer, type PauseReason } from '../retention/pacer.ts'
import { purge, type Progress } from '../retention/purge.ts'
import { tooLargeSentence } from '../archive/too-large.ts'
import { cutoffOf } from '../retention/rule.ts'
import type { Accepted } from '../retention/safety.ts'
import type { Clock, EpochMs } from '../time.ts'
import { expiredRowsOf, forecastArchive, openArchiving, type ArchiveTarget } from './archiving.ts'
import { RUNS, type RunCounts } from './history.ts'
import { HISTORY_MS, oldRuns } from './old-runs.ts'
import { beginRun } from './begin-run.ts'
import type { ArchivedByRun, Outcome, RunResult, Trigger } from './result.ts'
import type { Run } from './run.ts'
import { checkSafety } from './safety-check.ts'

export interface RunRequest {
  readonly job: Job
  /** `undefined`: the catalogue's default, or a job without retention. */
  readonly retentionMs: number | undefined
  readonly trigger: Trigger
  /** The point in the schedule that the run is for, on the host's clock; of several workers one does it. */
  readonly slot: EpochMs | undefined
  readonly dryRun: boolean
  /** With a dry run, told how many of the rows that would go are of which day. */
  readonly tellDay?: TellDay | undefined
  readonly accepted: Accepted
  readonly stopping: AbortSignal
}

/** What a run has to tell before it ends. Told while it waits: a listener is quick and does not throw. */
export interface RunListener {
  /** The run has its lease; what it comes to is told by its result. */
  jobStarted(job: string, start: JobStart): void
  jobWarning(job: string, message: string): void
  /** A batch is committed; in a dry run: counted. */
  jobBatch(job: string, batch: JobBatch): void
  /** After a wait. */
  jobPaused(job: string, ms: number, reason: PauseReason): void
}

export interface JobStart {
  readonly trigger: Trigger
  readonly dryRun: boolean
}

export interface JobBatch {
  readonly affected: number
  /** By the run so far. */
  readonly total: number
  /** From before BEGIN, waiting for the lock included, to the answer to COMMIT. */
  readonly durationMs: number
}

export interface RunnerOptions {
  readonly database: Database
  readonly clock: Clock
  readonly listener: RunListener
  /** `host:process` */
  readonly worker: string
  readonly version: string
  /** Whether the tables are there that runs are recorded and leases are taken in. */
  readonly recorded: boolean
  /** Where rows go before they are deleted; `undefined`: nowhere. */
  readonly archive?: ArchiveTarget | undefined
}

/** Runs one job from its lease to its result, and never rejects: a failure is a result. */
export async function runJob(options: RunnerOptions, request: RunRequest): Promise<RunResult> {
  const startedMs = options.clock.monotonicMs()
  const work: Work = { progress: NOTHING_DONE, census: undefined, tooLarge: 0, cutoff: undefined, archived: undefined }
  let archived: ArchivedByRun | undefined
  let counts: RunCounts | undefined
  const result = ({ outcome, reason, error }: Ending): RunResult => ({
    job: request.job.name,
    trigger: request.trigger,
    dryRun: request.dryRun,
    outcome,
    reason,
    error,
    recorded: options.recorded && !request.dryRun && counts !== undefined,
    exitCode: error === undefined ? 0 : exitCodeOf(error),
    deleted: request.dryRun ? 0 : (counts?.deleted ?? work.progress.affected),
    expired: request.dryRun ? work.progress.affected : undefined,
    batches: counts?.batches ?? work.progress.batches,
    undated: work.census?.undated ?? 0,
    unreadable: work.census?.unreadable ?? 0,
    locked: work.progress.locked,
    tooLarge: work.tooLarge,
    cutoff: work.cutoff,
    archived,
    durationMs: Math.round(options.clock.monotonicMs() - startedMs),
  })

  let run: Run
  try {
    const begun = await beginRun(options, request)
    if (begun.kind === 'skipped') return result({ outcome: 'skipped', reason: begun.reason })
    run = begun.run
    options.listener.jobStarted(request.job.name, { trigger: request.trigger, dryRun: request.dryRun })
  } catch (error) {
    return result(endingOf(error, request))
  }

  const ending = await performed(options, request, run, work).catch((error: unknown) => endingOf(error, request))
  try {
    const error = ending.error === undefined ? ending.reason : messageOf(ending.error)
    const { census, cutoff, progress } = work
    archived = await work.archived?.().catch(() => undefined)
    const { undated, unreadable } = census ?? { undated: 0, unreadable: 0 }
    counts = await run.finish({ outcome: ending.outcome, cutoff, undated, unreadable, locked: progress.locked, error })
    return result(ending)
  } catch (error) {
    // The next holder of the lease closes what is left open in the history.
    return result(ending.outcome === 'succeeded' ? endingOf(error, request) : ending)
  }
}

interface Work {
  progress: Progress
  census: Census | undefined
  /** Rows that were kept because the archive does not take them. */
  tooLarge: number
  cutoff: EpochMs | undefined
  /** What the run added to the archive. */
  archived: (() => Promise<ArchivedByRun>) | undefined
}

interface Ending {
  readonly outcome: Outcome
  readonly reason?: string
  readonly error?: unknown
}

const NOTHING_DONE: Progress = { batches: 0, affected: 0, locked: 0, refused: 0, refusal: undefined }

async function performed(options: RunnerOptions, request: RunRequest, run: Run, work: Work): Promise<Ending> {
  const { database, clock, listener } = options
  const { job, dryRun, stopping } = request
  const warn = (message: string): void => listener.jobWarning(job.name, message)
  const retentionMs = job.retention === undefined ? undefined : (request.retentionMs ?? job.retention.defaultMs)
  const cutoff = cutoffOf(job, retentionMs, run.now)
  work.cutoff = cutoff
  const inspection = await database.inspect(job)
  if (inspection.kind === 'absent') return { outcome: 'skipped', reason: inspection.reason }
  for (const warning of inspection.warnings) warn(warning)

  const forecast = (): ReturnType<typeof forecastArchive> => forecastArchive(options, request, run.now)
  const safety = checkSafety({ ...options, ...request, run, cutoff, retentionMs, forecast, warn })
  await (dryRun ? safety.catch((error: unknown) => warnOfStop(messageOf(safetyStop(error)), warn)) : safety)
  if (dryRun) warnOfStop((await forecast())?.stop ?? '', warn)
  if (stopping.aborted) return { outcome: 'interrupted' }
  run.accept(cutoff, retentionMs)

  const expired = expiredRowsOf(options, job, cutoff)
  await using archiving = dryRun ? undefined : await openArchiving(options, request, run, { cutoff, retentionMs, expired })
  work.archived = archiving?.archived
  const rows = archiving?.rows ?? expired
  const dispose = watched(dryRun ? counting(request.tellDay) : removing(run.batch), clock, ({ affected }, durationMs) =>
    listener.jobBatch(job.name, { affected, total: work.progress.affected + affected, durationMs }),
  )
  const paused = (ms: number, reason: PauseReason): void => listener.jobPaused(job.name, ms, reason)
  const pacer = await (dryRun ? countingPacer : adaptivePacer)(database, clock, stopping, paused)
  await purge(rows, dispose, pacer, (progress) => void (work.progress = progress), stopping)
  const archiveStop = await archiving?.finish()
  if (work.progress.affected > 0) await database.tidy(true)
  if (stopping.aborted) return { outcome: 'interrupted' }

  work.census = await rows.census(dryRun)
  if (work.census.unreadable > 0) warn(unreadableWarning(job, work.census))
  const tooLarge = await rows.tooLarge()
  work.tooLarge = tooLarge.rows
  if (tooLarge.rows > 0) warn(tooLargeSentence(job.table, tooLarge))
  // Only the job that keeps the audit logs within bounds does the same for the worker's own record.
  if (options.recorded && !dryRun && job.retention !== undefined) await purgeOldRuns(options, request, run)
  if (stopping.aborted) return { outcome: 'interrupted' }
  const refused = refusedRows(job, work.progress)
  if (archiveStop !== undefined) return { outcome: 'stopped', error: together(archiveStop, refused) }
  return refused === undefined ? { outcome: 'succeeded' } : { outcome: 'failed', error: refused }
}

async function purgeOldRuns({ database, clock }: RunnerOptions, { stopping }: RunRequest, run: Run): Promise<void> {
  const rows = oldRuns(database, database.named(RUNS), run.now - HISTORY_MS)
  const pacer = await adaptivePacer(database, clock, stopping)
  await purge(rows, removing(run.quietBatch), pacer, () => {}, stopping)
}

function endingOf(error: unknown, { stopping }: RunRequest): Ending {
  // A connection that was cut because the program is ending is the ending, not a failure.
  if (stopping.aborted && isLoss(error)) return { outcome: 'interrupted' }
  return { outcome: isSafetyStop(error) ? 'stopped' : 'failed', error }
}

function warnOfStop(message: string, warn: (message: string) => void): void {
  for (const line of message.split('\n')) if (line !== '') warn(`a run would be stopped: ${line}`)
}

function safetyStop(error: unknown): unknown {
  if (!isSafetyStop(error)) throw error
  return error
}

function together(stop: MaintenanceError, other: MaintenanceError | undefined): MaintenanceError {
  return other === undefined ? stop : new MaintenanceError(stop.code, [...stop.lines, ...other.lines], { cause: other })
}

function isSafetyStop(error: unknown): boolean {
  return error instanceof MaintenanceError && error.code === 'SAFETY_STOP'
}

function unreadableWarning(job: Job, census: Census): string {
  const shapes = census.shapes.map((shape) => JSON.stringify(shape)).join(', ')
  return `${census.unreadable} rows of ${job.table} are kept because "${job.column}" cannot be read as a time (shapes: ${shapes})`
}

function refusedRows(job: Job, progress: Progress): MaintenanceError | undefined {
  if (progress.refused === 0) return undefined
  return new MaintenanceError(
    'JOB_FAILED',
    `${progress.refused} expired rows of ${job.table} refuse to be deleted and were left, all others are gone; mend what refuses, and the next run takes them. The first said: ${progress.refusal}`,
  )
}

const LOSSES: ReadonlySet<string> = new Set(['lost', 'unreachable'])

function isLoss(error: unknown): boolean {
  return LOSSES.has((error as DatabaseError).trouble)
}
