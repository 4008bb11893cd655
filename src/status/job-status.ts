import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import type { Inspection } from '../database/purging.ts'
import type { Rule } from '../policy/rules.ts'
import type { SparedRows } from '../policy/spared.ts'
import { cutoffOf } from '../purge/cutoff.ts'
import { termsOf } from '../purge/terms.ts'
import { doneUntil } from '../runs/last-run.ts'
import { holderOf } from '../runs/lease.ts'
import { SLOT_TOLERANCE_MS } from '../runs/recorded-run.ts'
import { estimateWaiting, NO_BASIS, readBasis, readKept, type Waiting, type WaitingEstimate } from '../runs/waiting-rows.ts'
import { lastEndAt, lastEnded, lastRuns, openSince, type PastRun, type RunTables } from '../runs/past-runs.ts'
import type { Outcome } from '../runs/result.ts'
import { LEASES } from '../runs/run-records.ts'
import { inWords } from '../schedule/in-words.ts'
import { overdueSlot, slotsOf } from '../schedule/slots.ts'
import { MINUTE, type Clock, type EpochMs } from '../time/clock.ts'
import { readHolds, type HoldStatus } from './holds-status.ts'
import { isToCome, type MigrationsStatus } from './migrations-status.ts'
import { tryQuery } from './try-query.ts'

/** A job as it is configured. */
export interface JobPlan {
  readonly job: Job
  readonly enabled: boolean
  /** Cron expression. */
  readonly schedule: string
  /** `undefined`: the job has none. */
  readonly retentionMs: number | undefined
  /** Rows that are kept longer than the retention; absent: none. */
  readonly rules?: readonly Rule[]
  /** 0: the job has none. */
  readonly graceMs: number
  /** The gateway's tables whose rows may go along by foreign keys; absent: none. */
  readonly cascade?: readonly string[]
}

export interface JobSchedule extends JobPlan {
  readonly scheduleInWords: string
  /** `undefined`: it is disabled, or its schedule never comes. */
  readonly nextRunAt: EpochMs | undefined
}

export interface JobStatus extends JobSchedule {
  /** The last run that ended. */
  readonly lastRun: PastRun | undefined
  readonly lastSuccessAt: EpochMs | undefined
  /** The last few that began, newest first. */
  readonly recentRuns: readonly PastRun[]
  readonly running: { readonly worker: string; readonly since: EpochMs | undefined } | undefined
  /** The latest slot that passed without a run at least `LATE_MS` ago; if there is one, the job is late. */
  readonly overdueSlot: EpochMs | undefined
  /** The legal holds in force on its rows; `undefined`: they cannot be read. */
  readonly holds: readonly HoldStatus[] | undefined
  /** How many expired rows they kept in the last run that counted them. */
  readonly held: number
  /** Without the rows that holds and rules keep. `undefined`: its table does not exist, or cannot be read, or the holds cannot. */
  readonly backlog: Backlog | undefined
  /**
   * When the next run is due, by the last one that succeeded or was stopped, on the host's clock; `undefined`: there was none, or the job has nothing to run on.
   */
  readonly dueAt: EpochMs | undefined
  /** Why something above is unknown, or why a run would fail. Each says what to do. */
  readonly problems: readonly string[]
  /** What may not be intended, although runs succeed or are skipped. */
  readonly warnings: readonly string[]
}

export interface Backlog extends WaitingEstimate {
  /** Rows with an earlier time have expired. */
  readonly cutoff: EpochMs
  /** Whether all of them were looked at, and not only those that can wait since the last run; absent: they were. */
  readonly inPart?: boolean
  /** What is kept, and does not wait; absent: nothing. */
  readonly spared?: SparedRows
}

/** A run should have begun by then: a missed one is made up for within half a minute, unless another run is in its way. */
export const LATE_MS = 5 * MINUTE

const RECENT_RUNS = 5

export interface ReadJobOptions {
  readonly at: EpochMs
  readonly clock: Clock
  readonly scheduleTimeZone: string
  /** The tables that record runs; `undefined`: there are none. */
  readonly tables: RunTables | undefined
  readonly migrations: MigrationsStatus
  /** Whether rows are archived. */
  readonly archiving: boolean
}

export function scheduleOf(plan: JobPlan, { scheduleTimeZone, clock }: Pick<ReadJobOptions, 'scheduleTimeZone' | 'clock'>): JobSchedule {
  const { schedule, enabled } = plan
  const nextRunAt = enabled ? slotsOf(schedule, scheduleTimeZone).after(clock.now()) : undefined
  return { ...plan, scheduleInWords: inWords(schedule), nextRunAt }
}

