import type { DatabaseError } from '../database/database-error.ts'
import { exitCodeOf, messageOf } from '../errors.ts'
import { NO_PROGRESS } from '../purge/purge.ts'
import { JUMP_MS } from '../purge/safety.ts'
import type { EpochMs } from '../time/clock.ts'
import { isSafetyStop, purgeWork, type Account, type Ending } from './purge-work.ts'
import { claimRun, type Claim } from './recorded-run.ts'
import type { ArchivedByRun, RunResult } from './result.ts'
import type { RunContext, RunRequest } from './run-context.ts'
import { RUNS, precedentOf, type Precedent, type RunCounts } from './run-records.ts'
import { unrecordedRun, type Run } from './run.ts'
import { withRetry } from './with-retry.ts'

/**
 * Runs one job: takes the lease and inserts the run's row, purges, then closes the row and releases the lease. Never rejects: a failure is returned as a
 * result.
 */
export async function runJob(context: RunContext, request: RunRequest): Promise<RunResult> {
  const { clock, listener } = context
  const { job, trigger, dryRun } = request
  const startedMs = clock.monotonicMs()
  const account: Account = {
    progress: NO_PROGRESS,
    cutoff: undefined,
    census: { undated: 0, unreadable: 0 },
    tooLarge: 0,
    cascaded: 0,
    days: dryRun && request.byDay === true ? new Map() : undefined,
    archived: undefined,
  }
  const result = (ending: Ending, onRecord: OnRecord = {}): RunResult =>
    resultOf(context, request, account, { ...ending, ...onRecord, durationMs: Math.round(clock.monotonicMs() - startedMs) })

  let run: Run
  try {
    const begun = await beginRun(context, request)
    if (begun.kind === 'skipped') return result({ outcome: 'skipped', reason: begun.reason })
    run = begun.run
    listener.jobStarted(job.name, { trigger, dryRun })
  } catch (error) {
    return result(endingOf(error, request))
  }

  const ending = await purgeWork(context, request, run, account).catch((error: unknown) => endingOf(error, request))
  let archived: ArchivedByRun | undefined
  try {
    archived = await account.archived?.().catch(() => undefined)
    const { census, cutoff, progress } = account
    const { undated, unreadable } = census
    const error = ending.error === undefined ? ending.reason : messageOf(ending.error)
    const counts = await run.finish({ outcome: ending.outcome, cutoff, undated, unreadable, locked: progress.locked, error })
    return result(ending, { archived, counts })
  } catch (error) {
    // The row stays open: the next worker that takes the lease marks it as interrupted.
    return result(ending.outcome === 'succeeded' ? endingOf(error, request) : ending, { archived })
  }
}

/** Dry runs, and runs on a database without the maintenance tables, take no lease and write no record. */
async function beginRun(context: RunContext, request: RunRequest): Promise<Claim> {
  const { database, clock, recorded } = context
  const { job, trigger, slot, stopping, dryRun } = request
  if (recorded && !dryRun) return claimRun(context, { job: job.name, trigger, slot, stopping })
  const precedent = async (now: EpochMs): Promise<Precedent | undefined> =>
    recorded ? precedentOf(database, database.named(RUNS), job.name, now, JUMP_MS) : undefined
  const run = await withRetry({ database, clock, stopping }, () => unrecordedRun(database, clock, precedent))
  return { kind: 'run', run }
}

interface OnRecord {
  readonly archived?: ArchivedByRun | undefined
  readonly counts?: RunCounts | undefined
}

function resultOf(
  { recorded }: RunContext,
  { job, trigger, dryRun }: RunRequest,
  { progress, census, tooLarge, cascaded, cutoff, days }: Account,
  { outcome, reason, error, archived, counts, durationMs }: Ending & OnRecord & { readonly durationMs: number },
): RunResult {
  return {
    job: job.name,
    trigger,
    dryRun,
    outcome,
    reason,
    error,
    recorded: recorded && !dryRun && counts !== undefined,
    exitCode: error === undefined ? 0 : exitCodeOf(error),
    deleted: dryRun ? 0 : (counts?.deleted ?? progress.affected),
    expired: dryRun ? progress.affected : undefined,
    expiredByDay: days,
    batches: counts?.batches ?? progress.batches,
    undated: census.undated,
    unreadable: census.unreadable,
    locked: progress.locked,
    tooLarge,
    cascaded,
    cutoff,
    archived,
    durationMs,
  }
}

function endingOf(error: unknown, { stopping }: RunRequest): Ending {
  // Losing the connection during shutdown counts as an interruption, not a failure.
  if (stopping.aborted && isLoss(error)) return { outcome: 'interrupted' }
  return { outcome: isSafetyStop(error) ? 'stopped' : 'failed', error }
}

const LOSSES: ReadonlySet<string> = new Set(['lost', 'unreachable'])

function isLoss(error: unknown): boolean {
  return LOSSES.has((error as DatabaseError).kind)
}
