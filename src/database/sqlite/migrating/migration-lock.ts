import { everyTenSeconds } from '../../../time/every-ten-seconds.ts'
import type { ApplyOutside, ApplyTransaction, MigrationLockOptions } from '../../migrating.ts'
import type { SqliteSession } from '../connection/session.ts'

/**
 * SQLite allows one write transaction at a time and makes the others wait at BEGIN IMMEDIATE, so each `apply` sees what earlier ones did. No further lock is
 * needed, and none is left behind by a crash. Who holds the lock is unknown.
 */
export function withMigrationLock<T>(
  session: SqliteSession,
  { timeoutMs, signal, waiting }: MigrationLockOptions,
  work: (apply: ApplyTransaction, outside: ApplyOutside) => Promise<T>,
): Promise<T> {
  const apply: ApplyTransaction = (transaction) => {
    const due = everyTenSeconds()
    const report = (waitedMs: number): void => {
      if (due(waitedMs)) waiting('another process that holds the write lock', waitedMs)
    }
    return session.patientTransaction({ limitMs: timeoutMs, signal, waiting: report }, transaction)
  }
  return work(apply, () => Promise.reject(new Error('SQLite has no migration statement that needs to run outside a transaction')))
}
