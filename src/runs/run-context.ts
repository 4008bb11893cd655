import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import type { PauseReason } from '../purge/pacer.ts'
import type { Accepted } from '../purge/safety.ts'
import type { Clock, EpochMs } from '../time/clock.ts'
import type { Trigger } from './result.ts'

export interface RunRequest {
  readonly job: Job
  /** As the settings have it; `undefined`: the job has none. */
  readonly retentionMs: number | undefined
  readonly trigger: Trigger
  /** The point in the schedule that the run is for, on the host's clock; of several workers one does it. */
  readonly slot: EpochMs | undefined
  readonly dryRun: boolean
  /** Whether a dry run counts the rows of each day by themselves. */
  readonly byDay?: boolean
  readonly accepted: Accepted
  readonly stopping: AbortSignal
}

/** What a run has to tell before it ends. Told while it waits: a listener is quick and does not throw. */
export interface RunListener {
  /** The run has its lease; what it comes to is told by its result. */
  jobStarted(job: string, start: JobStart): void
  jobWarning(job: string, message: string): void
  /** A batch is committed; in a dry run: counted. */
  jobBatch(job: string, batch: JobBatch): void
  /** After a wait. */
  jobPaused(job: string, ms: number, reason: PauseReason): void
}

export interface JobStart {
  readonly trigger: Trigger
  readonly dryRun: boolean
}

export interface JobBatch {
  readonly affected: number
  /** By the run so far. */
  readonly total: number
  /** From before BEGIN, waiting for the lock included, to the answer to COMMIT. */
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
  /** Whether the tables are there that runs are recorded and leases are taken in. */
  readonly recorded: boolean
  /** Where rows go before they are deleted; `undefined`: nowhere. */
  readonly archive?: ArchiveTarget | undefined
}

export interface ArchiveTarget {
  /** Absolute. */
  readonly directory: string
  /** The uid of this process. */
  readonly uid: number | undefined
  /** How long a file is kept, from the time of its rows; `undefined`: for ever. */
  readonly keptMs: number | undefined
}
