import type { EpochMs } from '../time/clock.ts'
import type { Transaction } from './query.ts'

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
  expired(column: TimeColumn, cutoff: EpochMs): ExpiredRows
  /** Who else works on this database, who waits on us, and what the last transaction took. */
  pressure(): Promise<Pressure>
  /** Between batches and after the last, outside any lock: what the engine wants done after deleting. Cheap when there is nothing to do. */
  afterBatch(last: boolean): Promise<void>
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
  /** How many of its rows have expired, now. */
  count(): Promise<number>
  /** The same by the UTC day in which they lie, which is named by its beginning. */
  countByDay(): Promise<ReadonlyMap<EpochMs, number>>
  /**
   * Deletes its rows, repeating the whole condition, so that a row renewed since it was chosen stays.
   * `row-refused`: a constraint or trigger of one of its rows said no; nothing of the slice is gone once the transaction is rolled back.
   */
  remove(tx: Transaction): Promise<Tally>
}

export interface Tally {
  readonly affected: number
  /** Rows another transaction holds: they were passed over. */
  readonly locked: number
}

/** What holding and pausing mean on this engine: facts of the engine, used by the controller. */
export interface Pacing {
  readonly firstRows: number
  readonly leastRows: number
  readonly mostRows: number
  /** How long a run must work before the pressure it read tells whether somebody else does; 0: the first reading tells. */
  readonly listenMs: number
  /** Nobody else works on the database. */
  readonly alone: Pace
  /** Somebody does. */
  readonly polite: Pace
}

export interface Pace {
  /** A batch should hold its locks about this long. */
  readonly holdMs: number
  /** Pause after a batch: the larger of this and `share` times the batch's hold. */
  readonly pauseMs: number
  readonly pauseShare: number
}

export interface Pressure {
  /** From getting the write lock (or BEGIN) to the end of COMMIT of the last transaction. */
  readonly heldMs: number
  /** Another client changed data, or is active, since the last look. */
  readonly others: boolean
  /** Somebody waits on a lock of ours, or we had to wait for one: give way at once. */
  readonly contended: boolean
  /** A reason to wait longer before the next batch, in a few words: a WAL that cannot be checkpointed, a replica that lags. */
  readonly hold: string | undefined
}
