import type { Job } from '../catalogue.ts'
import type { EpochMs } from '../time.ts'

/**
 * The instant before which a job's rows have expired: with a retention, `now` less that many milliseconds (`90d` is 90 × 24 h, never
 * calendar days); without one the column itself holds the moment of expiry. Fixed once a run.
 */
export function cutoffOf(job: Job, retentionMs: number | undefined, now: EpochMs): EpochMs {
  return job.retention === undefined ? now : now - (retentionMs ?? job.retention.defaultMs)
}
