import { lagOf, readSummary, type ArchiveSummary } from '../archive/archive-summary.ts'
import { LONGEST_ROW_BYTES, type Link } from '../archive/format.ts'
import { DiscardedFiles } from '../archive/discarded-files.ts'
import { movedAway } from '../archive/moved.ts'
import { ArchiveRecord } from '../archive/state.ts'
import { ARCHIVES, DISCARDED } from '../archive/tables.ts'
import type { ArchivePlace } from '../archive/archive-location.ts'
import { storeAt } from '../archive/store/store-at.ts'
import { tooLargeSentence } from '../archive/too-large.ts'
import type { Database } from '../database/database.ts'
import { messageOf } from '../errors.ts'
import { plural } from '../number-text.ts'
import { formatDay, SECOND, type EpochMs } from '../time/clock.ts'
import type { JobStatus } from './job-status.ts'
import { tryQuery } from './try-query.ts'

/** The archive as it is configured. */
export interface ArchivePlan extends ArchivePlace {
  readonly enabled: boolean
  /** How long a file is kept, from the time of its rows; `undefined`: for ever. */
  readonly keptMs: number | undefined
}

export interface ArchiveStatus extends ArchivePlan {
  /** `undefined`: it is not known. */
  readonly summary: ArchiveSummary | undefined
  /** See `lagOf`; also `undefined` if nothing is archived. */
  readonly lagMs: number | undefined
  /** `2025-11-24`: the next run removes files of earlier days (in UTC). `undefined`: files are kept for ever. */
  readonly expiredBefore: string | undefined
  /** Why something above is not known, or why a run would fail; each says what to do. */
  readonly problems: readonly string[]
  /** What may need attention although runs succeed. */
  readonly warnings: readonly string[]
}

export interface ReadArchiveOptions {
  readonly at: EpochMs
  /** Whether the database has the archive's tables. */
  readonly recorded: boolean
  /** Whether a worker that starts makes them: then nothing is wrong but that no worker has started. */
  readonly toCome: boolean
  /** The job whose rows are archived. */
  readonly job: JobStatus
}

/** Reads the database and, if the archive is enabled, checks that the folder has the newest file. Only `archive verify` reads the files themselves. */
export async function readArchive(
  database: Database,
  plan: ArchivePlan,
  { at, recorded, toCome, job }: ReadArchiveOptions,
): Promise<ArchiveStatus> {
  const { table } = job.job
  const answered = recorded ? await tryQuery(() => readSummary(database, database.named(ARCHIVES), table)) : undefined
  const summary = answered?.answer
  const large = plan.enabled && job.enabled ? await tryQuery(() => tooLargeOf(database, job)) : undefined
  const kept = plan.enabled && plan.bucket !== undefined ? await tryQuery(() => keptFiles(database, plan, table)) : undefined
  return {
    ...plan,
    summary,
    lagMs: plan.enabled && job.enabled && job.backlog !== undefined ? lagOf(job.backlog, job.backlog.cutoff) : undefined,
    expiredBefore: plan.keptMs === undefined ? undefined : formatDay(at - plan.keptMs),
    problems: [
      ...(plan.enabled && !recorded && !toCome
        ? [`there is no table ${ARCHIVES} yet: migration 005 makes it, and without it runs fail before they delete anything`]
        : []),
      ...[answered?.problem, large?.problem, kept?.problem].filter((problem) => problem !== undefined),
      ...(plan.enabled && summary !== undefined && summary.head !== null ? await missingHead(database, plan, table, summary.head) : []),
    ],
    warnings: [large?.answer, kept?.answer].filter((warning) => warning !== undefined),
  }
}

/** Runs leave these rows in the table, so they are among the earliest. With a backlog it is not worth reading more. */
const MOST_JUDGED = 1_000

async function tooLargeOf(database: Database, { job, backlog }: JobStatus): Promise<string | undefined> {
  if (backlog === undefined || (backlog.rows === 0 && !backlog.more && backlog.inPart !== true)) return undefined
  const found = await database.exported(job, backlog.cutoff, LONGEST_ROW_BYTES, backlog.spared).tooLarge(MOST_JUDGED)
  return found.rows === 0 ? undefined : tooLargeSentence(job.table, found)
}

async function keptFiles(database: Database, { directory }: ArchivePlan, table: string): Promise<string | undefined> {
  if (!(await database.tablesAmong([DISCARDED])).has(DISCARDED)) return undefined
  const files = await new DiscardedFiles((name) => database.named(name), table).kept(database)
  if (files === 0) return undefined
  return (
    `${files} ${plural(files, 'file', 'files')} of the archive could not be removed from ${directory}, because the bucket locks them or a right is missing; ` +
    'each run tries again. Check the right to s3:DeleteObject, and the rules of the bucket'
  )
}

/** Where there is no database to ask. */
export function archiveWithout(plan: ArchivePlan): ArchiveStatus {
  return { ...plan, summary: undefined, lagMs: undefined, expiredBefore: undefined, problems: [], warnings: [] }
}

/** Whoever asks for the status waits for it. */
function quick(plan: ArchivePlan): ArchivePlan {
  const patience = { connectMs: 3 * SECOND, idleMs: 5 * SECOND, requestMs: 5 * SECOND, pausesMs: [] }
  return plan.bucket === undefined ? plan : { ...plan, bucket: { ...plan.bucket, patience } }
}

async function missingHead(database: Database, plan: ArchivePlan, table: string, head: Link): Promise<string[]> {
  const store = storeAt(quick(plan), table)
  const record = new ArchiveRecord((name) => database.named(name), table)
  try {
    if (await store.exists(head.manifest)) return []
    const moved = await movedAway({ database, store, record })
    if (moved !== undefined) return [`${moved}. Until then runs fail before they delete anything`]
  } catch (error) {
    return [messageOf(error)]
  }
  return [
    `${store.absolute(head.manifest)} is missing, and the database says that it is the newest: runs fail before they delete anything. See that ` +
      'ARCHIVE_DIRECTORY is the place, on the volume or in the bucket, that the runs before wrote to',
  ]
}
