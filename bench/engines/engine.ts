import type { Spread } from '../audit-rows.ts'

export const ENGINE_NAMES = ['sqlite', 'postgres'] as const
export type EngineName = (typeof ENGINE_NAMES)[number]

/** `lean`: the indexes that this project's migrations make. `published`: also the index on "user" that the gateway's own script makes. */
export type Indexes = 'published' | 'lean'

/** An index that the gateway's script makes although another one serves the same queries. */
export const REDUNDANT_INDEX = 'CREATE INDEX idx_audit_logs_user ON audit_logs ("user")'
export const WITHOUT_REDUNDANT_INDEX = 'DROP INDEX idx_audit_logs_user'

/** What one engine provides to the scenarios. */
export interface Engine extends AsyncDisposable {
  readonly name: EngineName
  /** Product and version. */
  readonly version: string
  /** A separate database with so many audit rows, on disk, with nothing left to be written. */
  copy(rows: number, options?: CopyOptions): Promise<Copy>
  /** Until it is disposed of, every flush of the log takes this much longer, as on a slower disk. */
  slowDisk(ms: number): Promise<AsyncDisposable>
}

export interface CopyOptions {
  /** `published` by default. */
  readonly indexes?: Indexes
  /** SQLite's journal mode; `wal` by default. */
  readonly journal?: 'wal' | 'delete'
  /** PostgreSQL: rows as they are a while after midnight, and, where `daily`, in partitions of a day, as after a conversion long ago. */
  readonly spread?: Spread & { readonly daily: boolean }
}

export interface Copy extends AsyncDisposable {
  /** As `DATABASE_URL` accepts it. */
  readonly url: string
  readonly rows: number
  /** SQLite: the size of the WAL file. PostgreSQL: how much WAL was written since the server was made. */
  walBytes(): Promise<number>
  /** A snapshot of the present, held open until it is disposed of. */
  oldTransaction(): Promise<AsyncDisposable>
  /** Deletes expired rows and cleans up the table. */
  deleteExpired(): Promise<void>
}
