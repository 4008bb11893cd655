import type { SparedRows } from '../policy/spared.ts'
import type { EpochMs } from '../time/clock.ts'
import type { MigrationLockOptions } from './migrating.ts'
import type { TimeColumn } from './purging.ts'
import type { Transaction } from './query.ts'

/** The record of tables that the worker has turned into partitions, from migration 009 on. */
export const PARTITIONED = 'maintenance_partitioned'
/** The record of partitions that were taken out of their table and not dropped yet. */
export const DETACHED = 'maintenance_detached'

export interface Partitionable {
  /** The partitions of a table, one for each day of its time column. `undefined`: this engine has no partitions. */
  partitions(column: TimeColumn): Partitions | undefined
}

export interface Partitions {
  /** What is there now. Reads the catalogue and our record; locks and changes nothing. */
  state(): Promise<PartitionState>
  /** What `start` would do, or every reason why it would not. Reads only. */
  plan(terms: PartitionTerms): Promise<ConversionPlan>
  /** Turns the table into partitions, online; goes on where an earlier call was killed. Rejects before anything is changed if `plan` refuses. */
  start(terms: PartitionTerms, options: ConversionOptions): Promise<void>
  /** Turns it back into a plain table, online, from any state that `start` or an earlier `undo` has left. */
  undo(options: ConversionOptions): Promise<void>
  /** What has to be made so that every day up to `until` has its partition. Reads only. */
  ahead(until: EpochMs, terms: PartitionTerms): Promise<Ahead>
  /**
   * Partitions that hold no row with a time from the cutoff on, the earliest first. None where the table was not converted by us, or this role may not drop, and none that
   * something else depends on.
   */
  expired(cutoff: EpochMs): Promise<Removable<ExpiredPartition>>
  /** Those that were taken out and not dropped, by this run or an earlier one. */
  detached(): Promise<Removable<DetachedPartition>>
  /** How many rows of tables that were taken out and not dropped this would keep; counts up to `most`. */
  sparedInDetached(spared: SparedRows, most: number): Promise<number>
}

/** What the settings say of how long rows are kept, and how far ahead partitions are made. */
export interface PartitionTerms {
  /** The database's clock. */
  readonly now: EpochMs
  /** From now, in milliseconds. */
  readonly aheadMs: number
  /** The retention and each rule that matches rows of the table. */
  readonly periods: readonly Period[]
}

export interface Period {
  /** As people know it: `AUDIT_LOGS_RETENTION`, `rule "security"`. */
  readonly name: string
  /** `undefined`: for ever. */
  readonly keptMs: number | undefined
}

export type PartitionState =
  | { readonly kind: 'plain' }
  /** Partitioned by somebody else: nothing is made or dropped. `reason`: a clause for people. */
  | { readonly kind: 'foreign'; readonly reason: string }
  | Converting
  | Converted
  | Undoing

/** `undo` has begun and not ended. */
export interface Undoing {
  readonly kind: 'undoing'
  readonly since: EpochMs
  /** Whether it is still the table with partitions, as before its first step. */
  readonly isPartitioned: boolean
  /** How many tables beside the plain one have rows, visible in it. With none all rows are at home, and what is not needed any more is left to be dropped. */
  readonly tables: number
}

/** `start` has begun and not ended. The gateway works on its plain table. */
export interface Converting {
  readonly kind: 'converting'
  readonly since: EpochMs
  /** Rows with a time from then on, and rows without a time, are refused until `start` or `undo` has ended; `undefined`: nothing is refused. */
  readonly refusesFrom: EpochMs | undefined
}

export interface Converted {
  readonly kind: 'converted'
  readonly since: EpochMs
  /** From now on each day up to this instant has its partition. */
  readonly coveredUntil: EpochMs
  /** Attached ones, without DEFAULT. */
  readonly partitions: number
  /** Rows that found no partition, counted up to `MOST_COUNTED`. */
  readonly unplaced: { readonly rows: number; readonly more: boolean }
  /** Taken out of the table and not dropped yet. */
  readonly detached: readonly { readonly name: string; readonly since: EpochMs }[]
  /** The table as it was before, and until when its rows are; `undefined`: it has been dropped. */
  readonly first: { readonly name: string; readonly until: EpochMs } | undefined
  /** Why partitions cannot be made or dropped here, each a sentence with what to do. */
  readonly problems: readonly string[]
  /** What is not as usual, and comes right by itself or was meant so; each a sentence. */
  readonly notes: readonly string[]
}

export type ConversionPlan =
  /** Every reason, each a sentence with what to do. */
  { readonly kind: 'refused'; readonly reasons: readonly string[] } | { readonly kind: 'ready'; readonly facts: ConversionFacts }

/** What a person wants to know before. */
export interface ConversionFacts {
  /** Whether an earlier `start` is gone on with. */
  readonly resumes: boolean
  /** By the planner. */
  readonly rows: number
  readonly bytes: number
  /** Where the first partition ends. */
  readonly bound: EpochMs
  /** How many are made at once. */
  readonly partitions: number
  /** How many there will be when the longest period is over. */
  readonly mostPartitions: number
  /** Rows without a time, or with one from the bound on: they are moved to DEFAULT. */
  readonly setAside: number
  /** Of the work that blocks nobody, mostly an index. */
  readonly expectedMs: number
  readonly neededBytes: number
  /** What the gateway's statements meet afterwards, and who could be in the way now; each a sentence. */
  readonly notes: readonly string[]
}

