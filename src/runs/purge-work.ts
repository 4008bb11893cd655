import { tooLargeSentence } from '../archive/too-large.ts'
import type { Job } from '../catalogue.ts'
import type { Census, Slices } from '../database/purging.ts'
import { MaintenanceError, messageOf } from '../errors.ts'
import { counted, plural } from '../number-text.ts'
import { cutoffOf } from '../purge/cutoff.ts'
import { countSlice, countSliceByDay, deleteSlice, timed } from '../purge/dispose.ts'
import { adaptivePacer, countingPacer, type PauseReason } from '../purge/pacer.ts'
import { MOST_SLOW, purge, type Dispose, type Progress } from '../purge/purge.ts'
import { termsOf } from '../purge/terms.ts'
import type { EpochMs } from '../time/clock.ts'
import { durationText } from '../time/time-text.ts'
import { exportedRowsOf, forecastArchive, openArchiving, unarchivedBy, type ArchivedRun } from './archive-run.ts'
import { currentRows } from './current-rows.ts'
import { countHeld, surveyHeld, forgetHeld, noteHeld, type HeldRows } from './held-rows-of-run.ts'
import { RUN_HOLDS } from './hold-tables.ts'
import type { ArchivedByRun, Outcome } from './result.ts'
import type { RunContext, RunRequest } from './run-context.ts'
import { openPolicy, type RunPolicy } from './run-policy.ts'
import { deleteOldRuns, HISTORY_MS, RUNS } from './run-records.ts'
import type { Run } from './run.ts'
import { compareRules } from './rules-check.ts'
import { checkSafety, type SafetyOptions } from './safety-check.ts'
import { withRetry } from './with-retry.ts'

/** How the work of a run ended. */
export interface Ending {
  readonly outcome: Outcome
  readonly reason?: string
  readonly error?: unknown
}

/** What the run has done so far. Updated as it proceeds, so that a failed run still reports it. */
export interface Account {
  progress: Progress
  cutoff: EpochMs | undefined
  /** Rows that are kept because their time is NULL or cannot be read. */
  census: Pick<Census, 'undated' | 'unreadable'>
  /** Rows that are kept because they are too large for the archive. */
  tooLarge: number
  /** Rows that are kept because of legal holds. */
  held: HeldRows
  /** Rows that foreign keys deleted or changed along. */
  cascaded: number
  /** Rows by day, those that would go and those that holds and rules keep; only of a dry run that counts by day. */
  readonly days: { readonly expired: Map<EpochMs, number>; readonly spared: Map<EpochMs, number> } | undefined
  /** Reads what the run added to the archive; set once the archive is open. */
  archived: (() => Promise<ArchivedByRun>) | undefined
}

