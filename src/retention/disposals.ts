import type { Tally, Transaction } from '../database/database.ts'
import type { Dispose } from './purge.ts'

/** Counts and changes nothing. */
export function counting(): Dispose {
  return async (slice) => ({ affected: await slice.count(), locked: 0 })
}

/** Deletes each slice in one short transaction, which the bracket opens and ends. */
export function removing(bracket: (work: (tx: Transaction) => Promise<Tally>) => Promise<Tally>): Dispose {
  return (slice) => bracket((tx) => slice.remove(tx))
}
