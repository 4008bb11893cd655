import type { Tally } from '../database/purging.ts'
import type { Transaction, TransactionOptions } from '../database/query.ts'
import type { SparedRows } from '../policy/spared.ts'
import type { Clock, EpochMs } from '../time/clock.ts'
import type { Dispose } from './purge.ts'

/** Only counts. */
export const countSlice: Dispose = async (slice) => ({ affected: await slice.count(), locked: 0 })

/** Only counts, and adds the rows of each UTC day to `days`. */
export function countSliceByDay(days: Map<EpochMs, number>): Dispose {
  return async (slice) => {
    let affected = 0
    for (const [day, rows] of await slice.countByDay()) {
      days.set(day, (days.get(day) ?? 0) + rows)
      affected += rows
    }
    return { affected, locked: 0 }
  }
}

/** Deletes each slice in one short transaction, which `bracket` begins and commits; `sparedIn` reads in it what stays. */
export function deleteSlice(
  bracket: (work: (tx: Transaction) => Promise<Tally>, options?: TransactionOptions) => Promise<Tally>,
  sparedIn: (tx: Transaction) => Promise<SparedRows>,
  clock: Clock,
): Dispose {
  return (slice) =>
    bracket(
      async (tx) => {
        const spared = await sparedIn(tx)
        const startedMs = clock.monotonicMs()
        const tally = await slice.remove(tx, spared)
        return { ...tally, deletingMs: clock.monotonicMs() - startedMs }
      },
      { takesMs: slice.takesMs },
    )
}

/** Calls `done` after each slice, with its tally and the time it took in milliseconds. */
export function timed(dispose: Dispose, clock: Clock, done: (tally: Tally, durationMs: number) => void): Dispose {
  return async (slice) => {
    const startedMs = clock.monotonicMs()
    const tally = await dispose(slice)
    done(tally, clock.monotonicMs() - startedMs)
    return tally
  }
}
