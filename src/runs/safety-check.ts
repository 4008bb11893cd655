import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import type { ExpiredRows } from '../database/purging.ts'
import { MaintenanceError } from '../errors.ts'
import { countSlice } from '../purge/dispose.ts'
import { countingPacer } from '../purge/pacer.ts'
import { purge } from '../purge/purge.ts'
import {
  emptyingMessage,
  filesLost,
  FUTURE_ROW_MS,
  judgeClocks,
  jumpMessage,
  LEAST_NEWEST_KEPT,
  MOST_ROWS_EMPTIED,
  rowsLost,
  shrinkingMessage,
  smallPartOf,
  suspectGap,
  unarchivedMessage,
  type Accepted,
  type AtStake,
  type SuspectGap,
} from '../purge/safety.ts'
import type { Turns } from '../purge/turns.ts'
import type { Clock } from '../time/clock.ts'
import type { Precedent } from './run-records.ts'
import type { Run } from './run.ts'

export interface SafetyOptions {
  readonly database: Database
  readonly clock: Clock
  readonly turns: Turns
  readonly run: Run
  readonly job: Job
  /** The rows of the run. */
  readonly expired: ExpiredRows
  /** The retention of this run; `undefined`: the job has none. */
  readonly retentionMs: number | undefined
  readonly accepted: Accepted
  /** How many files of the job's archive this run would remove; `undefined`: it has no archive. */
  readonly forecast: () => Promise<{ readonly files: number; readonly expired: number } | undefined>
  /** Whether rows that were deleted so far are in an archive, and those of this run would not be. */
  readonly wouldNotArchive: () => Promise<boolean>
  /** Why the rules of the run stop it; `undefined`: they do not. */
  readonly rulesStop: string | undefined
  /** How many expired rows holds keep. */
  readonly heldRows: () => Promise<number>
  readonly warn: (message: string) => void
  readonly stopping: AbortSignal
}

/** Call before anything is deleted. Rejects with `SAFETY_STOP`, one line per reason. */
export async function checkSafety(options: SafetyOptions): Promise<void> {
  const { run, accepted, retentionMs, warn } = options
  const clocks = judgeClocks(run.clockSkewMs)
  if (clocks.kind === 'stop') throw new MaintenanceError('SAFETY_STOP', clocks.message)
  if (clocks.kind === 'warning') warn(clocks.message)
  if (retentionMs === undefined) return

  const precedent = await run.precedent()
  const reasons = [
    ...(accepted.has('shorter-retention') || precedent === undefined ? [] : await shrinking(options, retentionMs, precedent)),
    ...(options.rulesStop === undefined ? [] : [options.rulesStop]),
    ...(accepted.has('clock') || precedent === undefined ? [] : await jumping(options, precedent)),
    ...(accepted.has('empty-table') ? [] : await emptying(options)),
    ...(accepted.has('no-archive') ? [] : await notArchiving(options)),
  ]
  if (reasons.length > 0) throw new MaintenanceError('SAFETY_STOP', reasons)
}

async function shrinking(options: SafetyOptions, retentionMs: number, precedent: Precedent): Promise<string[]> {
  const { job } = options
  const lastAcceptedMs = precedent.retentionMs
  if (retentionMs >= lastAcceptedMs) return []
  const stake = await atStake(options)
  if (!(await expireMoreThan(options, smallPartOf(stake.rows)))) return []
  return [shrinkingMessage({ job: job.name, table: job.table, retentionMs, lastAcceptedMs, stake })]
}

/** More than a week without a run, hardly any rows from that time, and much to delete: probably the clock was set. */
async function jumping(options: SafetyOptions, { gaps }: Precedent): Promise<string[]> {
  const { job } = options
  const jump = await firstJump(options, gaps.map(suspectGap))
  if (jump === undefined) return []
  const stake = await atStake(options)
  const archive = await options.forecast()
  const losses = [
    ...((await expireMoreThan(options, smallPartOf(stake.rows))) ? [rowsLost(stake, job.table)] : []),
    ...(archive !== undefined && archive.expired > smallPartOf(archive.files) ? [filesLost(archive.files, job.table)] : []),
  ]
  return losses.length === 0 ? [] : [jumpMessage({ ...jump, job: job.name, table: job.table, losses })]
}

async function firstJump({ database, job }: SafetyOptions, gaps: readonly (SuspectGap | undefined)[]): Promise<SuspectGap | undefined> {
  for (const gap of gaps) {
    if (gap === undefined) continue
    const { daysFrom, daysTo, leastDaysWithRows } = gap
    if ((await database.expired(job, daysTo).daysSince(daysFrom, leastDaysWithRows)) < leastDaysWithRows) return gap
  }
  return undefined
}

async function emptying(options: SafetyOptions): Promise<string[]> {
  const { expired, job, run } = options
  const kept = await expired.keptUntil(run.now + FUTURE_ROW_MS, LEAST_NEWEST_KEPT)
  if (kept >= LEAST_NEWEST_KEPT) return []
  return (await expireMoreThan(options, MOST_ROWS_EMPTIED)) ? [emptyingMessage(job.name, job.table)] : []
}

/** Most often a setting that was lost: another worker, a misspelt variable, a command by hand. */
async function notArchiving(options: SafetyOptions): Promise<string[]> {
  const { job, wouldNotArchive } = options
  if (!(await wouldNotArchive()) || !(await expireMoreThan(options, 0))) return []
  return [unarchivedMessage(job.name, job.table)]
}

/** For more rows an exact count would take long, and the estimate is good, because a table of this size is analyzed regularly. */
const EXACT_ROWS = 5_000_000

async function atStake({ database, job, heldRows }: SafetyOptions): Promise<AtStake> {
  const held = await heldRows()
  return { rows: Math.max(0, (await rowsOf(database, job.table)) - held), held }
}

async function rowsOf(database: Database, table: string): Promise<number> {
  const about = await database.approximateRows(table)
  if (about > EXACT_ROWS) return about
  const { rows } = await database.query<{ n: number }>(`SELECT count(*) AS n FROM ${database.named(table)}`)
  return rows[0]?.n ?? 0
}

/** Stops counting as soon as the answer is known. */
async function expireMoreThan({ database, clock, turns, expired: rows, stopping }: SafetyOptions, most: number): Promise<boolean> {
  const enough = new AbortController()
  const signal = AbortSignal.any([stopping, enough.signal])
  let expired = 0
  const report = ({ affected }: { readonly affected: number }): void => {
    expired = affected
    if (affected > most) enough.abort()
  }
  await purge({ rows, dispose: countSlice, pacer: await countingPacer(database, clock, signal), turns, report, stopping: signal })
  return expired > most
}
