export const ENGINE_NAMES = ['sqlite', 'postgres'] as const
export type EngineName = (typeof ENGINE_NAMES)[number]

/** `lean`: what this project's migrations make. `published`: with the index on "user" that the gateway's own script makes as well. */
export type Indexes = 'published' | 'lean'

/** What the gateway's script makes and another index already gives. */
export const REDUNDANT_INDEX = 'CREATE INDEX idx_audit_logs_user ON audit_logs ("user")'
export const WITHOUT_REDUNDANT_INDEX = 'DROP INDEX idx_audit_logs_user'

/** What one engine gives the scenarios. */
export interface Engine extends AsyncDisposable {
  readonly name: EngineName
  /** Product and version. */
  readonly version: string
  /** A database of its own with so many audit rows, on disk, with nothing left to be written. */
  copy(rows: number, options?: CopyOptions): Promise<Copy>
  /** Until it is disposed of, every flush of the log takes so much longer, as on a slower disk. */
  slowDisk(ms: number): Promise<AsyncDisposable>
}

export interface CopyOptions {
  /** `published` where nothing is said. */
  readonly indexes?: Indexes
  /** SQLite's; `wal` where nothing is said. */
  readonly journal?: 'wal' | 'delete'
}

export interface Copy extends AsyncDisposable {
  /** As `DATABASE_URL` takes it. */
  readonly url: string
  readonly rows: number
  /** SQLite: how large the WAL file is. PostgreSQL: how much WAL was written since the server was made. */
  walBytes(): Promise<number>
  /** A snapshot of now, held open until it is disposed of. */
  oldTransaction(): Promise<AsyncDisposable>
  /** Deletes expired rows and cleans up the table. */
  deleteExpired(): Promise<void>
}