export interface ConversionOptions {
  readonly lock: MigrationLockOptions
  readonly listener: ConversionListener
  readonly signal: AbortSignal
}

export interface ConversionListener {
  /** A step begins: `builds the index on (id, timestamp)`. */
  step(sentence: string): void
  /** A step is done. `lockedMs`: for how long others could not use the table; `undefined`: it locked nobody out. */
  done(tookMs: number, lockedMs: number | undefined): void
  /** Waits for a lock; called soon and then every ten seconds. */
  blocked(by: string, waitedMs: number): void
}

export type Ahead =
  /** Not converted by us, or being turned back. */
  | { readonly kind: 'not-ours' }
  /** Something forbids more partitions, as it would forbid `start`, or this role may not make them; each a sentence. Rows of days without one go to DEFAULT. */
  | { readonly kind: 'refused'; readonly reasons: readonly string[] }
  | Missing

export interface Missing {
  readonly kind: 'missing'
  /** The earliest first. */
  readonly partitions: readonly MissingPartition[]
  /** Which days have none and get none, and where their rows go; each a clause. */
  readonly skipped: readonly string[]
  /** Takes back what a making that did not end has left: do it first. */
  readonly leftover: MakingStep | undefined
}

export interface MissingPartition {
  readonly name: string
  /** Each in a transaction of its own, in this order, until one says `there`. After one that failed ask again for what is missing, because of `leftover`. */
  readonly steps: readonly MakingStep[]
}

export interface MakingStep {
  /** How long its transaction may take. */
  readonly takesMs: number
  /** `there`: another worker has made it, or DEFAULT has got rows of that day since. Rejects with `busy` if a lock is in the way. */
  run(tx: Transaction): Promise<'made' | 'there'>
}

export interface Removable<T> {
  readonly tables: readonly T[]
  /** Why others are left alone, or go only once they are empty: each a warning, with what to do. */
  readonly notes: readonly string[]
}

/** A partition whose rows all have a time before the cutoff. */
export interface ExpiredPartition {
  readonly name: string
  /** How long the transaction that takes it out may take, most of it before it locks anything. */
  readonly takesMs: number
  /** Whether it may go as a whole, by what can be seen without a lock: it is read to its end for that, if anything is spared. Call it before `detach`. */
  mayGo(asked: Detaching): Promise<boolean>
  /**
   * Takes it out of its table, if it may go as a whole: if none of its rows is spared and, where `onlyEmpty`, if it has none. A few rows that stay for good are
   * moved to DEFAULT instead. Looks before it locks, at what `mayGo` has not looked at. The lock on the table is held until the transaction ends: some milliseconds.
   * The transaction can be used on whatever comes of it.
   */
  detach(tx: Transaction, asked: Detaching): Promise<Detachment>
}

export interface Detaching {
  readonly spared: SparedRows
  /** Those of `spared`, the same values, that keep rows for good as far as anybody knows: the holds. What a rule keeps goes later, and is not worth moving. */
  readonly lasting: SparedRows
  /** Rows are archived: a partition goes only once its rows have gone, one by one. */
  readonly onlyEmpty: boolean
}

export type Detachment =
  /** `table`: to be dropped next, once this is committed. */
  | { readonly kind: 'detached'; readonly table: DetachedPartition }
  /** It has rows that must stay, or that go one by one. */
  | { readonly kind: 'stays' }
  /** Nothing was changed. `by`: who or what was in the way, as it stands behind a colon. */
  | { readonly kind: 'busy'; readonly by: string }

/** A table that was a partition. Nobody reads or writes it. */
export interface DetachedPartition {
  readonly name: string
  /** How long the transaction that drops it may take: rows are looked at, and at its end files of this size go. `undefined`: no longer than usual. */
  readonly takesMs: number | undefined
  /**
   * Drops it if all of its rows may go by what they are now; they are counted. Otherwise it becomes a partition again or, where that is impossible, rows that stay
   * are moved back into the table, some thousand a call. The transaction can be used on whatever comes of it.
   */
  drop(tx: Transaction, asked: Dropping): Promise<Dropped>
}

export interface Dropping extends Detaching {
  readonly cutoff: EpochMs
}

export type Dropped =
  | { readonly kind: 'dropped'; readonly rows: number }
  /** There is no table of that name: somebody else has dropped or renamed it. The record of it has gone. */
  | { readonly kind: 'gone' }
  /** It is a partition again, or was one. `because`: it was not its rows that kept it from being dropped. */
  | { readonly kind: 'attached'; readonly because?: string }
  /** Rows were moved back, one at least; call it again. */
  | { readonly kind: 'moved'; readonly rows: number }
  /** See `Detachment`. */
  | { readonly kind: 'busy'; readonly by: string }
