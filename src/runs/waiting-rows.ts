import { overdueOf } from '../purge/overdue.ts'
import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import { MOST_COUNTED, type Estimate, type ExpiredRows } from '../database/purging.ts'
import type { Query } from '../database/query.ts'
import { boundedText, orNothing, storedTime } from '../database/stored-values.ts'
import type { Hold } from '../policy/holds.ts'
import { sparedByRule, type Policy, type Rule } from '../policy/rules.ts'
import type { SparedRows } from '../policy/spared.ts'
import { HOUR, type EpochMs } from '../time/clock.ts'
import { HOLDS } from './hold-tables.ts'
import { holdsInForce, mayHaveHolds } from './holds-in-force.ts'
import { lastCounted, lastEnded, runTables, RUN_TABLES, type PastRun, type RunTables } from './past-runs.ts'
import { policyDigest } from './policy-records.ts'

/** What stays, although its time is before the cutoff. */
export interface Kept {
  readonly holds: readonly Hold[]
  /** What the holds and the rules keep at this moment. */
  readonly spared: SparedRows
}

/** What the record of runs says of it. */
export interface Basis {
  /** The times of the rows that can wait; `undefined`: any may. */
  readonly windows: readonly Window[] | undefined
  /** The last run that counted what holds keep; `undefined`: there is none. */
  readonly counted: Pick<PastRun, 'id' | 'held'> | undefined
}

/** Which expired rows wait for a run, and are not kept: the measure of every gauge of what waits. */
export interface Waiting extends Kept, Basis {}

/** A job as it is configured, in a part. */
export interface WaitingPlan {
  readonly job: Job
  readonly retentionMs: number | undefined
  /** Absent: none. */
  readonly rules?: readonly Rule[]
}

/** Rejects, as a run does, if a hold cannot be read or understood. */
export async function readKept(database: Database, { job, rules = [] }: WaitingPlan, now: EpochMs): Promise<Kept> {
  const holds = (await mayHaveHolds(database, job)) ? await holdsInForce(database, database.named(HOLDS), job) : []
  return { holds, spared: [...rules.map((rule) => sparedByRule(rule, now)), ...holds.map((hold) => hold.spared)] }
}

/** Nothing is on record: rows are counted from the first one on. */
export const NO_BASIS: Basis = { windows: undefined, counted: undefined }

/** Where neither a hold nor a rule keeps anything, rows are counted from the first one on. */
export async function readBasis(
  database: Database,
  { job, retentionMs, rules = [] }: WaitingPlan,
  { spared }: Kept,
  tables: RunTables | undefined,
  now: EpochMs,
): Promise<Basis> {
  if (job.holdable.by.length === 0 || tables === undefined) return NO_BASIS
  const counted = tables.held === undefined ? undefined : await lastCounted(database, tables, job.name, now)
  if (spared.length === 0 || retentionMs === undefined) return { windows: undefined, counted }
  const policy: Policy = { retentionMs, rules }
  const last = await lastEnded(database, tables, job.name, now)
  const isPolicyTheSame = last !== undefined && (await wentBy(database, tables, last.id, policy, job.holdable.by))
  // The table of the holds is made together with that of what they kept.
  const releasedAt = tables.held === undefined ? undefined : await lastReleaseAt(database, database.named(HOLDS), job.name)
  return { windows: waitingWindows({ last, isPolicyTheSame, releasedAt }, policy, now), counted }
}

/** Both, where the tables were not looked for yet. */
export async function readWaiting(database: Database, plan: WaitingPlan, now: EpochMs): Promise<Waiting> {
  const kept = await readKept(database, plan, now)
  const tables = runTables(database, await database.tablesAmong(RUN_TABLES))
  return { ...kept, ...(await readBasis(database, plan, kept, tables, now)) }
}

/** From the first of these times, up to but not including the second. */
export interface Window {
  readonly from: EpochMs
  readonly until: EpochMs
}

export interface Before {
  /** The last run of the job that has ended. */
  readonly last: Pick<PastRun, 'outcome' | 'startedAt' | 'cutoff' | 'locked' | 'error'> | undefined
  /** Whether it is on record that this run went by the retention and the rules of now. */
  readonly isPolicyTheSame: boolean
  /** When the last hold was released. */
  readonly releasedAt: EpochMs | undefined
}

/** The release of a hold may have begun before the run that did not know of it yet. */
const RELEASE_MARGIN_MS = HOUR
/** A time without a zone can be read in two ways when the clocks go back. */
const MARGIN_MS = 2 * HOUR

/**
 * When the rows were written that can wait: a run that went well has deleted everything older, or has left it to a hold or a rule that still keeps it. Since then the time of
 * further rows has come: that of the retention, and that of each rule. Without this, the rows that are kept would be passed over every minute, and those that
 * wait would not be reached behind them. `undefined`: nothing is certain, so that rows have to be counted from the first one.
 */
