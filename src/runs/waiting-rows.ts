import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import type { Estimate, ExpiredRows } from '../database/purging.ts'
import type { Query } from '../database/query.ts'
import { boundedText, orNothing, storedTime } from '../database/stored-values.ts'
import type { Hold } from '../policy/holds.ts'
import { sparedByRule, type Policy, type Rule } from '../policy/rules.ts'
import { NOTHING_SPARED, type SparedRows } from '../policy/spared.ts'
import { DAY, HOUR, type EpochMs } from '../time/clock.ts'
import { HOLDS } from './hold-tables.ts'
import { holdsInForce, mayHaveHolds } from './holds-in-force.ts'
import { lastCounted, lastEnded, runTables, RUN_TABLES, type PastRun, type RunTables } from './past-runs.ts'
import { recordedPolicy } from './run-policy.ts'

/** Which expired rows wait for a run, and are not kept: the measure of every gauge of what waits. */
export interface Waiting {
  readonly holds: readonly Hold[]
  /** What the holds and the rules keep at this moment. */
  readonly spared: SparedRows
  /** Rows with an earlier time need not be counted, because none of them waits; `undefined`: any may. */
  readonly since: EpochMs | undefined
  /** The last run that counted what holds keep; `undefined`: there is none. */
  readonly counted: Pick<PastRun, 'id' | 'held'> | undefined
}

/** A job as it is configured, in a part. */
export interface WaitingPlan {
  readonly job: Job
  readonly retentionMs: number | undefined
  /** Absent: none. */
  readonly rules?: readonly Rule[]
}

const NOTHING_KEPT: Waiting = { holds: [], spared: NOTHING_SPARED, since: undefined, counted: undefined }

/** Where neither a hold nor a rule keeps anything, rows are counted from the first one. Rejects, as a run does, if a hold cannot be read or understood. */
export async function readWaiting(
  database: Database,
  { job, retentionMs, rules = [] }: WaitingPlan,
  tables: RunTables | undefined,
  now: EpochMs,
): Promise<Waiting> {
  if (job.holdable.by.length === 0) return NOTHING_KEPT
  const holdsTable = (await mayHaveHolds(database, job)) ? database.named(HOLDS) : undefined
  const holds = holdsTable === undefined ? [] : await holdsInForce(database, holdsTable, job)
  const spared = [...rules.map((rule) => sparedByRule(rule, now)), ...holds.map((hold) => hold.spared)]
  const counted = tables?.held === undefined ? undefined : await lastCounted(database, tables, job.name, now)
  if (spared.length === 0 || tables === undefined || retentionMs === undefined) return { holds, spared, since: undefined, counted }
  const policy: Policy = { retentionMs, rules }
  const last = await lastEnded(database, tables, job.name, now)
  const isPolicyTheSame = last !== undefined && (await wentBy(database, tables, last.id, policy, job.holdable.by))
  const releasedAt = holdsTable === undefined ? undefined : await lastReleaseAt(database, holdsTable, job.name)
  return { holds, spared, since: countedSince({ last, isPolicyTheSame, releasedAt }, policy), counted }
}

/** The same for what is at hand, where the tables were not looked for yet. */
export async function readWaitingOf(database: Database, plan: WaitingPlan, now: EpochMs): Promise<Waiting> {
  return readWaiting(database, plan, runTables(database, await database.tablesAmong(RUN_TABLES)), now)
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
/** Costs nothing, and covers times without a zone that can be read in two ways. */
const MARGIN_MS = DAY

/**
 * The time from which rows can wait: a run that went well has deleted everything older, or has left it to a hold or a rule that still keeps it. Without this, the
 * rows that a hold keeps would be passed over every minute. `undefined`: nothing is certain, so that rows have to be counted from the first one.
 */
export function countedSince({ last, isPolicyTheSame, releasedAt }: Before, { retentionMs, rules }: Policy): EpochMs | undefined {
  if (last?.outcome !== 'succeeded' || last.cutoff === undefined || !isPolicyTheSame) return undefined
  // Rows that it met and left, or that came back because the database lost its commits, which is all that is told of a run that went well.
  if (last.locked > 0 || last.error !== undefined) return undefined
  if (releasedAt !== undefined && releasedAt > last.startedAt - RELEASE_MARGIN_MS) return undefined
  // The time of a rule comes for some of its rows every day, and they are older than the cutoff.
  const longer = rules.map((rule) => (rule.retentionMs === undefined ? 0 : Math.max(0, rule.retentionMs - retentionMs)))
  return last.cutoff - Math.max(0, ...longer) - MARGIN_MS
}

async function wentBy(query: Query, { policies }: RunTables, run: number, policy: Policy, columns: readonly string[]): Promise<boolean> {
  if (policies === undefined) return false
  const { rows } = await query.query<{ sha256: unknown }>(`SELECT ${boundedText('sha256')} AS sha256 FROM ${policies} WHERE run = $1`, [
    run,
  ])
  return rows[0]?.sha256 === recordedPolicy(policy, columns).sha256
}

async function lastReleaseAt(query: Query, holds: string, job: string): Promise<EpochMs | undefined> {
  const { rows } = await query.query<{ at: unknown }>(`SELECT max(released_at) AS at FROM ${holds} WHERE job = $1`, [job])
  return orNothing(storedTime, rows[0]?.at, `${HOLDS}.released_at`)
}

/** How many rows wait: `expired` leaves out what is spared. */
export async function estimateWaiting(expired: ExpiredRows, { since, counted }: Pick<Waiting, 'since' | 'counted'>): Promise<Estimate> {
  return withoutHeld(await expired.estimate(since), since === undefined ? (counted?.held ?? 0) : 0)
}

/** The planner counts the rows of holds too, which lie in front. It never makes less of what was counted. */
export function withoutHeld(estimate: Estimate, held: number): Estimate {
  const { rows, planned } = estimate
  return planned === undefined ? estimate : { ...estimate, planned: Math.max(rows ?? 0, planned - held) }
}