/** The work of one purge: inspect the table, check that deleting is safe, walk the rows, count those that stay. */
export async function purgeWork(context: RunContext, request: RunRequest, run: Run, account: Account): Promise<Ending> {
  const { database, clock, listener, turns } = context
  const { job, retentionMs, dryRun, stopping } = request
  const warn = (message: string): void => listener.jobWarning(job.name, message)
  const cutoff = cutoffOf(request, run.now)
  account.cutoff = cutoff
  // The pacer retries batches. What comes before and after them only reads, and is retried here.
  const retried = <T>(work: () => Promise<T>): Promise<T> => withRetry({ database, clock, stopping }, work)
  const policy = await retried(() => openPolicy(context, request, run))
  const { spared } = policy
  const inspection = await retried(() =>
    database.inspect(job, termsOf(job, request.cascade, context.archive !== undefined, spared, policy.alsoKeeping)),
  )
  if (inspection.kind === 'absent') return { outcome: 'skipped', reason: inspection.reason }
  for (const warning of [...inspection.warnings, ...untold(context, inspection.lasting)]) warn(warning)

  const exported = exportedRowsOf(context, request, cutoff, spared)
  const expired = exported ?? database.expired(job, cutoff, spared)
  const rules = await retried(() => compareRules(context, request, run, expired))
  const heldRows = async (): Promise<number> => (await countHeld(database, job, cutoff, policy.holds())).rows
  await retried(() => checkSafetyOrWarn(context, request, run, { expired, rulesStop: rules.stop, heldRows }))
  if (rules.warning !== undefined) warn(rules.warning)
  if (!dryRun) await retried(() => turns.take(() => database.rehearse(job, cutoff, spared, stopping)))
  if (stopping.aborted) return { outcome: 'interrupted' }
  run.accept(cutoff, retentionMs, rules.record?.note)

  const surveyed = policy.holds()
  if (spared.length > 0) account.held = await retried(() => turns.take(() => surveyHeld(expired, surveyed)))
  if (stopping.aborted) return { outcome: 'interrupted' }

  const { archive } = context
  await using archiving =
    dryRun || exported === undefined || archive === undefined
      ? undefined
      : await openArchiving({ ...context, archive }, request, run, cutoff, exported, policy)
  account.archived = archiving?.archived
  const dispose = timed(disposeOf(context, request, run, policy, account), clock, ({ affected, cascaded = 0 }, durationMs) => {
    account.cascaded += cascaded
    listener.jobBatch(job.name, { affected, total: account.progress.affected + affected, durationMs })
  })
  const paused = (ms: number, reason: PauseReason): void => listener.jobPaused(job.name, ms, reason)
  const dear = (rowMs: number): void => warn(dearWarning(job, rowMs))
  const walk = currentRows(
    expired,
    () => policy.sparedNow(),
    (now) => database.expired(job, cutoff, now),
  )
  const pacer = await retried(() => (dryRun ? countingPacer : adaptivePacer)(database, clock, stopping, paused, dear))
  const report = (progress: Progress): void => void (account.progress = progress)
  const rows = await withPartitions(context, request, cutoff, archiving, policy, walk)
  await purge({ rows, dispose, pacer, turns, report, stopping })
  const archiveStop = await archiving?.finish()
  if (account.progress.affected > 0) await database.afterBatch(true)
  if (stopping.aborted) return { outcome: 'interrupted' }

  const census = await retried(() => expired.census(dryRun))
  account.census = census
  if (census.unreadable > 0) warn(unreadableWarning(job, census))
  const tooLarge = exported === undefined ? undefined : await retried(() => exported.tooLarge())
  account.tooLarge = tooLarge?.rows ?? 0
  // Holds were placed in the course of the run.
  if (policy.holds() !== surveyed) account.held = await retried(() => countHeld(database, job, cutoff, policy.holds()))
  if (account.days !== undefined && spared.length > 0) {
    await countSparedByDay(context, request, cutoff, account.days)
    if (stopping.aborted) return { outcome: 'interrupted' }
  }
  if (tooLarge !== undefined && tooLarge.rows > 0) warn(tooLargeSentence(job.table, tooLarge))
  // The job with a retention prunes the record of runs as well.
  if (context.recorded && !dryRun && retentionMs !== undefined)
    await retried(() =>
      run.underLease(async (tx) => {
        const runs = database.named(RUNS)
        await deleteOldRuns(tx, runs, run.now - HISTORY_MS)
        await rules.record?.forget(tx, runs)
        if (run.holds !== 'read' || run.id === undefined) return
        const held = database.named(RUN_HOLDS)
        if (policy.holds().length > 0) await noteHeld(tx, held, run.id, account.held)
        await forgetHeld(tx, held, runs)
      }),
    )
  if (stopping.aborted) return { outcome: 'interrupted' }
  const left = leftRows(job, account.progress)
  if (archiveStop !== undefined) return { outcome: 'stopped', error: together(archiveStop, left) }
  return left === undefined ? { outcome: 'succeeded' } : { outcome: 'failed', error: left }
}

/** Counting, the safety stops and a dry run never see partitions: what they count is what goes. */
async function withPartitions(
  context: RunContext,
  { job, dryRun, stopping }: RunRequest,
  cutoff: EpochMs,
  archiving: ArchivedRun | undefined,
  policy: RunPolicy,
  walk: Slices,
): Promise<Slices> {
  const { database, clock, listener } = context
  const rows = archiving?.rows ?? walk
  const partitions = dryRun || context.partitions !== true ? undefined : database.partitions(job)
  if (partitions === undefined) return rows
  const warn = (message: string): void => listener.jobWarning(job.name, message)
  const { WholePartitions } = await import('./whole-partitions.ts')
  return new WholePartitions({
    partitions,
    table: job.table,
    cutoff,
    rows,
    archiving: archiving !== undefined,
    spared: () => policy.sparedNow(),
    lasting: () => policy.holds().map((hold) => hold.spared),
    clock,
    stopping,
    warn,
    note: (message) => untold(context, [message]).forEach(warn),
  })
}

/** All expired rows by day, less those that would go. */
async function countSparedByDay(
  { database, clock, turns }: RunContext,
  { job, stopping }: RunRequest,
  cutoff: EpochMs,
  { expired, spared }: NonNullable<Account['days']>,
): Promise<void> {
  const all = new Map<EpochMs, number>()
  const pacer = await countingPacer(database, clock, stopping)
  await purge({ rows: database.expired(job, cutoff), dispose: countSliceByDay(all), pacer, turns, report: () => {}, stopping })
  for (const [day, rows] of all) if (rows > (expired.get(day) ?? 0)) spared.set(day, rows - (expired.get(day) ?? 0))
}

