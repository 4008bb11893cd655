import type { Database } from '../database/database.ts'
import { pendingMigrations } from '../migrations/prospect.ts'
import { readLedger } from '../migrations/ledger.ts'
import { stemOf } from '../migrations/file-names.ts'
import type { MigrationFile } from '../migrations/migration-files.ts'
import { makerOf } from '../migrations/shapes/shapes.ts'
import type { EpochMs } from '../time/clock.ts'
import { tryQuery } from './try-query.ts'

export interface MigrationsStatus {
  /** Whether the worker applies what is pending. */
  readonly enabled: boolean
  /** By number. */
  readonly applied: readonly AppliedMigration[]
  readonly pending: readonly PendingMigration[]
  /** Why pending migrations would be refused, or why the record of applied ones cannot be read. */
  readonly problem: string | undefined
}

export interface PendingMigration {
  readonly version: number
  /** `initial_schema` */
  readonly name: string
}

export interface AppliedMigration extends PendingMigration {
  readonly appliedAt: EpochMs
}

export async function readMigrations(database: Database, files: readonly MigrationFile[], enabled: boolean): Promise<MigrationsStatus> {
  const ledger = await tryQuery(() => readLedger(database))
  const applied = ledger.answer ?? []
  const known = new Set(applied.map(({ version }) => version))
  const ours = files.filter(({ fileName }) => database.migrationFiles.test(fileName))
  const plan = ledger.problem === undefined ? await tryQuery(() => pendingMigrations({ database, files })) : ledger
  return {
    enabled,
    applied: applied.map(({ version, name, appliedAt }) => ({ version, name, appliedAt })),
    pending:
      ledger.problem === undefined ? ours.filter(({ version }) => !known.has(version)).map(({ version, name }) => ({ version, name })) : [],
    problem: plan.problem,
  }
}

/** Whether a worker that starts makes this table. */
export function isToCome(table: string, { enabled, pending }: MigrationsStatus): boolean {
  return (
    enabled &&
    makerOf(
      table,
      pending.map((each) => ({ stem: stemOf(each) })),
    ) !== undefined
  )
}
