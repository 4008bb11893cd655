import type { Session, Tally } from '../database/database.ts'
import type { Dispose } from './purge.ts'

/** Counts and changes nothing. */
export function counting(): Dispose {
  return async (slice) => ({ affected: await slice.count(), locked: 0 })
}

/** Deletes each slice in one short transaction. */
export function removing(session: Session): Dispose {
  return (slice) => session.transaction<Tally>((tx) => slice.remove(tx))
}
