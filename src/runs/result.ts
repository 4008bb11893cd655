import type { Verdict } from '../archive/archive-summary.ts'
import type { Growth } from '../archive/step.ts'
import type { ExitCode } from '../errors.ts'
import type { EpochMs } from '../time/clock.ts'

export type Trigger = 'run-now' | 'schedule' | 'catch-up'

/**
 * `interrupted`: told to stop before it was done. `skipped`: there was nothing it could work on, or another worker is at it. `stopped`: a
 * safety stop.
 */
export const OUTCOMES = ['succeeded', 'failed', 'skipped', 'interrupted', 'stopped'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** What one run came to; every count is of this run. */
export interface RunResult {
  readonly job: string
  readonly trigger: Trigger
  readonly dryRun: boolean
  readonly outcome: Outcome
  /** Why it was skipped, in a sentence. */
  readonly reason: string | undefined
  readonly error: unknown
  /** Whether the database has it on record: what it has not, only this process knows. */
  readonly recorded: boolean
  readonly exitCode: ExitCode
  readonly deleted: number
  /** With a dry run: how many rows a run at that moment would have deleted. */
  readonly expired: number | undefined
  /** With a dry run that counts by day: these rows by the beginning of their UTC day. */
  readonly expiredByDay: ReadonlyMap<EpochMs, number> | undefined
  readonly batches: number
  readonly undated: number
  readonly unreadable: number
  readonly locked: number
  /** Whose lines are longer than the archive takes. */
  readonly tooLarge: number
  /** `undefined` when the run ended before it had one. */
  readonly cutoff: EpochMs | undefined
  /** What the run wrote to the archive; `undefined`: its rows are not archived. */
  readonly archived: ArchivedByRun | undefined
  readonly durationMs: number
}

/** Of a run that did nothing. */
export const NOTHING_DONE = {
  error: undefined,
  recorded: false,
  exitCode: 0,
  deleted: 0,
  expired: undefined,
  expiredByDay: undefined,
  batches: 0,
  undated: 0,
  unreadable: 0,
  locked: 0,
  tooLarge: 0,
  cutoff: undefined,
  archived: undefined,
  durationMs: 0,
} as const satisfies Partial<RunResult>

export interface ArchivedByRun extends Growth {
  /** What left the archive, its time having come. */
  readonly removed: Growth
  /** After it; see `lagOf`. */
  readonly lagMs: number | undefined
  /** The last one of the whole archive, by `archive verify`. */
  readonly verification: Verdict | undefined
}

/** Of a run that a person should look at; `outcome` may be another version's. */
export function isBad(outcome: string): boolean {
  return outcome === 'failed' || outcome === 'stopped'
}
