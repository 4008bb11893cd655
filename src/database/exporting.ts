import type { SparedRows } from '../policy/spared.ts'
import type { EpochMs } from '../time/clock.ts'
import type { ExpiredRows, Slice, Slices, Tally, TimeColumn } from './purging.ts'
import type { Transaction } from './query.ts'

/** Bytes of a SHA-256. */
export const DIGEST_BYTES = 32

/**
 * Rows as JSON, one object a line, in UTF-8. Integers are written in full, whatever their size; a decimal point or an exponent means that
 * the number was stored as floating point. What JSON cannot express is an object with a single tag: see `TAGS`.
 */
export interface RowLines {
  readonly count: number
  /** The instant that the time column of each row means. */
  readonly at: ArrayLike<EpochMs>
  /** The `id` of a row, for people; empty if the table has none. */
  readonly idOf: (index: number) => string
  /** Concatenated, each with a line feed at its end. */
  readonly lines: Uint8Array
  /** The offsets in `lines` at which they end. */
  readonly ends: ArrayLike<number>
  /** Used instead of `lines` if the batch is a single row with a very long value; iterate once. */
  readonly pieces?: Iterable<Uint8Array>
}

/** Rows as they are stored. The buffers are valid only until `take` resolves. */
export interface StoredRows extends RowLines {
  /** The approximate size of the lines, in bytes. */
  readonly bytes: number
  /**
   * The SHA-256 digests of the rows as they are stored, concatenated: equal exactly if nothing in the row has changed. If the row comes in
   * `pieces`, available only after they have been iterated; read it once.
   */
  readonly digests: Uint8Array
}

/** The only keys of an object that stands for a value. */
export const TAGS = {
  /** Bytes in hexadecimal: SQLite's BLOB, PostgreSQL's bytea. */
  bytes: '$bytes',
  /** Text that is not valid UTF-8, or that PostgreSQL's encoding cannot convert to it and back: its bytes in hexadecimal. */
  text: '$text',
  /** A floating-point number that JSON cannot express: Infinity, -Infinity (SQLite; PostgreSQL's are text, which its types parse). */
  real: '$real',
} as const

export interface ExportedSlices extends Slices {
  /**
   * No slice goes beyond the end of the slice `until`, even if its rows have been deleted since; `undefined`: that end is reached, or no row
   * is left.
   */
  next(size: number, after: Slice | undefined, until?: Slice): Promise<ExportedSlice | undefined>
}

/** Expired rows that can be read as they are stored, and whose deletion returns the digests of what was deleted. */
export interface ExportedRows extends ExpiredRows, ExportedSlices {
  next: ExportedSlices['next']
  /** Expired rows that are in no slice because their line is too long; `among`: looks only at so many of the earliest expired rows. */
  tooLarge(among?: number): Promise<TooLarge>
}

export interface ExportedSlice extends Slice {
  /**
   * Reads the rows of the slice that still count as expired, as they are stored now: a few megabytes at a time, without a lock. Rejects
   * with what `take` rejects with.
   */
  read(take: (rows: StoredRows) => Promise<void>): Promise<void>
  /**
   * Like `remove`, but deletes only rows that are known, as far as others do not change them meanwhile: the returned digests of the deleted rows,
   * as they were when they were deleted, say which they are.
   */
  removeRead(tx: Transaction, spared: SparedRows, known: KnownRows): Promise<DigestedTally>
}

/**
 * Begins to go through rows; the function that it returns takes the digest at an offset, and says whether that row is known. Each known row
 * is found once: of equal rows as many are known as there were.
 */
export type KnownRows = () => (digests: DataView, offset: number) => boolean

export interface DigestedTally extends Tally {
  /** Concatenated, in no order. */
  readonly digests: Uint8Array
  /** Expired rows that stay because they are not known. */
  readonly unknown: number
}

export interface TooLarge {
  readonly rows: number
  /** The `id` of the first few, for people. */
  readonly ids: readonly string[]
}

export interface StoredColumn {
  readonly name: string
  /** As the engine declares it; empty if SQLite's table declares none. */
  readonly type: string
  /** Whether it is part of the primary key. */
  readonly key: boolean
  /** Whether the table computes it: it is archived if it is the time column, and never inserted. */
  readonly computed?: boolean
}

export interface Restoring {
  /** The table that the rows came from. If `into` does not exist, it is created with the same columns. */
  readonly source: string
  readonly into: string
  /** The time column. */
  readonly timeColumn: string
  /** Earlier rows are left out; `undefined`: none. */
  readonly cutoff: EpochMs | undefined
}

export interface Restored {
  readonly inserted: number
  /** Already there, equal in every column. */
  readonly present: number
  /** Left out, because a different row has the same key. */
  readonly conflicting: number
  /** Left out, because they are before the cutoff. */
  readonly expired: number
}

export interface Archivable {
  /** Whether the engine runs in another process, so that reading ahead can overlap deleting. */
  readonly worksElsewhere: boolean
  /**
   * Resolves once everything committed is on disk. Call it before moving or removing files according to the database, and before reporting as done what
   * nobody does again: a crash can then no longer roll that state back.
   */
  durable(): Promise<void>
  /** `longestBytes`: a row with a longer line, without the line feed, is in no slice; `tooLarge` reports it. */
  exported(column: TimeColumn, cutoff: EpochMs, longestBytes: number, spared?: SparedRows): ExportedRows
  /** The instant that a time in a line of `RowLines` means; NaN: it is not a time. */
  readonly instantOf: (value: unknown) => EpochMs
  /** All instants that it may mean, where the clocks of its zone went back or forward; empty: it is not a time. */
  readonly instantsOf: (value: unknown) => readonly EpochMs[]
  /** Whether this engine treats two names as the same table. */
  readonly namesOneTable: (a: string, b: string) => boolean
  /** The columns of a table, without computed ones other than the time; empty if there is no such table. */
  columnsOf(column: TimeColumn): Promise<readonly StoredColumn[]>
  /**
   * Creates the table that rows are restored into, if it is missing. Column definitions from a file are untrusted: rejects before creating
   * anything if they are not a valid table. Returns a sentence for each column that had to differ.
   */
  makeRestoreTable(restoring: Restoring, columns: readonly StoredColumn[]): Promise<readonly string[]>
  /**
   * Inserts rows, given as lines of `RowLines`, in one transaction; rows that are there are not duplicated. Rejects if one of them is not
   * there afterwards. Consumes the lines: long values are decoded in place.
   */
  restore(restoring: Restoring, columns: readonly StoredColumn[], lines: readonly Buffer[]): Promise<Restored>
}
