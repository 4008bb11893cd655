import type { EpochMs } from '../time/clock.ts'

/** What is bound to `$1`, `$2`, … ; the same SQL text serves both engines for tables of our own. */
export type Value = string | number | bigint | Uint8Array | null

export interface Result<Row> {
  readonly rows: readonly Row[]
  /** Rows inserted, updated or deleted. */
  readonly changed: number
}

export interface Query {
  /** 64-bit integers come back as numbers. Rejects with a `DatabaseError`. */
  query<Row = Record<string, unknown>>(sql: string, values?: readonly Value[]): Promise<Result<Row>>
}

export interface Transaction extends Query {
  /** The database's clock when the transaction began. */
  readonly now: EpochMs
}

export interface TransactionOptions {
  /** How long one of its statements, or COMMIT, may take in milliseconds, where that is longer than a short transaction's statements usually may. */
  readonly takesMs?: number | undefined
}

export interface Session extends Query {
  /** The database's clock: PostgreSQL's own; for SQLite the injected one. */
  now(): Promise<EpochMs>
  /**
   * A short transaction that may write; one at a time. Waits for the write lock or a row lock up to the engine's short limit, then rejects with `busy`.
   * After `lost` the work may still have been committed, if only the answer to COMMIT was lost.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** After `lost`: reconnects, with backoff. Rejects with `unreachable` when `signal` aborts or the time is up. */
  reconnected(signal: AbortSignal): Promise<void>
  /**
   * Makes every number that the database gives a new row of this table of ours (column `id`) from now on greater than `above`. Rejects with `forbidden`,
   * naming the statement to run, if this role may not.
   */
  raiseNumbers(tx: Transaction, table: string, above: number): Promise<void>
  /** The name of a table for use in SQL: quoted, and qualified if the engine has schemas. */
  named(table: string): string
  /** The text as the database can keep it: in place of a character that its encoding lacks is another one. */
  storable(text: string): Promise<string>
}

/** What is needed of tables, by their names. */
export type Rights = Readonly<Record<string, readonly string[]>>
