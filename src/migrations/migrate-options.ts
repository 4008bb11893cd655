import type { Database } from '../database/database.ts'
import type { Clock } from '../time/clock.ts'
import type { MigrationFile } from './migration-files.ts'

export interface MigrateOptions {
  readonly database: Database
  /** The files of both engines, as returned by `readMigrationFiles`. */
  readonly files: readonly MigrationFile[]
  /** The last one to apply; `undefined`: the newest. */
  readonly to?: number | undefined
  readonly appVersion: string
  /** How long to wait for another worker that is migrating, and then for the locks on tables. */
  readonly lockTimeoutMs: number
  /** Checked between files; the current file is finished. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly listener: MigrationListener
}

export interface MigrationListener {
  applied(migration: AppliedMigration): void
  /** Nothing is pending any more. `applied`: how many files this run applied; `latest`: the number of the newest. */
  current(applied: number, latest: number): void
  /** Another worker is migrating. */
  waiting(holder: string, waitedMs: number): void
  /** Another session holds a lock that the file needs. `reason` names it if it is visible. */
  blocked(path: string, reason: string, waitedMs: number): void
  /** An invalid index left by an interrupted build was dropped; it is built again. */
  healed(path: string, index: string): void
  /** The file is about to grant these rights to these roles: there is at least one. */
  granting(path: string, rights: readonly string[], roles: readonly string[]): void
  slowIndex(table: string, rows: number, message: string): void
}

export interface AppliedMigration {
  readonly version: number
  readonly name: string
  readonly durationMs: number
}
