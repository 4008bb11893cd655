import type { Tally } from '../database/purging.ts'
import type { Session, Transaction } from '../database/query.ts'
import type { Clock, EpochMs } from '../time/clock.ts'
import type { FinishedRun, Precedent, RunCounts } from './run-records.ts'

/** Opens a transaction, does the work in it, and commits. */
export type Bracket = (work: (tx: Transaction) => Promise<Tally>) => Promise<Tally>

/** One run of a job, as its work sees it: a place in time, and a bracket around everything that deletes. */
export interface Run {
  /** Of its row in the history; `undefined`: it has none. */
  readonly id: number | undefined
  /** The database's clock when the run began: the only present it knows. */
  readonly now: EpochMs
  /** By how much the host's clock is ahead of the database's. */
  readonly clockSkewMs: number
  /** Around a batch of the job's own rows. */
  readonly batch: Bracket
  /** Around anything else that is done under the lease, and not told of. */
  readonly underLease: <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>
  /** What the runs of this job before it say; `undefined`: none is on record that was allowed to delete. */
  precedent(): Promise<Precedent | undefined>
  /** Before anything is deleted. */
  accept(cutoff: EpochMs, retentionMs: number | undefined): void
  /** What is on record of it in the end; `undefined`: nothing is. */
  finish(finished: FinishedRun): Promise<RunCounts | undefined>
}

/** A run that leaves no trace: one that changes nothing, or where there are no tables to record it in. */
export async function unrecordedRun(
  database: Session,
  clock: Clock,
  precedent: (now: EpochMs) => ReturnType<Run['precedent']>,
): Promise<Run> {
  const now = await database.now()
  return {
    id: undefined,
    now,
    clockSkewMs: clock.now() - now,
    batch: (work) => database.transaction(work),
    underLease: (work) => database.transaction(work),
    precedent: () => precedent(now),
    accept: () => {},
    finish: () => Promise.resolve(undefined),
  }
}
