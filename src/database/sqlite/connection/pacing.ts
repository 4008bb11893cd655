import type { Pacing } from '../../purging.ts'

/** A commit shows only to who looked before it. A gateway that writes ten times a second has shown itself by then. */
export const LISTEN_MS = 120

const ALONE_HOLD_MS = 120

/**
 * How much of the log may wait before it is moved while nobody else writes: the more, the more often a page is written again before it is moved,
 * once. Moving it is one call.
 */
export function checkpointBytes(longestBlockMs = Infinity): number {
  return Math.min(48 * 2 ** 20, longestBlockMs * MOVED_BYTES_A_MS)
}

/** What an ordinary disk takes with its fsync, at the least. */
const MOVED_BYTES_A_MS = 200_000

/**
 * A batch blocks the event loop: where that must turn, deleting and committing together take what one of them may. A writer that meets our
 * lock asks again after 1, 2, 5, 10, 15, 20, 25, 25, 25, 50 and 50 ms, that is 18 or 53 ms after it began: a hold just below such a moment costs it no further
 * step, and a pause that is, with choosing the next rows, longer than the step before it, of 10 ms, lets it in. Without a WAL a writer needs everybody
 * out, and nothing shows that it waits: there is always a pause.
 */
export function pacingOf(wal: boolean, longestBlockMs = Infinity): Pacing {
  return {
    firstRows: 500,
    leastRows: 20,
    mostRows: 25_000,
    listenMs: LISTEN_MS,
    alone: { holdMs: Math.min(ALONE_HOLD_MS, longestBlockMs), pauseMs: wal ? 0 : 12, pauseShare: 0 },
    polite: { holdMs: 14, pauseMs: wal ? 10 : 12, pauseShare: 0 },
  }
}
