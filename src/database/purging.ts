import type { Spared, SparedRows } from '../policy/spared.ts'
import type { EpochMs } from '../time/clock.ts'
import type { Transaction } from './query.ts'

export interface TimeColumn {
  readonly table: string
  readonly column: string
  /** `written`: the column is the time at which a row was written, so the newest row shows which zone the writer uses. */
  readonly keep?: { readonly from: 'written' | 'expiry' }
}

export interface Purgeable {
  readonly pacing: Pacing
  /**
   * Checks the table, the column and its type, indexes, foreign keys, privileges, and rows hidden by a policy, before anything is deleted. Returns
   * `absent` for a missing table. If the job cannot run for another reason, rejects and says what to do.
   */
  inspect(column: TimeColumn, terms?: Terms): Promise<Inspection>
  /** `spared`: rows that count as not expired; absent: there are none. */
  expired(column: TimeColumn, cutoff: EpochMs, spared?: SparedRows): ExpiredRows
  /**
   * How many rows of the table a hold would keep, expired or not. Counts up to `most`, and for a few seconds at most. Rejects if the table lacks a column of the match.
   */
  sparedBy(column: TimeColumn, spared: Spared, cutoff: EpochMs, most: number): Promise<SparedCount>
  /**
   * Call before the first batch that deletes. Where nothing ends a statement that takes too long, and triggers make it uncertain how long one takes, the first
   * row that would go is deleted on trial and taken back. Rejects, and says what to do, if that holds locks for longer than is promised. When `stopping` aborts, it
   * ends at once.
   */
  rehearse(column: TimeColumn, cutoff: EpochMs, spared: SparedRows, stopping: AbortSignal): Promise<void>
  /**
   * For how many milliseconds the last transaction held its locks: from getting the write lock (or BEGIN) to the end of COMMIT. To be asked at once: a
   * transaction of another run may follow.
   */
  heldMs(): number
  /** Whether others are active on this database or wait for us. Runs of this process are no others. */
  pressure(): Promise<Pressure>
  /** The engine's housekeeping, called between batches and after the last one while no lock is held. Cheap when there is nothing to do. */
  afterBatch(last: boolean): Promise<void>
  /** False only if it is certain that no gateway ever wrote to this database, so that it may be the wrong one. */
  gatewayHasWritten(): Promise<boolean>
}

export type Inspection =
  | { readonly kind: 'absent'; readonly reason: string }
  /** `lasting`: what stays as it is until somebody changes the schema; enough to hear once. */
  | { readonly kind: 'ready'; readonly warnings: readonly string[]; readonly lasting: readonly string[] }

/** What the settings say of rows other than those that have expired. */
export interface Terms {
  /** The gateway's tables whose rows foreign keys may delete or change along with a purge. */
  readonly cascade: readonly string[]
  /** The setting that names these, for messages. */
  readonly setting: string
  /** The tables whose rows are archived before they are deleted. */
  readonly archived: readonly string[]
  /** The tables of which a hold or a rule keeps rows: foreign keys must not take rows of these along, whatever `cascade` says. */
  readonly keeping: readonly string[]
  /** The columns by which rows of the table are spared: it must have them. */
  readonly matched: readonly string[]
}

/** Nothing is allowed, and nothing is archived. */
export const NO_TERMS: Terms = { cascade: [], setting: 'the setting cascade of the job', archived: [], keeping: [], matched: [] }

/** The loop walks these. Stateless: to retry, call `next` with the same `after` and a smaller size. */
export interface Slices {
  /**
   * The next slice of at most `size` rows after `after`, whether or not earlier ones were removed; chosen without a lock. With size 1 it has
   * one row. `undefined`: none is left.
   */
  next(size: number, after: Slice | undefined): Promise<Slice | undefined>
}

export interface SparedCount {
  readonly rows: number
  /** Those whose time is before the cutoff. */
  readonly expired: number
  /** Whether there may be more. */
  readonly more: boolean
}

/** Rows whose time is before the cutoff, without those that are spared. */
export interface ExpiredRows extends Slices {
  /**
   * How many there are, for status and metrics: counted up to `MOST_COUNTED`. Changes and locks nothing. `since`: looks only at rows with this time or a later
   * one, because a run has left no others but spared ones.
   */
  estimate(since?: EpochMs): Promise<Estimate>
  /**
   * Call before the walk. How many expired rows each of `spared` keeps, and how many at least one of them; they are some of those that the walk leaves out. Reads every
   * expired row once, and lets the walk pass over stretches in which all are left out: what is added there later is left to the next run.
   */
  survey(spared: SparedRows): Promise<SparedExpired>
  /** How many of these rows each of `spared` would keep, and how many at least one of them. Reads every row. */
  sparedBy(spared: SparedRows): Promise<SparedExpired>
  /** Rows whose time is NULL or cannot be read, at the end of a run; `thorough` also scans the rows that have not expired. */
  census(thorough: boolean): Promise<Census>
  /** How many rows have a time from the cutoff to `until` and are therefore kept; counted up to `most`, by the index. */
  keptUntil(until: EpochMs, most: number): Promise<number>
  /**
   * How many UTC days from `from` (the beginning of a day) to the cutoff have rows; counted up to `most`, one index look-up a day. The cutoff must be
   * the beginning of a day, too.
   */
  daysSince(from: EpochMs, most: number): Promise<number>
}