/** What no run of this process has told before. */
function untold({ toldOnce }: RunContext, lasting: readonly string[]): readonly string[] {
  const fresh = lasting.filter((warning) => toldOnce?.has(warning) !== true)
  for (const warning of fresh) toldOnce?.add(warning)
  return fresh
}

/** Rejects with a safety stop; a dry run only warns of it. */
async function checkSafetyOrWarn(
  context: RunContext,
  request: RunRequest,
  run: Run,
  given: Pick<SafetyOptions, 'expired' | 'rulesStop' | 'heldRows'>,
): Promise<void> {
  const { job, retentionMs, accepted, dryRun, stopping } = request
  const { database, clock, listener, turns } = context
  const warn = (message: string): void => listener.jobWarning(job.name, message)
  const forecast = (): ReturnType<typeof forecastArchive> => forecastArchive(context, request, run.now)
  const unarchived = (): ReturnType<typeof unarchivedBy> => unarchivedBy(context, request)
  const options = { database, clock, turns, run, job, retentionMs, accepted, warn, stopping, ...given }
  const safety = checkSafety({ ...options, forecast, unarchived })
  if (!dryRun) return safety
  await safety.catch((error: unknown) => {
    if (!isSafetyStop(error)) throw error
    warnOfStop(messageOf(error), warn)
  })
  warnOfStop((await forecast())?.stop ?? '', warn)
}

function warnOfStop(message: string, warn: (message: string) => void): void {
  for (const line of message.split('\n')) if (line !== '') warn(`a run would be stopped: ${line}`)
}

export function isSafetyStop(error: unknown): boolean {
  return error instanceof MaintenanceError && error.code === 'SAFETY_STOP'
}

function disposeOf({ clock }: RunContext, { dryRun }: RunRequest, run: Run, policy: RunPolicy, { days }: Account): Dispose {
  if (!dryRun) return deleteSlice(run.batch, (tx) => policy.sparedIn(tx), clock)
  return days === undefined ? countSlice : countSliceByDay(days.expired)
}

function together(stop: MaintenanceError, other: MaintenanceError | undefined): MaintenanceError {
  return other === undefined ? stop : new MaintenanceError(stop.code, [...stop.lines, ...other.lines], { cause: other })
}

function unreadableWarning(job: Job, census: Census): string {
  const shapes = census.shapes.map((shape) => JSON.stringify(shape)).join(', ')
  return `${counted(census.unreadable, 'row')} of ${job.table} ${plural(census.unreadable, 'is', 'are')} kept because "${job.column}" cannot be read as a time (shapes: ${shapes})`
}

const CAUSES = 'a trigger on the table, and a foreign key to it whose column has no index'

function dearWarning({ table }: Job, rowMs: number): string {
  return `deleting a row of ${table} takes ${durationText(rowMs)}, so it is done a few rows at a time; look for ${CAUSES}`
}

function leftRows(job: Job, progress: Progress): MaintenanceError | undefined {
  const lines = [...refusedRows(job, progress), ...slowRows(job, progress)]
  return lines.length === 0 ? undefined : new MaintenanceError('JOB_FAILED', lines)
}

function refusedRows({ table }: Job, { refused, passedOver, refusal }: Progress): string[] {
  if (refused === 0) return []
  const [rows, others] =
    passedOver === 0
      ? [counted(refused, 'expired row'), '']
      : [
          `at least ${counted(refused, 'expired row')}`,
          `, and ${counted(passedOver, 'row')} among them ${plural(passedOver, 'was', 'were')} not tried`,
        ]
  return [
    `A constraint or trigger prevented ${rows} of ${table} from being deleted${others}. Fix the cause, and the next run deletes them. The first error: ${refusal}`,
  ]
}

function slowRows({ table }: Job, { slow, slowest }: Progress): string[] {
  if (slow === 0) return []
  const end = slow < MOST_SLOW ? '' : ' The run ended there, and rows behind them were not tried.'
  return [
    `${counted(slow, 'expired row')} of ${table} ${plural(slow, 'was', 'were')} not deleted because deleting one of them alone takes too long.${end} ` +
      `The first has ${slowest?.name}: ${slowest?.error} Look for ${CAUSES}. Fix the cause, and the next run deletes them.`,
  ]
}
