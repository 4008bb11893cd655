import { DatabaseError, type ApplyTransaction } from '../database/database.ts'
import { SECOND, type Clock } from '../time.ts'
import type { MigrationFile } from './files.ts'
import { isRecorded, makeLedger, record } from './ledger.ts'
import { migrationFailure } from './migration-failure.ts'
import { splitStatements, type Statement } from './statements.ts'

export interface Application {
  readonly file: MigrationFile
  readonly apply: ApplyTransaction
  /** As SQL names it, and whether it has to be made first. */
  readonly ledger: { readonly table: string; readonly missing: boolean }
  readonly appVersion: string
  /** For how long a file that meets a lock is tried again. */
  readonly lockTimeoutMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Somebody holds a lock on a table; the file is rolled back and will be tried again. */
  readonly blocked: (reason: string, waitedMs: number) => void
}

const FIRST_PAUSE_MS = SECOND / 2
const LONGEST_PAUSE_MS = 15 * SECOND

/** One file in one transaction, with its row in the ledger. Milliseconds; `undefined`: another worker did it, or the program is to stop. */
export async function applyFile(application: Application): Promise<number | undefined> {
  const { file, clock, signal, lockTimeoutMs, blocked } = application
  const began = clock.monotonicMs()
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const attempt: Attempt = { statement: undefined }
    try {
      return await attemptFile(application, attempt)
    } catch (error) {
      const busy = error instanceof DatabaseError && error.trouble === 'busy'
      if (busy && signal.aborted) return undefined
      const waitedMs = clock.monotonicMs() - began
      if (!busy || waitedMs + pauseMs > lockTimeoutMs) throw migrationFailure(file, attempt.statement, error)
      blocked(error.message, waitedMs)
      await clock.sleep(pauseMs, signal)
      if (signal.aborted) return undefined
    }
  }
}

/** Where an attempt is, so that its failure can be placed. */
interface Attempt {
  statement: Statement | undefined
}

function attemptFile({ file, apply, ledger, appVersion, clock }: Application, attempt: Attempt): Promise<number | undefined> {
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
