import type { Estimate } from '../database/purging.ts'
import type { EpochMs } from '../time/clock.ts'

export interface Overdue extends Pick<Estimate, 'oldest'> {
  /** Absent: it follows from the oldest and the cutoff. */
  readonly overdueMs?: number | null
}

/** How long the oldest expired row is past its time; `null`: there is none, or it is not known. */
export function overdueOf({ oldest, overdueMs }: Overdue, cutoff: EpochMs): number | null {
  return overdueMs ?? (oldest === null ? null : Math.max(0, cutoff - oldest))
}
