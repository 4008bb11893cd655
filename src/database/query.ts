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

export interface Session extends Query {
  /** The database boundary's clock: PostgreSQL's own; on SQLite the injected one. */
  now(): Promise<EpochMs>
  /**
   * Short, for writing, one at a time. Waits for the database's write lock or a row lock no longer than the engine's short limit
   * and then rejects with `busy`. The work may be done on the server although the answer to COMMIT was lost (`lost`).
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
  /** After `lost`: connects again, with backoff, until it works; rejects with `unreachable` when `signal` aborts or the time for it is over. */
  reconnected(signal: AbortSignal): Promise<void>
  /** A table of this database as it is written in SQL: quoted, and qualified where the engine has schemas. */
  named(table: string): string
}
