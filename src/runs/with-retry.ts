import { DatabaseError } from '../database/database-error.ts'
import type { Session } from '../database/query.ts'
import type { Clock } from '../time/clock.ts'

const MOST_TRIES = 5
const FIRST_PAUSE_MS = 50

export interface RetryOptions {
  readonly database: Session
  readonly clock: Clock
  readonly stopping: AbortSignal
  /** For how long to go on while a lock is in the way; absent: a few times. */
  readonly patienceMs?: number
}

/**
 * Repeats a small piece of work while a lock is in its way or a statement takes too long, or after a lost connection has been restored. `again` is
 * true if an earlier attempt may have been committed and only its answer was lost; `work` must be correct in that case too. Rejects with the last error.
 */
export async function withRetry<T>(
  { database, clock, stopping, patienceMs = 0 }: RetryOptions,
  work: (again: boolean) => Promise<T>,
): Promise<T> {
  let again = false
  const until = clock.monotonicMs() + patienceMs
  for (let tries = 1; ;) {
    try {
      return await work(again)
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      if (error.kind === 'busy' && clock.monotonicMs() < until && !stopping.aborted) {
        await clock.sleep(FIRST_PAUSE_MS, stopping)
        continue
      }
      if (tries === MOST_TRIES) throw error
      if (error.kind === 'lost' || error.kind === 'unreachable') {
        again ||= error.kind === 'lost'
        await database.reconnected(stopping)
      } else if (error.kind === 'busy' || error.kind === 'slow') await clock.sleep(FIRST_PAUSE_MS * 2 ** tries, stopping)
      else throw error
      tries += 1
    }
  }
}
