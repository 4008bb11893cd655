import type { Job } from '../catalogue.ts'
import type { Census, Database, DatabaseError, Slice } from '../database/database.ts'
import { exitCodeOf, MaintenanceError, messageOf, type ExitCode } from '../errors.ts'
import { counting, removing } from '../retention/disposals.ts'
import { adaptivePacer, countingPacer } from '../retention/pacer.ts'
import { purge, type Progress } from '../retention/purge.ts'
import { cutoffOf } from '../retention/rule.ts'
import type { Clock, EpochMs } from '../time.ts'

export type Trigger = 'run-now' | 'schedule' | 'catch-up'

/** `interrupted`: told to stop before it was done. `skipped`: there was nothing it could work on. `stopped`: a safety stop. */
export type Outcome = 'succeeded' | 'failed' | 'skipped' | 'interrupted' | 'stopped'

export interface RunRequest {
  readonly job: Job
  /** `undefined`: the catalogue's default, or a job without retention. */
  readonly retentionMs: number | undefined
  readonly trigger: Trigger
  readonly dryRun: boolean
  readonly stopping: AbortSignal
}

/** What one run came to; every count is of this run. */
export interface RunResult {
  readonly job: string
  readonly trigger: Trigger
  readonly dryRun: boolean
  readonly outcome: Outcome
  /** Why it was skipped, in a sentence. */
  readonly reason: string | undefined
  readonly error: unknown
  readonly exitCode: ExitCode
  readonly deleted: number
  /** With a dry run: how many rows a run at that moment would have deleted. */
  readonly expired: number | undefined
  readonly batches: number
  readonly undated: number
  readonly unreadable: number
  readonly locked: number
  /** `undefined` when the run ended before it had one. */
  readonly cutoff: EpochMs | undefined
  readonly durationMs: number
}

/** What a run has to tell before it ends. */
export interface RunListener {
  jobWarning(job: string, message: string): void
}

export interface RunnerOptions {
  readonly database: Database
  readonly clock: Clock
  readonly listener: RunListener
}

/** Runs one job from its inspection to its result, and never rejects: a failure is a result. */
export async function runJob(options: RunnerOptions, request: RunRequest): Promise<RunResult> {
  const { clock } = options
  const startedMs = clock.monotonicMs()
  const run: Run = { progress: NOTHING_DONE, census: undefined, cutoff: undefined }
  const result = (outcome: Outcome, why: { reason?: string; error?: unknown } = {}): RunResult => ({
    job: request.job.name,
    trigger: request.trigger,
    dryRun: request.dryRun,
    outcome,
    reason: why.reason,
    error: why.error,
    exitCode: why.error === undefined ? 0 : exitCodeOf(why.error),
    deleted: request.dryRun ? 0 : run.progress.affected,
    expired: request.dryRun ? run.progress.affected : undefined,
    batches: run.progress.batches,
    undated: run.census?.undated ?? 0,
    unreadable: run.census?.unreadable ?? 0,
    locked: run.progress.locked,
    cutoff: run.cutoff,
    durationMs: Math.round(clock.monotonicMs() - startedMs),
  })

  try {
    const skipped = await performed(options, request, run)
    if (skipped !== undefined) return result('skipped', { reason: skipped })
    if (request.stopping.aborted) return result('interrupted')
    const refusal = refusedRows(request.job, run.progress)
    return refusal === undefined ? result('succeeded') : result('failed', { error: refusal })
  } catch (error) {
    // A connection that was cut because the program is ending is the ending, not a failure.
    if (request.stopping.aborted && isLoss(error)) return result('interrupted')
    return result('failed', { error })
  }
}

interface Run {
  progress: Progress
  census: Census | undefined
  cutoff: EpochMs | undefined
}

const NOTHING_DONE: Progress = { batches: 0, affected: 0, locked: 0, refused: 0, refusal: undefined }

/** Why the job was skipped, or `undefined` when it ran. */
async function performed(options: RunnerOptions, request: RunRequest, run: Run): Promise<string | undefined> {
  const { database, clock, listener } = options
  const { job, dryRun, stopping } = request
  run.cutoff = cutoffOf(job, request.retentionMs, await database.now())
  const inspection = await database.inspect(job)
  if (inspection.kind === 'absent') return inspection.reason
  for (const warning of inspection.warnings) listener.jobWarning(job.name, warning)

  const rows = database.expired(job, run.cutoff)
  const dispose = dryRun ? counting() : removing(database)
  const pacer = await (dryRun ? countingPacer : adaptivePacer)(database, clock, stopping)
  await purge(rows, dispose, pacer, (progress) => void (run.progress = progress), stopping)
  if (run.progress.affected > 0) await database.tidy(true)
  if (stopping.aborted) return undefined

  run.census = await rows.census(dryRun)
  if (run.census.unreadable > 0) listener.jobWarning(job.name, unreadableWarning(job, run.census))
  return undefined
}

function unreadableWarning(job: Job, census: Census): string {
  const shapes = census.shapes.map((shape) => JSON.stringify(shape)).join(', ')
  return `${census.unreadable} rows of ${job.table} are kept because "${job.column}" cannot be read as a time (shapes: ${shapes})`
}

function refusedRows(job: Job, progress: Progress): MaintenanceError | undefined {
  if (progress.refused === 0) return undefined
  return new MaintenanceError(
    'JOB_FAILED',
    `${progress.refused} expired rows of ${job.table} refuse to be deleted and were left, all others are gone; the first said: ${progress.refusal}`,
  )
}

const LOSSES: ReadonlySet<string> = new Set(['lost', 'unreachable'])

function isLoss(error: unknown): boolean {
  return LOSSES.has((error as DatabaseError).trouble)
}

/** A sentence for the log's `err`, without a stack trace. */
export function failureOf(result: RunResult): string | undefined {
  return result.error === undefined ? undefined : messageOf(result.error)
}

export type { Slice }
