import type { Tally, TellDay, Transaction } from '../database/database.ts'
import type { Clock } from '../time.ts'
import type { Dispose } from './purge.ts'

/** Counts and changes nothing; `tell`, where there is one, is told how many rows are of which day. */
export function counting(tell?: TellDay): Dispose {
  return async (slice) => ({ affected: await slice.count(tell), locked: 0 })
}

/** Deletes each slice in one short transaction, which the bracket opens and ends. */
export function removing(bracket: (work: (tx: Transaction) => Promise<Tally>) => Promise<Tally>): Dispose {
  return (slice) => bracket((tx) => slice.remove(tx))
}

/** The same; `done` is told of each slice what it came to and how long that took, in milliseconds. */
export function watched(dispose: Dispose, clock: Clock, done: (tally: Tally, durationMs: number) => void): Dispose {
  return async (slice) => {
    const startedMs = clock.monotonicMs()
    const tally = await dispose(slice)
    done(tally, clock.monotonicMs() - startedMs)
    return tally
  }
}
