import { DatabaseError } from '../database/database-error.ts'
import type { ApplyOutside, ApplyTransaction } from '../database/migrating.ts'
import type { Transaction } from '../database/query.ts'
import { SECOND } from '../time/clock.ts'
import { durationText } from '../time/time-text.ts'
import { buildIndexes } from './indexes/build-indexes.ts'
import type { IndexStep } from './indexes/concurrent-indexes.ts'
import { isRecorded, LEDGER, makeLedger, record } from './ledger.ts'
import type { AppliedMigration, MigrateOptions } from './migrate-options.ts'
import { atStatement, migrationFailure } from './migration-failure.ts'
import type { MigrationFile } from './migration-files.ts'

/** A run that holds the migration lock. */
export interface LockedRun extends MigrateOptions {
  readonly apply: ApplyTransaction
  readonly outside: ApplyOutside
  /** If true, the first file creates it. */
  readonly ledgerMissing: boolean
}

/** `recorded`: another worker has applied it. `stopped`: the program was asked to stop, and the file is still pending. */
export type Application = AppliedMigration | 'recorded' | 'stopped'

const FIRST_PAUSE_MS = SECOND / 2
const LONGEST_PAUSE_MS = 15 * SECOND

/** Applies one file and inserts its row in the ledger. Retries if a lock is in the way. */
export async function applyFile(run: LockedRun, file: MigrationFile): Promise<Application> {
  const { clock, signal, lockTimeoutMs, listener } = run
  const { outside } = file.script
  const began = clock.monotonicMs()
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await (outside === undefined ? applyInTransaction(run, file) : applyOutside(run, file, outside))
    } catch (error) {
      const busy = error instanceof DatabaseError && error.kind === 'busy'
      if (busy && signal.aborted) return 'stopped'
      const waitedMs = clock.monotonicMs() - began
      if (!busy || waitedMs + pauseMs > lockTimeoutMs) throw migrationFailure(file, error)
      listener.blocked(file.path, `${error.message}; tried again in ${durationText(pauseMs)}`, waitedMs)
      await clock.sleep(pauseMs, signal)
      if (signal.aborted) return 'stopped'
    }
  }
}

/** Applies all of the file with its row, or nothing. */
function applyInTransaction(run: LockedRun, file: MigrationFile): Promise<Application> {
  const began = run.clock.monotonicMs()
  return run.apply(async (tx) => {
    if (await isDone(run, tx, file)) return 'recorded'
    for (const statement of file.script.statements) await atStatement(statement, () => tx.query(statement.sql))
    return await recorded(run, tx, file, began)
  })
}

/** Runs each statement outside a transaction. The row is inserted last, so a file in the ledger is complete; without its row it runs again from its beginning. */
async function applyOutside(run: LockedRun, file: MigrationFile, steps: readonly IndexStep[]): Promise<Application> {
  const began = run.clock.monotonicMs()
  if (await run.apply((tx) => isDone(run, tx, file))) return 'recorded'
  await buildIndexes(run, file.path, steps)
  return await run.apply((tx) => recorded(run, tx, file, began))
}

/** Called inside a transaction that holds the lock: only there is it certain that no other worker has applied the file. */
async function isDone({ database, ledgerMissing }: LockedRun, tx: Transaction, file: MigrationFile): Promise<boolean> {
  const table = database.named(LEDGER)
  if (ledgerMissing) await makeLedger(tx, table)
  return await isRecorded(tx, table, file.version)
}

async function recorded(
  { database, clock, appVersion }: LockedRun,
  tx: Transaction,
  file: MigrationFile,
  began: number,
): Promise<AppliedMigration> {
  const durationMs = Math.round(clock.monotonicMs() - began)
  await record(tx, database.named(LEDGER), file, { appliedAt: tx.now, durationMs, appVersion })
  return { version: file.version, name: file.name, durationMs }
}
