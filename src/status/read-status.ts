import { ARCHIVES } from '../archive/tables.ts'
import { PARTITIONED } from '../database/partitioning.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { Database, Label } from '../database/database.ts'
import type { Space } from '../database/space-keeping.ts'
import { messageOf } from '../errors.ts'
import { LEDGER } from '../migrations/ledger.ts'
import type { MigrationFile } from '../migrations/migration-files.ts'
import { RUN_TABLES, runTables, type RunTables } from '../runs/past-runs.ts'
import { LEASES } from '../runs/run-records.ts'
import type { Clock, EpochMs } from '../time/clock.ts'
import { archiveWithout, readArchive, type ArchivePlan, type ArchiveStatus } from './archive-status.ts'
import { readDeletedByDay, type ReadDeletions } from './deleted-by-day.ts'
import { readJob, scheduleOf, type JobPlan, type JobStatus } from './job-status.ts'
import { isToCome, readMigrations, type MigrationsStatus } from './migrations-status.ts'
import type { ObservedFailure } from './observed.ts'
import { partitionsWithout, readPartitions, type PartitionsStatus } from './partitions-status.ts'
import { tryQuery } from './try-query.ts'

/** Everything that a person, a page or a gauge wants to know at a glance. */
export interface Status {
  /** The database's clock where it answers, the host's where it does not. */
  readonly at: EpochMs
  /** Of the program. */
  readonly version: string
  readonly database: DatabaseStatus
  /** `undefined`: the database does not answer. */
  readonly migrations: MigrationsStatus | undefined
  /** IANA name. */
  readonly scheduleTimeZone: string
  /** In catalogue order. */
  readonly jobs: readonly JobStatus[]
  /** `undefined`: no run is on record, or the record cannot be read. */
  readonly deletedByDay: ReadDeletions | undefined
  readonly archive: ArchiveStatus
  readonly partitions: PartitionsStatus
  /** Failures that this process has seen itself; empty for a command. */
  readonly observed: readonly ObservedFailure[]
}

export interface DatabaseStatus extends Label {
  readonly reachable: boolean
  /** It replays the changes of another server: what is shown may be older. */
  readonly standby: boolean
  readonly space: Space | undefined
  /** Why it cannot be reached or its size is unknown, or that no gateway has ever written to it. */
  readonly problem: string | undefined
}

/** What does not depend on whether the database answers. */
export interface StatusContext {
  readonly version: string
  readonly migrationsEnabled: boolean
  /** Of both engines. */
  readonly files: readonly MigrationFile[]
  readonly jobs: readonly JobPlan[]
  readonly archive: ArchivePlan
  /** Whether partitions are made and dropped. */
  readonly partitionsEnabled: boolean
  readonly scheduleTimeZone: string
  readonly clock: Clock
}

const NEVER_WRITTEN = 'the gateway has never written to this database; if a gateway is running, DATABASE_URL may name the wrong database'

const DAYS_OF_DELETIONS = 90

/**
 * Reads everything, and changes nothing. If a part cannot be read (a table that does not exist yet, a missing privilege), the status holds the problem in its
 * place; a database that does not answer gives a status too. Never waits for a lost connection. Data that can no longer change is taken from `before`, an
 * earlier status of the same database. Rejects only with unexpected errors.
 */
export async function readStatus(database: Database, context: StatusContext, before?: Status): Promise<Status> {
  try {
    const at = await database.now()
    const found = await database.tablesAmong([LEDGER, LEASES, ARCHIVES, PARTITIONED, ...RUN_TABLES])
    const size = await tryQuery(() => database.space(context.jobs.map(({ job }) => job.table)))
    const written = found.has(LEDGER) ? await tryQuery(() => database.gatewayHasWritten()) : undefined
    const migrations = await readMigrations(database, context.files, context.migrationsEnabled)
    const jobs: JobStatus[] = []
    const tables = found.has(LEASES) ? runTables(database, found) : undefined
    for (const plan of context.jobs)
      jobs.push(await readJob(database, plan, { ...context, at, tables, migrations, archiving: context.archive.enabled }))
    const deleted = tables === undefined ? undefined : await tryQuery(() => readDeletions(database, tables, at, before))
    const archived = jobs.find(({ job }) => job.archived === true)
    return {
      at,
      version: context.version,
      database: {
        ...database.label,
        reachable: true,
        standby: await database.isStandby(),
        space: size.answer,
        problem: size.problem ?? (written?.answer === false ? NEVER_WRITTEN : undefined),
      },
      migrations,
      scheduleTimeZone: context.scheduleTimeZone,
      jobs,
      deletedByDay: deleted?.answer,
      archive:
        archived === undefined
          ? archiveWithout(context.archive)
          : await readArchive(database, context.archive, {
              at,
              recorded: found.has(ARCHIVES),
              toCome: isToCome(ARCHIVES, migrations),
              job: archived,
            }),
      partitions: await readPartitions(database, context.jobs, { enabled: context.partitionsEnabled, recorded: found.has(PARTITIONED) }),
      observed: [],
    }
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    return statusWithout(database.label, error, context)
  }
}

function readDeletions(database: Database, { runs }: RunTables, now: EpochMs, before: Status | undefined): Promise<ReadDeletions> {
  return readDeletedByDay(database, runs, { now, days: DAYS_OF_DELETIONS, before: before?.deletedByDay })
}

/** The status without a database, from the configuration alone. */
export function statusWithout(
  label: Label,
  error: unknown,
  context: Pick<StatusContext, 'version' | 'scheduleTimeZone' | 'clock' | 'jobs' | 'archive' | 'partitionsEnabled'>,
): Status {
  const { version, scheduleTimeZone, clock, jobs, archive, partitionsEnabled } = context
  return {
    at: clock.now(),
    version,
    database: { ...label, reachable: false, standby: false, space: undefined, problem: messageOf(error) },
    migrations: undefined,
    scheduleTimeZone,
    jobs: jobs.map((plan) => ({
      ...scheduleOf(plan, context),
      lastRun: undefined,
      lastSuccessAt: undefined,
      recentRuns: [],
      running: undefined,
      overdueSlot: undefined,
      holds: undefined,
      held: 0,
      backlog: undefined,
      dueAt: undefined,
      problems: [],
      warnings: [],
    })),
    deletedByDay: undefined,
    archive: archiveWithout(archive),
    partitions: partitionsWithout(partitionsEnabled),
    observed: [],
  }
}
