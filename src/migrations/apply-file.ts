import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import type { ApplyOutside, ApplyTransaction } from '../database/migrating.ts'
import { formatDuration, SECOND, type Clock } from '../time/clock.ts'
import { buildIndexes } from './indexes/build-indexes.ts'
import { isRecorded, makeLedger, record } from './ledger.ts'
import { migrationFailure } from './migration-failure.ts'
import type { MigrationFile } from './migration-files.ts'
import { runsOutsideTransaction } from './sql/directives.ts'
import { splitStatements, type Statement } from './sql/statements.ts'

export interface Application {
  readonly file: MigrationFile
  readonly database: Database
  readonly apply: ApplyTransaction
  readonly outside: ApplyOutside
  /** As SQL names it, and whether it has to be made first. */
  readonly ledger: { readonly table: string; readonly missing: boolean }
  readonly appVersion: string
  /** For how long a file that meets a lock is tried again. */
  readonly lockTimeoutMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Somebody holds a lock that the file needs. */
  readonly blocked: (reason: string, waitedMs: number) => void
  /** An index that an attempt that died has left half built was taken away. */
  readonly healed: (index: string) => void
}

const FIRST_PAUSE_MS = SECOND / 2
const LONGEST_PAUSE_MS = 15 * SECOND

/** One file, with its row in the ledger. Milliseconds; `undefined`: another worker did it, or the program is to stop. */
export async function applyFile(application: Application): Promise<number | undefined> {
  const { file, clock, signal, lockTimeoutMs, blocked } = application
  const attemptFile = runsOutsideTransaction(file.text) ? attemptOutside : attemptInTransaction
  const began = clock.monotonicMs()
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const attempt: Attempt = { statement: undefined }
    try {
      return await attemptFile(application, attempt)
    } catch (error) {
      const busy = error instanceof DatabaseError && error.kind === 'busy'
      if (busy && signal.aborted) return undefined
      const waitedMs = clock.monotonicMs() - began
      if (!busy || waitedMs + pauseMs > lockTimeoutMs) throw migrationFailure(file, attempt.statement, error)
      blocked(`${error.message}; tried again in ${formatDuration(pauseMs)}`, waitedMs)
      await clock.sleep(pauseMs, signal)
      if (signal.aborted) return undefined
    }
  }
}

/** Where an attempt is, so that its failure can be placed. */
interface Attempt {
  statement: Statement | undefined
}

/** All of the file and its row, or nothing. */
function attemptInTransaction({ file, apply, ledger, appVersion, clock }: Application, attempt: Attempt): Promise<number | undefined> {
  const began = clock.monotonicMs()
  return apply(async (tx) => {
    if (ledger.missing) await makeLedger(tx, ledger.table)
    // Only here, with the lock held inside the transaction, is it certain that nobody else has done it.
    if (await isRecorded(tx, ledger.table, file.version)) return undefined
    for (const statement of splitStatements(file.text).statements) {
      attempt.statement = statement
      await tx.query(statement.sql)
    }
    attempt.statement = undefined
    const durationMs = Math.round(clock.monotonicMs() - began)
    await record(tx, ledger.table, file, { appliedAt: tx.now, durationMs, appVersion })
    return durationMs
  })
}

/** Each statement for itself; what is in the ledger is there and whole. Without its row the file runs again, from its beginning. */
async function attemptOutside(application: Application, attempt: Attempt): Promise<number | undefined> {
  const { file, apply, ledger, appVersion, clock } = application
  const began = clock.monotonicMs()
  const done = await apply(async (tx) => {
    if (ledger.missing) await makeLedger(tx, ledger.table)
    return await isRecorded(tx, ledger.table, file.version)
  })
  if (done) return undefined
  await buildIndexes(application, (statement) => void (attempt.statement = statement))
  attempt.statement = undefined
  const durationMs = Math.round(clock.monotonicMs() - began)
  await apply((tx) => record(tx, ledger.table, file, { appliedAt: tx.now, durationMs, appVersion }))
  return durationMs
}
