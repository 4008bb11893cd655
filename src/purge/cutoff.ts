import type { EpochMs } from '../time/clock.ts'

/**
 * The instant before which a job's rows have expired: `now` minus the retention (`90d` is 90 × 24 h, never calendar days), or `now` itself without a
 * retention, because then the column holds the time of expiry. Fixed once per run.
 */
export function cutoffOf(retentionMs: number | undefined, now: EpochMs): EpochMs {
  return now - (retentionMs ?? 0)
}
