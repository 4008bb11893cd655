import { messageOf } from '../errors.ts'
import type { RunResult } from '../runs/result.ts'
import type { Clock, EpochMs } from '../time/clock.ts'

/** A failed run of this process that the database has not recorded. */
export interface ObservedFailure {
  readonly job: string
  readonly outcome: 'failed' | 'stopped'
  /** On the host's clock. */
  readonly at: EpochMs
  readonly error: string
}

/** Failures that only this process knows of: a database that rejects writes cannot record them either. */
export interface Observed {
  readonly listener: { jobFinished(result: RunResult): void }
  /** The last one of each job, until a run of the job succeeds or is recorded. */
  failures(): readonly ObservedFailure[]
}

export function openObserved(clock: Clock): Observed {
  const failures = new Map<string, ObservedFailure>()
  return {
    listener: {
      jobFinished({ job, outcome, error, recorded }) {
        if (recorded || outcome === 'succeeded') failures.delete(job)
        else if (outcome === 'failed' || outcome === 'stopped')
          failures.set(job, { job, outcome, at: clock.now(), error: messageOf(error) })
      },
    },
    failures: () => [...failures.values()],
  }
}
