import type { EpochMs } from '../time/clock.ts'

/**
 * The instant before which a job's rows have expired: `now` less the retention (`90d` is 90 × 24 h, never calendar days); `undefined`: the job
 * has none, for its column itself holds the moment of expiry. Fixed once a run.
 */
export function cutoffOf(retentionMs: number | undefined, now: EpochMs): EpochMs {
  return now - (retentionMs ?? 0)
}
