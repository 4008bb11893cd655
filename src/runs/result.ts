import type { Verdict } from '../archive/archive-summary.ts'
import type { Growth } from '../archive/step.ts'
import type { ExitCode } from '../errors.ts'
import { counted } from '../number-text.ts'
import type { EpochMs } from '../time/clock.ts'
import type { ReceiptMark } from '../receipts/receipt.ts'

export type Trigger = 'run-now' | 'schedule' | 'catch-up'

/**
 * `interrupted`: asked to stop before it was done. `skipped`: its table does not exist, or another worker runs or has run it. `stopped`: a safety stop.
 */
export const OUTCOMES = ['succeeded', 'failed', 'skipped', 'interrupted', 'stopped'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** The result of one run; every count is of this run alone. */
export interface RunResult {
  readonly job: string
  readonly trigger: Trigger
  readonly dryRun: boolean
  readonly outcome: Outcome
  /** Why it was skipped, as a clause. */
  readonly reason: string | undefined
  readonly error: unknown
  /** Whether the database has recorded it; otherwise only this process knows of it. */
  readonly recorded: boolean
  readonly exitCode: ExitCode
  readonly deleted: number
  /** Rows of batches that were committed, and that the database lost afterwards; they are not in `deleted`. */
  readonly cameBack: number
  /** For a dry run: how many rows a real run would have deleted. */
  readonly expired: number | undefined
  /** For a dry run that counts by day: these rows by the beginning of their UTC day. */
  readonly expiredByDay: ReadonlyMap<EpochMs, number> | undefined
  /** For such a run: the expired rows that holds or rules keep, in the same way. */
  readonly sparedByDay: ReadonlyMap<EpochMs, number> | undefined
  readonly batches: number
  readonly undated: number
  readonly unreadable: number
  readonly locked: number
  /** Expired rows that legal holds keep, counted at the end of the run. */
  readonly held: number
  /** How many holds are in force on the job's rows. */
  readonly holds: number
  /** Rows that were kept because their lines are longer than the archive allows. */
  readonly tooLarge: number
  /** Rows that foreign keys deleted or changed along with the deleted ones. */
  readonly cascaded: number
  /** `undefined` when the run ended before it had one. */
  readonly cutoff: EpochMs | undefined
  /** What the run wrote to the archive; `undefined`: its rows are not archived. */
  readonly archived: ArchivedByRun | undefined
  /** `undefined`: it was not allowed to delete, or runs of the job leave none. */
  readonly receipt: ReceiptMark | undefined
  readonly durationMs: number
}

/** The counts of a run that did nothing. */
export const NOTHING_DONE = {
  error: undefined,
  recorded: false,
  exitCode: 0,
  deleted: 0,
  cameBack: 0,
  expired: undefined,
  expiredByDay: undefined,
  sparedByDay: undefined,
  batches: 0,
  undated: 0,
  unreadable: 0,
  locked: 0,
  held: 0,
  holds: 0,
  tooLarge: 0,
  cascaded: 0,
  cutoff: undefined,
  archived: undefined,
  receipt: undefined,
  durationMs: 0,
} as const satisfies Partial<RunResult>

export interface ArchivedByRun extends Growth {
  /** Files that were removed from the archive because their retention had passed. */
  readonly removed: Growth
  /** The lag after the run; see `lagOf`. */
  readonly lagMs: number | undefined
  /** The verdict of the last `archive verify` of the whole archive. */
  readonly verification: Verdict | undefined
}

/** Whether a person should look at the run. `outcome` may come from a different version of the worker. */
export function isBad(outcome: string): boolean {
  return outcome === 'failed' || outcome === 'stopped'
}

/** Ends what is recorded of a run, and warns of it. */
export function cameBackSentence(rows: number): string {
  return (
    `${counted(rows, 'row')} that this run had deleted came back: the database lost the commits, in a failover to a server that had not received them or in a crash. ` +
    'The same run or the next one deletes them again.'
  )
}