export function waitingWindows(
  { last, isPolicyTheSame, releasedAt }: Before,
  { retentionMs, rules }: Policy,
  now: EpochMs,
): readonly Window[] | undefined {
  if (last?.outcome !== 'succeeded' || last.cutoff === undefined || !isPolicyTheSame) return undefined
  // Rows that it met and left, or that came back because the database lost its commits, which is all that is told of a run that went well.
  if (last.locked > 0 || last.error !== undefined) return undefined
  if (releasedAt !== undefined && releasedAt > last.startedAt - RELEASE_MARGIN_MS) return undefined
  const then = last.cutoff + retentionMs
  const periods = new Set([retentionMs, ...rules.flatMap((rule) => rule.retentionMs ?? [])])
  const windows = [...periods]
    .filter((period) => period >= retentionMs)
    .map((period) => ({ from: then - period - MARGIN_MS, until: now - period }))
  return joined(windows.toSorted((a, b) => a.from - b.from))
}

/** Without an overlap, in which rows would be counted twice. Sorted, as they are. */
function joined(windows: readonly Window[]): readonly Window[] {
  return windows.reduce<readonly Window[]>((all, window) => {
    const before = all.at(-1)
    if (before === undefined || before.until < window.from) return [...all, window]
    return [...all.slice(0, -1), { from: before.from, until: Math.max(before.until, window.until) }]
  }, [])
}

async function wentBy(query: Query, { policies }: RunTables, run: number, policy: Policy, columns: readonly string[]): Promise<boolean> {
  if (policies === undefined) return false
  const { rows } = await query.query<{ sha256: unknown }>(`SELECT ${boundedText('sha256')} AS sha256 FROM ${policies} WHERE run = $1`, [
    run,
  ])
  return rows[0]?.sha256 === policyDigest(policy, columns)
}

async function lastReleaseAt(query: Query, holds: string, job: string): Promise<EpochMs | undefined> {
  const { rows } = await query.query<{ at: unknown }>(`SELECT max(released_at) AS at FROM ${holds} WHERE job = $1`, [job])
  return orNothing(storedTime, rows[0]?.at, `${HOLDS}.released_at`)
}

export interface WaitingEstimate extends Estimate {
  /** How long the time of one of them has been over, at most; absent: that follows from `oldest` and the cutoff. A rule's time comes later than that of the retention. */
  readonly overdueMs?: number | null
}

/** How many rows wait. `expired`: those before a time, without what is spared. */
export async function estimateWaiting(
  expired: (until: EpochMs) => ExpiredRows,
  cutoff: EpochMs,
  { windows, spared, holds, counted }: Waiting,
): Promise<WaitingEstimate> {
  if (windows === undefined) {
    const estimate = await expired(cutoff).estimate()
    return spared.length === 0 ? estimate : withoutKept(estimate, spared.length > holds.length ? undefined : (counted?.held ?? 0))
  }
  const estimates: WaitingEstimate[] = []
  for (const { from, until } of windows) {
    const estimate = await expired(until).estimate(from)
    estimates.push(partOf(estimate, until))
  }
  return estimates.reduce(added)
}

/**
 * The planner does not know what is kept. Where counting ended at as many rows as are counted at most, so many wait at least, and its figure is of use; where it ended among
 * rows that are kept, its figure may be of these alone. `kept`: how many they are; `undefined`: that is not known.
 */
export function withoutKept(estimate: Estimate, kept: number | undefined): Estimate {
  const { rows, planned } = estimate
  if (planned === undefined) return estimate
  if (kept !== undefined) return { ...estimate, planned: Math.max(rows ?? 0, planned - kept) }
  return rows !== undefined && rows >= MOST_COUNTED ? estimate : { ...estimate, planned: undefined }
}

/** Of the rows of one window. */
export function partOf(estimate: Estimate, until: EpochMs): WaitingEstimate {
  return { ...withoutKept(estimate, undefined), overdueMs: overdueOf(estimate, until) }
}

export function added(a: WaitingEstimate, b: WaitingEstimate): WaitingEstimate {
  const rows = a.rows === undefined || b.rows === undefined ? undefined : a.rows + b.rows
  const olds = [a.oldest, b.oldest].filter((oldest) => oldest !== null)
  const overdues = [a.overdueMs, b.overdueMs].filter((overdue) => typeof overdue === 'number')
  const planned = a.planned === undefined && b.planned === undefined ? undefined : (a.planned ?? a.rows ?? 0) + (b.planned ?? b.rows ?? 0)
  const isOver = rows !== undefined && rows > MOST_COUNTED
  return {
    rows: isOver ? MOST_COUNTED : rows,
    more: a.more || b.more || isOver,
    planned,
    oldest: olds.length === 0 ? null : Math.min(...olds),
    overdueMs: overdues.length === 0 ? null : Math.max(...overdues),
  }
}
