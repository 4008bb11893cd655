import type { EpochMs } from '../time/clock.ts'
import type { Transaction } from './query.ts'

export interface TimeColumn {
  readonly table: string
  readonly column: string
  /** `written`: the column is the time at which a row was written, so that the newest row shows which zone the writer uses. */
  readonly keep?: { readonly from: 'written' | 'expiry' }
}

export interface Purgeable {
  readonly pacing: Pacing
  /**
   * Before anything is deleted: table, column and its type, an index, rights, rows hidden by a policy. A missing table is returned as `absent`; if the
   * job cannot run for another reason, rejects and says what to do.
   */
  inspect(column: TimeColumn): Promise<Inspection>
  expired(column: TimeColumn, cutoff: EpochMs): ExpiredRows
  /** Who else is active on this database, who waits for us, and how long the last transaction held its locks. */
  pressure(): Promise<Pressure>
  /** Between batches and after the last, outside any lock: the engine's own housekeeping after deleting. Cheap when there is nothing to do. */
  afterBatch(last: boolean): Promise<void>
  /** False only if it is certain that no gateway ever wrote to this database, so that it may be the wrong one. */
  gatewayHasWritten(): Promise<boolean>
  /** Bytes that the whole database takes. */
  sizeBytes(): Promise<number>
}

export type Inspection =
  | { readonly kind: 'absent'; readonly reason: string }
  | { readonly kind: 'ready'; readonly warnings: readonly string[] }

/** What the loop walks. Stateless: to retry, call `next` with the same `after` and a smaller size. */
export interface Slices {
  /**
   * The next slice of at most `size` rows after `after`, whether or not earlier ones were removed; chosen without a lock. With size 1 it has
   * one row. `undefined`: none is left.
   */
  next(size: number, after: Slice | undefined): Promise<Slice | undefined>
}

/** Rows whose time is before the cutoff. */
export interface ExpiredRows extends Slices {
  /** How many there are, for people and gauges: counted up to a limit of rows and time, estimated beyond it. Changes and locks nothing. */
  estimate(): Promise<Estimate>
  /** Rows whose time is NULL or cannot be read, at the end of a run; `thorough` also scans the rows that have not expired. */
  census(thorough: boolean): Promise<Census>
  /** How many rows have a time between the cutoff and `until`, and so are kept; counted up to `most`, by the index. */
  keptUntil(until: EpochMs, most: number): Promise<number>
  /**
   * How many UTC days from `from` (the beginning of a day) to the cutoff have rows; counted up to `most`, one index look-up a day. The cutoff must be
   * the beginning of a day, too.
   */
  daysSince(from: EpochMs, most: number): Promise<number>
}

export interface Estimate {
  readonly rows: number
  /** Whether they were counted. */
  readonly exact: boolean
  /** The earliest time among them, exact to the day; `null`: there is none, or finding it would have taken too long. */
  readonly oldest: EpochMs | null
}

export interface Census {
  /** Rows whose time is NULL: they never expire. */
  readonly undated: number
  /** Rows whose time cannot be read. */
  readonly unreadable: number
  /** Up to three shapes of what cannot be read, digits as 9 and letters as a; never a row's content. */
  readonly shapes: readonly string[]
}

export interface Slice {
  /** How many of its rows have expired by now. */
  count(): Promise<number>
  /** The same by UTC day, whose key is its beginning. */
  countByDay(): Promise<ReadonlyMap<EpochMs, number>>
  /**
   * Deletes its rows. One that was renewed since it was chosen stays: each is judged again in this transaction, or is known not to have changed.
   * Rejects with `row-refused` if a constraint or trigger refuses one of its rows; once the transaction is rolled back nothing of the slice is deleted.
   */
  remove(tx: Transaction): Promise<Tally>
}

export interface Tally {
  readonly affected: number
  /** Rows that were skipped because another transaction holds them. */
  readonly locked: number
}

/** Batch sizes, lock times and pauses that suit this engine; used by the pacer. */
export interface Pacing {
  readonly firstRows: number
  readonly leastRows: number
  readonly mostRows: number
  /** How long a run must observe before `Pressure.others` is reliable; 0: from the start. */
  readonly listenMs: number
  /** While nobody else is active on the database. */
  readonly alone: BatchAim
  /** While somebody is. */
  readonly polite: BatchAim
}

export interface BatchAim {
  /** A batch should hold its locks about this long. */
  readonly holdMs: number
  /** Pause after a batch: the larger of this and `pauseShare` times the time its locks were held. */
  readonly pauseMs: number
  readonly pauseShare: number
}

export interface Pressure {
  /** From getting the write lock (or BEGIN) to the end of COMMIT of the last transaction. */
  readonly heldMs: number
  /** Another client has changed data, or is active, since the last call. */
  readonly others: boolean
  /** Somebody waits for a lock of ours, or we had to wait for one: give way at once. */
  readonly contended: boolean
  /** Why to wait longer before the next batch, in a few words: a WAL that cannot be checkpointed, a lagging replica. */
  readonly backpressure: string | undefined
}
