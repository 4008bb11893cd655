import type { Tally } from '../database/purging.ts'
import type { Session, Transaction, TransactionOptions } from '../database/query.ts'
import type { Clock, EpochMs } from '../time/clock.ts'
import type { ReceiptMark } from '../receipts/receipt.ts'
import type { FinishedRun, Precedent, RunCounts } from './run-records.ts'

/** Opens a transaction, does the work in it, and commits. */
export type Bracket = (work: (tx: Transaction) => Promise<Tally>, options?: TransactionOptions) => Promise<Tally>

/** Written in one transaction with the acceptance of a run, by its number. */
export type NoteAccepted = (tx: Transaction, id: number) => Promise<void>

/**
 * `none`: no row of the job can be held. `read`: each batch reads the holds. `unmade`: there was no table of holds when the run began; its lease does not say that
 * it knows holds, so that it ends where one is placed meanwhile.
 */
export type HoldsOfRun = 'none' | 'read' | 'unmade'

/** One run of a job as its work sees it: an instant, and a transaction bracket for everything that deletes. */
export interface Run {
  /** The number of its row in the history; `undefined`: it has none. */
  readonly id: number | undefined
  /** The database's clock when the run began. The run uses no other time. */
  readonly now: EpochMs
  /** How far the host's clock is ahead of the database's. */
  readonly clockSkewMs: number
  readonly holds: HoldsOfRun
  /** Brackets a batch of the job's own rows. */
  readonly batch: Bracket
  /** Brackets any other work under the lease, without counting it. */
  readonly underLease: <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>
  /** The earlier runs to compare with; `undefined`: no run that was allowed to delete is recorded. */
  precedent(): Promise<Precedent | undefined>
  /** Call before anything is deleted. */
  accept(cutoff: EpochMs, retentionMs: number | undefined, note?: NoteAccepted): void
  finish(finished: FinishedRun): Promise<Finish>
}

/**
 * What became of a run's record. `forgotten`: the database knows neither the run nor its lease. Both are written in one transaction, so it has failed over to a
 * server that had not received that, nor any batch after it.
 */
export type Finish =
  | { readonly kind: 'unrecorded' }
  | { readonly kind: 'recorded'; readonly counts: RunCounts; readonly cameBack: number; readonly receipt: ReceiptMark | undefined }
  | { readonly kind: 'forgotten'; readonly cameBack: number }

/** A run that is not recorded: a dry run, or one on a database without the tables for it. */
export async function unrecordedRun(
  database: Session,
  clock: Clock,
  holds: HoldsOfRun,
  precedent: (now: EpochMs) => ReturnType<Run['precedent']>,
): Promise<Run> {
  const now = await database.now()
  return {
    id: undefined,
    now,
    clockSkewMs: clock.now() - now,
    holds,
    batch: (work, options) => database.transaction(work, options),
    underLease: (work) => database.transaction(work),
    precedent: () => precedent(now),
    accept: () => {},
    finish: () => Promise.resolve({ kind: 'unrecorded' }),
  }
}
