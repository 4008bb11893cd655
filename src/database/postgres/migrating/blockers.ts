import { SECOND } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Target } from '../connection/attempt.ts'
import { connectPatiently } from '../connection/connect.ts'
import { EQ } from '../exact.ts'
import { describeSession, SESSION_COLUMNS, type SessionRow } from './sessions.ts'

export interface Watched {
  readonly target: Target
  /** The server process that may have to wait. */
  readonly pid: number
  /** Called whenever it is found waiting. */
  readonly report?: (by: string, waitedMs: number) => void
}

interface BlockerWatch extends Disposable {
  /** The session that most recently kept the process waiting, unless that was long ago. */
  seen(): string | undefined
}

/** Shorter work opens no second connection. */
const LOOK_EVERY_MS = SECOND
/** The wait for a lock is limited to three seconds, so anything seen before that was a different wait. */
const RECENT_MS = 3 * SECOND
const ANSWER_MS = 5 * SECOND
const MOST_NAMED = 3

/** Reports which session keeps the work waiting. If the work fails on a lock, the error names the session that held it. */
export async function namingBlockers<T>(watched: Watched, work: () => Promise<T>): Promise<T> {
  using watch = watchBlockers(watched)
  try {
    return await work()
  } catch (error) {
    const by = watch.seen()
    if (!(error instanceof DatabaseError) || error.kind !== 'busy' || by === undefined) throw error
    throw new DatabaseError('busy', `${error.message}, held up by ${by}`, { cause: error, position: error.position })
  }
}

/**
 * The server knows a blocker only while it blocks, and a waiting session cannot query it. So a second connection looks once a second, until the watch is
 * disposed. If no connection can be made, nobody is named: this only improves messages.
 */
function watchBlockers({ target, pid, report }: Watched): BlockerWatch {
  const { clock } = target
  const over = new AbortController()
  let last: { readonly by: string; readonly atMs: number } | undefined
  void (async () => {
    const beganMs = clock.monotonicMs()
    await clock.sleep(LOOK_EVERY_MS, over.signal)
    if (over.signal.aborted) return
    const { driver } = await connectPatiently(target, { timeoutMs: 0, signal: over.signal, giveUpOnRefusal: true })
    const cut = (): void => driver.destroy()
    over.signal.addEventListener('abort', cut, { once: true })
    try {
      while (!over.signal.aborted) {
        const rows = (await driver.run<SessionRow>(BLOCKERS, [pid], ANSWER_MS)).at(-1)?.rows ?? []
        const atMs = clock.monotonicMs()
        if (rows.length > 0) {
          last = { by: describeSessions(rows), atMs }
          if (!over.signal.aborted) report?.(last.by, atMs - beganMs)
        }
        await clock.sleep(LOOK_EVERY_MS, over.signal)
      }
    } finally {
      driver.destroy()
    }
  })().catch(() => undefined)
  return {
    seen: () => (last !== undefined && clock.monotonicMs() - last.atMs <= RECENT_MS ? last.by : undefined),
    [Symbol.dispose]: () => over.abort(),
  }
}

export function describeSessions(rows: readonly SessionRow[]): string {
  const more = rows.length - MOST_NAMED
  return [...rows.slice(0, MOST_NAMED).map(describeSession), ...(more > 0 ? [`${more} more`] : [])].join(' and ')
}

/** Includes sessions that are ahead in the queue for the lock. */
const BLOCKERS = `SELECT b.pid, ${SESSION_COLUMNS}
FROM (SELECT DISTINCT pg_catalog.unnest(pg_catalog.pg_blocking_pids($1::pg_catalog.int4)) AS pid) AS b
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid ${EQ} b.pid ORDER BY a.xact_start NULLS LAST`
