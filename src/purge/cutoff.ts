import type { EpochMs } from '../time/clock.ts'

/** How long rows are kept, in milliseconds. */
export interface Kept {
  /** From when they were written; `undefined`: their column holds the time of expiry. */
  readonly retentionMs: number | undefined
  /** From the time of expiry. */
  readonly graceMs: number
}

/**
 * The instant before which a job's rows have expired: `now` minus the retention (`90d` is 90 × 24 h, never calendar days) or, where the column holds the time
 * of expiry, minus the grace. Fixed once per run.
 */
export function cutoffOf({ retentionMs, graceMs }: Kept, now: EpochMs): EpochMs {
  return now - (retentionMs ?? graceMs)
}

/** The last moment at which a run keeps a row, if nothing else does: the inverse of `cutoffOf`. `lastCutoff`: the latest cutoff before which the row has not expired. */
export function lastKept({ retentionMs, graceMs }: Kept, lastCutoff: EpochMs): EpochMs {
  return lastCutoff + (retentionMs ?? graceMs)
}
