import type { ArchiveSummary } from '../archive/archive-summary.ts'
import type { Condition, Examining, Excess, Hindrance, SchemaFacts, SchemaObject } from '../database/examining.ts'
import type { Relation } from '../database/migrating.ts'
import type { LastHolder } from '../runs/lease.ts'
import type { ArchivePlan } from '../status/archive-status.ts'
import type { JobPlan } from '../status/job-status.ts'
import type { EpochMs } from '../time/clock.ts'

/** What doctor is told of the settings. */
export interface DoctorPlan {
  readonly jobs: readonly JobPlan[]
  readonly archive: ArchivePlan
  readonly migrationsEnabled: boolean
  /** Probable mistakes, as the log has them at the start. */
  readonly warnings: readonly string[]
  /** Whether pages are read through, where that takes long. */
  readonly thorough: boolean
}

/** All that was read, on which probes judge. What is `undefined` could not be seen, and is said so. */
export interface Facts {
  readonly plan: DoctorPlan
  /** The database's clock. */
  readonly at: EpochMs
  /** How far the database's clock is ahead of the host's, in milliseconds. */
  readonly aheadMs: number | undefined
  readonly schema: SchemaInHand | undefined
  /** Statements that give this login what it lacks on tables of ours. */
  readonly missingGrants: readonly string[]
  /** Why this login cannot apply what is pending, although it is to. */
  readonly hindersMigrating: readonly Hindrance[]
  readonly beyond: readonly Excess[]
  readonly condition: Condition | undefined
  readonly abandoned: readonly AbandonedLease[]
  /** When the latest run began that is later than now; `undefined`: there is none. */
  readonly futureRun: EpochMs | undefined
  readonly archive: { readonly folder: FolderFacts | undefined; readonly summary: ArchiveSummary | undefined }
  /** One for each file system. */
  readonly disks: readonly DiskFacts[]
  readonly damage: readonly string[]
}

export interface SchemaInHand extends Pick<Examining, 'described' | 'accepted'> {
  readonly facts: SchemaFacts
  readonly relations: ReadonlyMap<string, Relation>
  /** Whether this object's migration has been applied. */
  readonly isDue: (object: Pick<SchemaObject, 'version' | 'of'>) => boolean
  /** Tables that partition start or undo is turning, or has left half-way. */
  readonly unfinished: ReadonlySet<string>
  /** Whether every migration has been applied, so that nothing is about to change. */
  readonly isCurrent: boolean
}

export interface AbandonedLease extends LastHolder {
  readonly job: string
}

export interface FolderFacts {
  readonly path: string
  /** `undefined`: it is not there yet. */
  readonly kind: string | undefined
  readonly uid: number | undefined
  readonly writable: boolean
  /** The nearest folder above that exists, where this one does not. */
  readonly within: string
  /** That everybody may write to it. */
  readonly warning: string | undefined
  /** Why it could not be looked at. */
  readonly problem: string | undefined
}

export interface DiskFacts {
  /** What lies there: `the archive`, `the database`. */
  readonly holds: readonly string[]
  readonly folder: string
  readonly freeBytes: number
  readonly totalBytes: number
  /** `undefined`: the file system does not count them. */
  readonly freeNames: number | undefined
}