export async function readJob(database: Database, plan: JobPlan, options: ReadJobOptions): Promise<JobStatus> {
  const { job, enabled, schedule } = plan
  const { at, clock, scheduleTimeZone, tables, migrations, archiving } = options
  const record = tables === undefined ? undefined : await tryQuery(() => readRecord(database, tables, job.name, at))
  const done = tables !== undefined && enabled ? await tryQuery(() => doneUntil(database, clock, job.name, at)) : undefined
  const keeping = await tryQuery(() => readKeeping(database, plan, tables, at))
  const waiting = keeping.answer
  const inspection = await tryQuery(() => database.inspect(job, termsOf(job, plan.cascade, archiving, waiting?.spared)))
  const cutoff = cutoffOf(plan, at)
  // Also if a run would fail: then the backlog matters all the more. But not without the holds: what they keep does not wait.
  const estimate =
    inspection.answer?.kind === 'absent' || waiting === undefined
      ? undefined
      : await tryQuery(() => estimateWaiting((until) => database.expired(job, until, waiting.spared), cutoff, waiting))
  const now = clock.now()
  // A safety stop is a decision of the run: what follows waits for a person, not for another run.
  const served = record?.answer?.lastServedAt
  // On the host's clock, by which slots come; as near to one as this it was that slot's.
  const servedUntil = served === undefined ? undefined : Math.min(now, served + now - at + SLOT_TOLERANCE_MS)
  const scheduled = scheduleOf(plan, options)
  return {
    ...scheduled,
    lastRun: record?.answer?.lastRun,
    lastSuccessAt: record?.answer?.lastSuccessAt,
    recentRuns: record?.answer?.recentRuns ?? [],
    running: record?.answer?.running,
    overdueSlot: done?.answer === undefined ? undefined : overdueSlot(schedule, scheduleTimeZone, done.answer, now - LATE_MS),
    dueAt:
      servedUntil === undefined || !enabled || inspection.answer?.kind === 'absent'
        ? undefined
        : slotsOf(schedule, scheduleTimeZone).after(servedUntil),
    holds: waiting?.inForce,
    held: waiting?.counted?.held ?? 0,
    backlog:
      estimate?.answer === undefined || waiting === undefined
        ? undefined
        : { ...estimate.answer, cutoff, inPart: waiting.windows !== undefined, spared: waiting.spared },
    // What is wrong with a table mostly hinders more than one of them.
    problems: [
      ...new Set(
        [record?.problem, keeping.problem, waiting?.unread, inspection.problem, estimate?.problem].filter(
          (problem) => problem !== undefined,
        ),
      ),
    ],
    warnings: warningsOf(inspection.answer, job, migrations),
  }
}

type Keeping = Waiting & { readonly inForce: readonly HoldStatus[]; readonly unread: string | undefined }

/** Without the record of runs it is known what is kept, but not since when nothing else can be there. */
async function readKeeping(database: Database, plan: JobPlan, tables: RunTables | undefined, at: EpochMs): Promise<Keeping> {
  const kept = await readKept(database, plan, at)
  const { answer: basis = NO_BASIS, problem: unread } = await tryQuery(() => readBasis(database, plan, kept, tables, at))
  const counts = unread === undefined ? tables : undefined
  const inForce = kept.holds.length === 0 ? [] : await readHolds(database, counts, plan.job.name, basis.counted?.id)
  return { ...kept, ...basis, inForce, unread }
}

/** A table that a pending migration makes is missing only until then. */
function warningsOf(inspection: Inspection | undefined, { table }: Job, migrations: MigrationsStatus): readonly string[] {
  if (inspection?.kind !== 'absent') return inspection === undefined ? [] : [...inspection.warnings, ...inspection.lasting]
  return isToCome(table, migrations) ? [] : [`${inspection.reason}: its runs are skipped`]
}

async function readRecord(
  database: Database,
  tables: RunTables,
  job: string,
  at: EpochMs,
): Promise<Pick<JobStatus, 'lastRun' | 'lastSuccessAt' | 'recentRuns' | 'running'> & { readonly lastServedAt: EpochMs | undefined }> {
  const worker = await holderOf(database, database.named(LEASES), job, at)
  const recentRuns = await lastRuns(database, tables, job, at, RECENT_RUNS)
  const lastEndOf = (...outcomes: readonly Outcome[]): Promise<EpochMs | undefined> => {
    const recent = recentRuns.find(({ outcome }) => outcomes.some((each) => each === outcome))
    return recent === undefined ? lastEndAt(database, tables.runs, job, at, outcomes) : Promise.resolve(recent.finishedAt)
  }
  return {
    recentRuns,
    // The last run that ended is nearly always among them.
    lastRun: recentRuns.find(({ outcome }) => outcome !== undefined) ?? (await lastEnded(database, tables, job, at)),
    lastSuccessAt: await lastEndOf('succeeded'),
    lastServedAt: await lastEndOf('succeeded', 'stopped'),
    running: worker === undefined ? undefined : { worker, since: await openSince(database, tables.runs, job, worker) },
  }
}
