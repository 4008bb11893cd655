import { everyTenSeconds } from '../../../time/every-ten-seconds.ts'
import type { ApplyOutside, ApplyTransaction, MigrationLockOptions } from '../../migrating.ts'
import type { SqliteSession } from '../connection/session.ts'

/**
 * SQLite lets one transaction write at a time and keeps the others waiting from BEGIN IMMEDIATE on, so that each `apply` sees what the ones before
 * it did: no further lock is needed, and none could outlive a crash. The lock says nothing of who holds it.
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
  return work(apply, () => Promise.reject(new Error('there is nothing that SQLite does only outside a transaction')))
}
