import { messageOf } from '../errors.ts'
import type { RunResult } from '../runs/result.ts'
import type { Clock, EpochMs } from '../time/clock.ts'

/** A run of this process that failed, while the database has no word of it. */
export interface ObservedFailure {
  readonly job: string
  readonly outcome: 'failed' | 'stopped'
  /** On the host's clock. */
  readonly at: EpochMs
  readonly error: string
}

/** The failures that only this process knows of: a database that takes no writes takes no record of them either. */
export interface Observed {
  readonly listener: { jobFinished(result: RunResult): void }
  /** Of each job the last one, until a run of it has gone well or is on record. */
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
