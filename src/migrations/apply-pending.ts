import { DatabaseError } from '../database/database-error.ts'
import { MaintenanceError } from '../errors.ts'
import { applyFile } from './apply-file.ts'
import { grantedRoles } from './granted-roles.ts'
import { slowTables } from './indexes/slow-tables.ts'
import type { AppliedMigration, MigrateOptions } from './migrate-options.ts'
import { prospect } from './prospect.ts'

/** Returns false if the program was asked to stop while something is still pending. */
export async function applyPending(options: MigrateOptions, note: (migration: AppliedMigration) => void): Promise<boolean> {
  const { database, signal, listener, lockTimeoutMs } = options
  const lock = { timeoutMs: lockTimeoutMs, signal, waiting: (holder: string, waitedMs: number) => listener.waiting(holder, waitedMs) }
  try {
    return await database.withMigrationLock(lock, async (apply, outside) => {
      const { ledger, pending, existing } = await prospect(options)
      const run = { ...options, apply, outside, ledgerMissing: ledger === undefined }
      for (const file of pending) {
        if (signal.aborted) return false
        const slow = await slowTables(database, existing, file.script.statements)
        for (const { table, rows, message } of slow) listener.slowIndex(table, rows, message)
        const roles = await grantedRoles(database, file)
        if (roles.length > 0) listener.granting(file.path, file.script.grants, roles)
        const outcome = await applyFile(run, file)
        if (outcome === 'stopped') return false
        if (outcome !== 'recorded') note(outcome)
      }
      return true
    })
  } catch (error) {
    // A lock on a table is reported as a failure of its file, so this is the migration lock, and nothing has begun.
    if (!(error instanceof DatabaseError) || error.kind !== 'busy') throw error
    if (signal.aborted) return false
    const problems = [...error.lines, 'This worker began no migration. Start again when the other worker has finished.']
    throw new MaintenanceError('MIGRATION_FAILED', problems, { cause: error })
  }
}
