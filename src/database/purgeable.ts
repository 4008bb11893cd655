import type { EpochMs } from '../time.ts'
import type { Transaction } from './database.ts'
import type { Pacing, Pressure } from './pressure.ts'
import type { StoredRows } from './stored-rows.ts'

export interface TimeColumn {
  readonly table: string
  readonly column: string
  /** Present where the column says when a row was written: then the newest row tells in which zone that is done. */
  readonly retention?: object
}

export interface Purgeable {
  readonly pacing: Pacing
  /**
   * Looks before anything is deleted: table, column and its type, an index, rights, rows hidden by a policy. What makes the job impossible
   * is thrown, saying what to do.
   */
  inspect(column: TimeColumn): Promise<Inspection>
  /** `longestBytes`: a row whose line, as `RowLines` has it, is longer lies in no slice; `tooLarge` tells of it. The line feed does not count. */
  expired(column: TimeColumn, cutoff: EpochMs, longestBytes?: number): ExpiredRows
  /** Who else works on this database, who waits on us, and what the last transaction took. */
  pressure(): Promise<Pressure>
  /** Between batches and after the last, outside any lock: what the engine wants done after deleting. Cheap when there is nothing to do. */
  tidy(last: boolean): Promise<void>
  /** Bytes inside the database that freed rows leave for new ones; what cannot be told cheaply is `undefined`. */
  reusableBytes(): Promise<number | undefined>
  /** False where it is certain that no gateway ever wrote to this database: it may be another than the gateway's. */
  gatewayHasWritten(): Promise<boolean>
  /** Bytes that the whole database takes. */
  sizeBytes(): Promise<number>
}

export type Inspection =
  | { readonly kind: 'absent'; readonly reason: string }
  | { readonly kind: 'ready'; readonly warnings: readonly string[] }

/** What the loop walks. Keeps no position: asking again after the same slice, smaller, is the retry. */
export interface Slices {
  /**
   * The next slice of at most `size` rows behind `after`, forwards, whether or not earlier ones were removed; chosen without a lock.
   * A slice asked for with size 1 holds one row. `undefined`: none is left.
   */
  next(size: number, after: Slice | undefined): Promise<Slice | undefined>
}

/** Rows whose time is before the cutoff. */
export interface ExpiredRows extends Slices {
  /** How many there are, for people and gauges: counted up to a bound of rows and time, beyond it estimated. Changes and locks nothing. */
  estimate(): Promise<Estimate>
  /** What is kept for its time's sake. Asked at the end of a run; `thorough` reads also where rows still to be kept lie. */
  census(thorough: boolean): Promise<Census>
  /** How many rows stay because their time lies between the cutoff and `until`, counted no further than `most`: a look-up. */
  keptUntil(until: EpochMs, most: number): Promise<number>
  /**
   * On how many days in UTC lie rows whose time is at `from` or later, and before the cutoff; counted no further than `most`, by a look-up a day.
   * Both are the beginning of a day.
   */
  daysSince(from: EpochMs, most: number): Promise<number>
  /** What has expired and lies in no slice because its line is too long; `among`: only so many of the earliest expired rows are looked at. */
  tooLarge(among?: number): Promise<TooLarge>
}

export interface TooLarge {
  readonly rows: number
  /** The `id` of the first few, for people. */
  readonly ids: readonly string[]
}

export interface Estimate {
  readonly rows: number
  /** Whether they were counted. */
  readonly exact: boolean
  /** The earliest time among them, exact to the day; `null`: there is none, or it could not be told in time. */
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
  /** How many of its rows have expired, now; `tell`, where there is one, is told of each UTC day how many. */
  count(tell?: TellDay): Promise<number>
  /**
   * Its rows that have expired, now, as they are stored: a few megabytes at a time, without a lock. Rejects with what `take` rejects with.
   * Absent where rows are not kept for anybody.
   */
  read?(take: (rows: StoredRows) => Promise<void>): Promise<void>
  /**
   * Deletes its rows, repeating the whole condition, so that a row renewed since it was chosen stays.
   * `row-refused`: a constraint or trigger of one of its rows said no; nothing of the slice is gone once the transaction is rolled back.
   * `gone` is told the digests of deleted rows, side by side, as they were when they were deleted; what it throws ends the transaction.
   */
  remove(tx: Transaction, gone?: Gone): Promise<Tally>
}

/** May be told several times in one transaction, each time of other rows. */
export type Gone = (digests: Uint8Array) => void

/** So many rows are of the UTC day that begins at `day`. The same day may be told more than once. */
export type TellDay = (day: EpochMs, rows: number) => void

export interface Tally {
  readonly affected: number
  /** Rows another transaction holds: they were passed over. */
  readonly locked: number
}
