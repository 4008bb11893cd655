import { DatabaseError } from '../database/database-error.ts'
import type { Session, Transaction } from '../database/query.ts'
import { SECOND, type Clock } from '../time/clock.ts'
import { lockLease } from './lease.ts'
import { LEASES } from './run-records.ts'
import { withRetry } from './with-retry.ts'

/** A batch takes tens of milliseconds, but one batch follows another. */
const PATIENCE_MS = 20 * SECOND

export interface Deciding {
  readonly database: Session
  readonly clock: Clock
  readonly stopping: AbortSignal
  /** The job whose rows are held. */
  readonly job: string
  /** For a message: `hold "case-17" was placed`. */
  readonly done: string
  /** The command that shows what is there. */
  readonly find: string
}

/**
 * A transaction between two batches of a job, whichever worker runs it: each batch renews the lease first and so waits until this has ended, and reads the holds
 * after that. It has to change the line: a mere lock would let a batch through that sees the data as of its beginning. `work` must be right if an earlier attempt
 * was committed and only its answer was lost.
 */
export async function betweenBatches<T>(
  { database, clock, stopping, job, done, find }: Deciding,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  let isUnknown = false
  try {
    return await withRetry({ database, clock, stopping, patienceMs: PATIENCE_MS }, () =>
      database.transaction(async (tx) => {
        await lockLease(tx, database.named(LEASES), job)
        // What an earlier attempt did can be seen now.
        isUnknown = false
        const result = await work(tx)
        isUnknown = true
        return result
      }),
    )
  } catch (error) {
    if (!isUnknown || !(error instanceof DatabaseError) || !UNANSWERED.has(error.kind)) throw error
    throw new DatabaseError(error.kind, [...error.lines, `It is not known whether ${done}. Find out before you rely on it. Run: ${find}`], {
      cause: error,
    })
  }
}

const UNANSWERED: ReadonlySet<string> = new Set(['lost', 'unreachable'])
