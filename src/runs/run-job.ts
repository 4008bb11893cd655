import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import type { DatabaseError } from '../database/database-error.ts'
import { exitCodeOf, MaintenanceError, messageOf } from '../errors.ts'
import { counted } from '../number-text.ts'
import { NO_PROGRESS } from '../purge/purge.ts'
import { JUMP_MS } from '../purge/safety.ts'
import type { EpochMs } from '../time/clock.ts'
import { NOTHING_HELD } from './held-rows-of-run.ts'
import { mayHaveHolds } from './holds-in-force.ts'
import { HOLDS } from './hold-tables.ts'
import { namingGrants, RUN_RIGHTS } from './hold-rights.ts'
import { isSafetyStop, purgeWork, type Account, type Ending } from './purge-work.ts'
import { claimRun, type Claim } from './recorded-run.ts'
import { cameBackSentence, type ArchivedByRun, type RunResult } from './result.ts'
import { runReceiptsOf } from './run-receipts.ts'
import type { RunContext, RunRequest } from './run-context.ts'
import { LEASES, RUNS, precedentOf, type Precedent } from './run-records.ts'
import { unrecordedRun, type Finish, type HoldsOfRun, type Run } from './run.ts'
import { withRetry } from './with-retry.ts'

/** A run that the database has forgotten is begun again so often. */
const MOST_BEGINNINGS = 3

/**
 * Runs one job: takes the lease and inserts the run's row, purges, then closes the row and releases the lease. Never rejects: a failure is returned as a
 * result. A run that a failover of the database has undone from its beginning is begun again.
 */
export async function runJob(context: RunContext, request: RunRequest): Promise<RunResult> {
  const startedMs = context.clock.monotonicMs()
  let cameBack = 0
  for (let beginnings = 1; ; beginnings += 1) {
    const { result, forgotten } = await runOnce(context, request, startedMs)
    cameBack += result.cameBack
    if (!forgotten || beginnings === MOST_BEGINNINGS || request.stopping.aborted) {
      if (cameBack > 0) context.listener.jobWarning(request.job.name, cameBackSentence(cameBack))
      return { ...result, cameBack }
    }
  }
}

interface Once {
  readonly result: RunResult
  /** See `Finish`. */
  readonly forgotten: boolean
}

async function runOnce(context: RunContext, request: RunRequest, startedMs: number): Promise<Once> {
  const { clock, listener } = context
  const { job, trigger, dryRun } = request
  const account: Account = {
    progress: NO_PROGRESS,
    cutoff: undefined,
    census: { undated: 0, unreadable: 0 },
    tooLarge: 0,
    held: NOTHING_HELD,
    cascaded: 0,
    days: dryRun && request.byDay === true ? { expired: new Map(), spared: new Map() } : undefined,
    archived: undefined,
  }
  const once = (ending: Ending, onRecord: OnRecord = {}): Once => ({
    result: resultOf(context, request, account, { ...ending, ...onRecord, durationMs: Math.round(clock.monotonicMs() - startedMs) }),
    forgotten: onRecord.finish?.kind === 'forgotten',
  })

  let run: Run
  try {
    const begun = await beginRun(context, request)
    if (begun.kind === 'skipped') return once({ outcome: 'skipped', reason: begun.reason })
    run = begun.run
    listener.jobStarted(job.name, { trigger, dryRun })
  } catch (error) {
    return once(endingOf(error, request))
  }

  const ending = await namingGrants(
    context.database,
    RUN_RIGHTS,
    () => undoneSentence(account),
    () => purgeWork(context, request, run, account),
  ).catch((error: unknown) => endingOf(error, request))
  let archived: ArchivedByRun | undefined
  try {
    archived = await account.archived?.().catch(() => undefined)
    const { census, cutoff, progress } = account
    const { undated, unreadable } = census
    const error = ending.error === undefined ? ending.reason : messageOf(ending.error)
    const finish = await run.finish({ outcome: ending.outcome, cutoff, undated, unreadable, locked: progress.locked, error })
    return once(ending, { archived, finish })
  } catch (error) {
    // The row stays open: the next worker that takes the lease marks it as interrupted.
    return once(ending.outcome === 'succeeded' ? endingOf(error, request) : ending, { archived })
  }
}

function undoneSentence({ progress: { affected } }: Account): string {
  return affected === 0 ? 'Nothing was deleted.' : `${counted(affected, 'row')} went before.`
}

/** Dry runs, and runs on a database without the maintenance tables, take no lease and write no record. */
async function beginRun(context: RunContext, request: RunRequest): Promise<Claim> {
  const { database, clock, recorded } = context
  const { job, trigger, slot, stopping, dryRun } = request
  const holds = await withRetry({ database, clock, stopping }, () => holdsOf(database, job))
  if (recorded && !dryRun) {
    const { worker, version, signer } = context
    const receipts = await withRetry({ database, clock, stopping }, () => runReceiptsOf({ database, worker, version, signer }, job))
    return claimRun(context, { job: job.name, holds, trigger, slot, receipts, stopping })
  }
  if (holds === 'read' && !dryRun) throw new MaintenanceError('JOB_FAILED', withoutLeases(job))
  const precedent = async (now: EpochMs): Promise<Precedent | undefined> =>
    recorded ? precedentOf(database, database.named(RUNS), job.name, now, JUMP_MS) : undefined
  const run = await withRetry({ database, clock, stopping }, () => unrecordedRun(database, clock, holds, precedent))
  return { kind: 'run', run }
}

async function holdsOf(database: Database, job: Job): Promise<HoldsOfRun> {
  if (job.holdable.by.length === 0) return 'none'
  return (await mayHaveHolds(database, job)) ? 'read' : 'unmade'
}

function withoutLeases({ name }: Job): string {
  return (
    `There are legal holds (${HOLDS}), but ${RUNS} or ${LEASES} is missing, so a hold that is placed during a run of ${name} could not stop it. Nothing was deleted. ` +
    'Apply the migrations; where they are disabled, run the files by hand.'
  )
}

interface OnRecord {
  readonly archived?: ArchivedByRun | undefined
  readonly finish?: Finish
}

function resultOf(
  { recorded }: RunContext,
  { job, trigger, dryRun }: RunRequest,
  { progress, census, tooLarge, held, cascaded, cutoff, days }: Account,
  { outcome, reason, error, archived, finish, durationMs }: Ending & OnRecord & { readonly durationMs: number },
): RunResult {
  const counts = finish?.kind === 'recorded' ? finish.counts : undefined
  // What a forgotten run had committed is undone.
  const done = finish?.kind === 'forgotten' ? NO_PROGRESS : progress
  return {
    job: job.name,
    trigger,
    dryRun,
    outcome,
    reason,
    error,
    recorded: recorded && !dryRun && counts !== undefined,
    exitCode: error === undefined ? 0 : exitCodeOf(error),
    deleted: dryRun ? 0 : (counts?.deleted ?? done.affected),
    cameBack: finish === undefined || finish.kind === 'unrecorded' ? 0 : finish.cameBack,
    expired: dryRun ? progress.affected : undefined,
    expiredByDay: days?.expired,
    sparedByDay: days?.spared,
    batches: counts?.batches ?? done.batches,
    undated: census.undated,
    unreadable: census.unreadable,
    locked: progress.locked,
    held: held.rows,
    holds: held.byHold.length,
    tooLarge,
    cascaded,
    cutoff,
    archived,
    receipt: finish?.kind === 'recorded' ? finish.receipt : undefined,
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
