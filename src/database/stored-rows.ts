import type { EpochMs } from '../time.ts'
import type { Transaction } from './database.ts'

/** A row as it is stored, in the form that both engines share. */
export interface StoredRow {
  /** What its time column says, as an instant. */
  readonly at: EpochMs
  /** Its `id`, for people; empty where the table has none. */
  readonly id: string
  /**
   * One JSON object in UTF-8, without a line feed. Whole numbers have all their digits, whatever their size; a number with a point or an exponent was
   * stored as a floating one. What JSON cannot hold is an object with one tag: see `TAGS`. A row with a very long value comes in pieces, and can be
   * walked once.
   */
  readonly line: Uint8Array | Iterable<Uint8Array>
  /** About how many bytes the line has. */
  readonly size: number
  /**
   * SHA-256, a character a byte, of the row as it is stored: equal exactly when nothing in the row has changed. Of one that comes in pieces it is known
   * when they were walked, and asked for once.
   */
  readonly digest: string
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
  /** The column that says a row's time. */
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
  /**
   * What was committed is on the disk when it resolves: a file may be moved or removed by what the database says then, since no crash of the machine
   * makes it say something older.
   */
  durable(): Promise<void>
  /** What a time in a `StoredRow.line`, as JSON has it, says as an instant; NaN: it is none. */
  readonly instantOf: (value: unknown) => EpochMs
  /** The columns of a table that hold something of their own: computed ones are left out. Empty where there is no such table. */
  columnsOf(table: string): Promise<readonly StoredColumn[]>
  /** Makes the table that rows are restored into, unless it is there. */
  makeRestoreTable(restoring: Restoring, columns: readonly StoredColumn[]): Promise<void>
  /** Inserts rows as `StoredRow.line` has them; one that is there is not doubled. */
  restore(tx: Transaction, restoring: Restoring, columns: readonly StoredColumn[], lines: readonly string[]): Promise<Restored>
}