export interface SparedExpired {
  /** In the order of `spared`. */
  readonly each: readonly number[]
  readonly together: number
}

/** Counted in some tens of milliseconds, by the index alone. A dry run gives the exact number. */
export const MOST_COUNTED = 100_000

export interface Estimate {
  /** How many were counted; `undefined`: counting took too long. */
  readonly rows: number | undefined
  /** Whether there are more: counting stops at a fixed number of rows, never at a time, so that a figure does not depend on how busy the machine is. */
  readonly more: boolean
  /** How many the database's planner expects where `rows` is not all of them; `undefined`: it does not say. */
  readonly planned: number | undefined
  /** The earliest expired time, exact to the day; `null`: there is none, or finding it would have taken too long. */
  readonly oldest: EpochMs | null
}

export interface Census {
  /** Rows whose time is NULL: they never expire. */
  readonly undated: number
  /** Rows whose time cannot be read. */
  readonly unreadable: number
  /** Up to three shapes of unreadable times, with digits as 9 and letters as a; never the content of a row. */
  readonly shapes: readonly string[]
}

export interface Slice {
  /** How long a statement that removes it, and COMMIT after that, may take in milliseconds; absent: no longer than usual. */
  readonly takesMs?: number | undefined
  /** Names its first row, for people. */
  name(): string
  /** How many of its rows are still there and expired. */
  count(): Promise<number>
  /** The same count by UTC day; the key is the beginning of the day. */
  countByDay(): Promise<ReadonlyMap<EpochMs, number>>
  /**
   * Deletes its rows. A row that was renewed since it was chosen stays: each is judged again in this transaction, or is known not to have changed.
   * Rejects with `row-refused` if a constraint or trigger refuses one of the rows, and with `slow` if a statement takes too long; the caller then rolls
   * back, and no row of the slice is deleted. `spared`: what stays now, which is at least what was spared when it was chosen.
   */
  remove(tx: Transaction, spared: SparedRows): Promise<Tally>
}

export interface Tally {
  readonly affected: number
  /** Rows that were skipped because another transaction holds them. */
  readonly locked: number
  /** Rows that foreign keys deleted or changed along; absent: no foreign key does. */
  readonly cascaded?: number
  /** The rows went together with their table: how long that took is no measure of what a row costs. */
  readonly whole?: true
  /** How long deleting took, of the time of its transaction; absent: nothing was deleted, or nobody measured it. */
  readonly deletingMs?: number
}

/** Batch sizes, lock times and pauses that suit this engine; used by the pacer. */
export interface Pacing {
  /** A run begins with one row, and has this many in a few steps. */
  readonly firstRows: number
  /** Batches have fewer only if a single row takes very long. */
  readonly leastRows: number
  readonly mostRows: number
  /** How long a run must observe before `Pressure.others` is reliable; 0: it is reliable from the start. */
  readonly listenMs: number
  /** While nobody else is active on the database. */
  readonly alone: BatchAim
  /** While another client is active. */
  readonly polite: BatchAim
  /** After a batch that held its locks for much longer than it should have: a pause of this share of that time, up to `mostMs`. */
  readonly longHoldPause: { readonly share: number; readonly mostMs: number }
}

export interface BatchAim {
  /** About how long a batch should hold its locks. */
  readonly holdMs: number
  /**
   * A batch may hold its locks for so many times what stands around the deleting in its transaction, if that is longer: on a busy machine or over a slow
   * network, deleting would otherwise be the least of it. Absent: never longer.
   */
  readonly timesAround?: number
  /** Pause after a batch: the larger of this and `pauseShare` times the time its locks were held. */
  readonly pauseMs: number
  readonly pauseShare: number
}

export interface Pressure {
  /** Another client has changed data, or is active, since the last call. */
  readonly others: boolean
  /** Another client waits for one of our locks, or we had to wait for one of its: back off at once. */
  readonly contended: boolean
  /** A short reason to wait longer before the next batch: a WAL that cannot be checkpointed, a lagging replica. */
  readonly backpressure: string | undefined
}
