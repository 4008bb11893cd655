import type { EpochMs } from '../time/clock.ts'
import type { ExpiredRows, Slice, Tally, TimeColumn } from './purging.ts'
import type { Transaction } from './query.ts'

/** Bytes of a SHA-256. */
export const DIGEST_BYTES = 32

/**
 * Rows as JSON, an object a line, in UTF-8. Integers are written in full, whatever their size; a decimal point or an
 * exponent means that the number was stored as floating point. What JSON cannot hold is an object with one tag: see `TAGS`.
 */
export interface RowLines {
  readonly count: number
  /** What the time column of each says, as an instant. */
  readonly at: ArrayLike<EpochMs>
  /** The `id` of one, for people; empty where the table has none. */
  readonly idOf: (index: number) => string
  /** Side by side, each with a line feed at its end. */
  readonly lines: Uint8Array
  /** Where in `lines` each ends. */
  readonly ends: ArrayLike<number>
  /** Used instead of `lines` if the batch is a single row with a very long value; iterate once. */
  readonly pieces?: Iterable<Uint8Array>
}

/** Rows as they are stored. The buffers are valid only until `take` resolves. */
export interface StoredRows extends RowLines {
  /** About how many bytes the lines have. */
  readonly bytes: number
  /**
   * SHA-256 of each row as it is stored, side by side: equal exactly when nothing in the row has changed. Of one that comes in pieces it is known when
   * they were walked, and asked for once.
   */
  readonly digests: Uint8Array
}

/** The only keys of an object that stands for a value. */
export const TAGS = {
  /** Bytes in hexadecimal: SQLite's BLOB, PostgreSQL's bytea. */
  bytes: '$bytes',
  /** Text whose bytes, in hexadecimal, are no UTF-8 (SQLite). */
  text: '$text',
  /** A floating-point number that JSON has no word for: Infinity, -Infinity (SQLite; PostgreSQL's are text, which its types read back). */
  real: '$real',
} as const

/** Expired rows that can be read as they are stored, and are deleted only as they are read. */
export interface ExportedRows extends ExpiredRows {
  next(size: number, after: Slice | undefined): Promise<ExportedSlice | undefined>
  /** What has expired and lies in no slice because its line is too long; `among`: only so many of the earliest expired rows are looked at. */
  tooLarge(among?: number): Promise<TooLarge>
}

export interface ExportedSlice extends Slice {
  /** Its rows that have expired, now, as they are stored: a few megabytes at a time, without a lock. Rejects with what `take` rejects with. */
  read(take: (rows: StoredRows) => Promise<void>): Promise<void>
  /** `remove`, which returns the digests of the deleted rows as they were when they were deleted. */
  removeRead(tx: Transaction): Promise<DigestedTally>
}

export interface DigestedTally extends Tally {
  /** Side by side, in no order. */
  readonly digests: Uint8Array
}

export interface TooLarge {
  readonly rows: number
  /** The `id` of the first few, for people. */
  readonly ids: readonly string[]
}

export interface StoredColumn {
  readonly name: string
  /** As the engine declares it; empty where SQLite's table declares none. */
  readonly type: string
  /** Whether it is part of the primary key. */
  readonly key: boolean
}

export interface Restoring {
  /** The table that the rows came from: where there is no `into`, it is made with the same columns. */
  readonly source: string
  readonly into: string
  /** The time column. */
  readonly timeColumn: string
  /** Rows before it are left out; `undefined`: none. */
  readonly cutoff: EpochMs | undefined
}

export interface Restored {
  readonly inserted: number
  /** They were there, equal in every column. */
  readonly present: number
  /** A row with the same key is there and says something else. */
  readonly conflicting: number
  /** Before the cutoff. */
  readonly expired: number
}

export interface Archivable {
  /** Whether the engine runs in another process, so that reading ahead can overlap deleting. */
  readonly worksElsewhere: boolean
  /**
   * Resolves once everything committed is on disk. Call it before moving or removing files according to the database: a crash can then no longer roll
   * that state back.
   */
  durable(): Promise<void>
  /** `longestBytes`: a row whose line, as `RowLines` has it, is longer lies in no slice; `tooLarge` tells of it. The line feed does not count. */
  exported(column: TimeColumn, cutoff: EpochMs, longestBytes: number): ExportedRows
  /** What a time in a line of `RowLines`, as JSON has it, says as an instant; NaN: it is none. */
  readonly instantOf: (value: unknown) => EpochMs
  /** Whether this engine treats two names as the same table. */
  readonly namesOneTable: (a: string, b: string) => boolean
  /** The columns of a table that hold something of their own: computed ones are left out. Empty where there is no such table. */
  columnsOf(table: string): Promise<readonly StoredColumn[]>
  /**
   * Makes the table that rows are restored into, if it is missing. Column definitions from a file are untrusted: rejects before creating anything if
   * they are not a valid table. Returns a sentence for each column that had to differ.
   */
  makeRestoreTable(restoring: Restoring, columns: readonly StoredColumn[]): Promise<readonly string[]>
  /**
   * Inserts rows as a line of `RowLines` has them, in one transaction; one that is there is not doubled. Rejects where one of them is not there afterwards.
   * What the lines hold is used up: long values are unpacked in their places.
   */
  restore(restoring: Restoring, columns: readonly StoredColumn[], lines: readonly Buffer[]): Promise<Restored>
}
