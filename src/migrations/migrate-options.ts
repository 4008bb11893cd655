import type { Database } from '../database/database.ts'
import type { Clock } from '../time/clock.ts'
import type { MigrationFile } from './migration-files.ts'

export interface MigrateOptions {
  readonly database: Database
  /** Of both engines, as `readMigrationFiles` gives them. */
  readonly files: readonly MigrationFile[]
  readonly appVersion: string
  /** How long to wait for another worker that is migrating, and then for the locks on tables. */
  readonly lockTimeoutMs: number
  /** Looked at between files: the one that is being applied is finished. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly listener: MigrationListener
}

export interface MigrationListener {
  applied(migration: AppliedMigration): void
  /** Nothing is pending any more: how many this run applied, and the number of the newest. */
  current(applied: number, latest: number): void
  /** Another worker is migrating. */
  waiting(holder: string, waitedMs: number): void
  /** Somebody else holds a lock that the file needs; who, where that can be seen. */
  blocked(path: string, reason: string, waitedMs: number): void
  /** An index that an attempt that died has left half built was taken away; it is built again. */
  healed(path: string, index: string): void
  slowIndex(table: string, rows: number, message: string): void
}

export interface AppliedMigration {
  readonly version: number
  readonly name: string
  readonly durationMs: number
}
