import type { ArchivePlace } from '../archive/archive-location.ts'
import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import type { PauseReason } from '../purge/pacer.ts'
import type { Accepted } from '../purge/safety.ts'
import type { Rule } from '../policy/rules.ts'
import type { Turns } from '../purge/turns.ts'
import type { Signer } from '../receipts/signing.ts'
import type { Clock, EpochMs } from '../time/clock.ts'
import type { Trigger } from './result.ts'

export interface RunRequest {
  readonly job: Job
  /** From the settings; `undefined`: the job has none. */
  readonly retentionMs: number | undefined
  /** From the settings; 0: the job has none. */
  readonly graceMs: number
  /** The gateway's tables whose rows may go along by foreign keys; absent: none. */
  readonly cascade?: readonly string[]
  /** From the settings; absent: none. */
  readonly rules?: readonly Rule[]
  readonly trigger: Trigger
  /** The point in the schedule that the run is for, on the host's clock. Only one of several workers runs it. */
  readonly slot: EpochMs | undefined
  readonly dryRun: boolean
  /** Whether a dry run counts rows by day. */
  readonly byDay?: boolean
  readonly accepted: Accepted
  readonly stopping: AbortSignal
}

/** Events of a run before it ends. The run waits for each call: a listener must be quick and must not throw. */
export interface RunListener {
  /** The run has its lease. */
  jobStarted(job: string, start: JobStart): void
  jobWarning(job: string, message: string): void
  /** A batch was committed or, in a dry run, counted. */
  jobBatch(job: string, batch: JobBatch): void
  /** A wait is over. */
  jobPaused(job: string, ms: number, reason: PauseReason): void
}

export interface JobStart {
  readonly trigger: Trigger
  readonly dryRun: boolean
}

export interface JobBatch {
  readonly affected: number
  /** Rows affected by the run so far. */
  readonly total: number
  /** From before BEGIN to the answer to COMMIT, including waits for locks. */
  readonly durationMs: number
}

/** What all runs of a process have in common; made once. */
export interface RunContext {
  readonly database: Database
  readonly clock: Clock
  readonly listener: RunListener
  /** `host:process` */
  readonly worker: string
  readonly version: string
  /** Whether the tables of runs and leases exist. */
  readonly recorded: boolean
  /** The tables, besides that of the runs, that count something for each run by its number; those that exist. */
  readonly countedRuns: readonly string[]
  /** Where rows are written before they are deleted; `undefined`: they are not archived. */
  readonly archive?: ArchiveTarget | undefined
  readonly turns: Turns
  /** Signs receipts; absent: they are not signed. */
  readonly signer?: Signer | undefined
  /** The tables of jobs with rules; absent: none. */
  readonly ruledTables?: readonly string[]
  /** Whether partitions that have expired may go as a whole, where the worker has made them; absent: they may not. */
  readonly partitions?: boolean
  /** Warnings of what lasts that runs of this process have given; absent: each run gives them. */
  readonly toldOnce?: Set<string>
}

export interface ArchiveTarget extends ArchivePlace {
  /** How long a file is kept, from the time of its rows; `undefined`: for ever. */
  readonly keptMs: number | undefined
  /** How many rows are written to files before they are deleted, at most; absent: as many as suit the engine. Tests set it, to have several parts of few rows. */
  readonly partRows?: number | undefined
  /** How long files of rows that came late are kept at least; absent: `LATE_FILES_KEPT_MS`. Tests set it, to have files of old rows removed at once. */
  readonly lateKeptMs?: number | undefined
}
