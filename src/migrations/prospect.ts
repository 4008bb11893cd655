import type { Relation } from '../database/migrating.ts'
import { MaintenanceError } from '../errors.ts'
import { readLedger, type Ledger } from './ledger.ts'
import type { MigrateOptions } from './migrate-options.ts'
import type { MigrationFile } from './migration-files.ts'
import { planMigrations } from './plan.ts'

/** What `migrate` would apply, in order. Only reads. Rejects where `migrate` would reject before its first statement. */
export async function pendingMigrations(options: Planned): Promise<readonly MigrationFile[]> {
  return (await prospect(options)).pending
}

type Planned = Pick<MigrateOptions, 'database' | 'files' | 'to'>

/** The current state, and what is pending. */
export interface Prospect {
  readonly ledger: Ledger
  readonly pending: readonly MigrationFile[]
  /** Empty if nothing is pending. */
  readonly existing: ReadonlyMap<string, Relation>
}

/** Rejects unless everything that is pending can be applied. */
export async function prospect(options: Planned): Promise<Prospect> {
  const { database, to } = options
  const ledger = await readLedger(database)
  const plan = planMigrations(filesFor(options), ledger ?? [], to)
  if (plan.kind === 'refused') throw new MaintenanceError('MIGRATION_REFUSED', [...plan.problems, 'Nothing was changed.'])
  const { pending } = plan
  if (pending.length === 0) return { ledger, pending, existing: new Map() }
  const { refuseUnfit } = await import('./fitness.ts')
  return { ledger, pending, existing: await refuseUnfit(database, pending) }
}

export function filesFor({ database, files }: Pick<MigrateOptions, 'database' | 'files'>): readonly MigrationFile[] {
  return files.filter(({ fileName }) => database.migrationFiles.test(fileName))
}
