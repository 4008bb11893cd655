import type { Pacing } from '../../purging.ts'

/** Commits of others show only as a difference between two looks. A gateway that writes ten times a second is noticed within this time. */
export const LISTEN_MS = 120

/** A batch takes up to half as long again as the ones before it promised: no hold is to be longer than 150 ms. */
const ALONE_HOLD_MS = 90

/**
 * How long the log may grow before it is checkpointed while nobody else writes. The larger it is, the more often a page changes before it is written to the
 * main file once; but a checkpoint is one blocking call.
 */
export function checkpointBytes(longestBlockMs = Infinity): number {
  return Math.min(48 * 2 ** 20, longestBlockMs * MOVED_BYTES_A_MS)
}

/** The least that an ordinary disk writes, fsync included. */
const MOVED_BYTES_A_MS = 200_000

/**
 * A batch blocks the event loop. If blocking is limited, deleting and committing together must stay within the limit for one call. A writer that finds the
 * lock taken retries after 1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50 and then every 100 ms, so for example 18 or 53 ms after it began. A hold just below such a moment does
 * not cost it another step, and a pause that, together with choosing the next rows, is longer than the 10 ms step before it lets it in. Without a WAL a
 * writer needs everybody else to release their locks, and its waiting cannot be seen: then there is always a pause.
 */
export function pacingOf(wal: boolean, longestBlockMs = Infinity): Pacing {
  return {
    firstRows: 500,
    leastRows: 20,
    mostRows: 25_000,
    listenMs: LISTEN_MS,
    alone: { holdMs: Math.min(ALONE_HOLD_MS, longestBlockMs), pauseMs: wal ? 0 : 12, pauseShare: 0 },
    polite: { holdMs: 14, pauseMs: wal ? 10 : 12, pauseShare: 0 },
    // The step of a writer that has waited so long is never longer.
    longHoldPause: { share: 0.6, mostMs: 110 },
  }
}
