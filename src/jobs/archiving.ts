import type { AcceptedRetention, RetentionRecord } from '../archive/retention.ts'
import { LONGEST_ROW_BYTES } from '../archive/format.ts'
import { NO_GROWTH } from '../archive/state.ts'
import type { Job } from '../catalogue.ts'
import type { ExpiredRows, Relation } from '../database/database.ts'
import { MaintenanceError } from '../errors.ts'
import type { EpochMs } from '../time.ts'
import { RUNS } from './history.ts'
import { persistently } from './persistence.ts'
import type { ArchivedByRun } from './result.ts'
import type { Run } from './run.ts'
import type { RunnerOptions, RunRequest } from './run-job.ts'

export interface ArchiveTarget {
  /** Absolute. */
  readonly directory: string
  /** Who this process is. */
  readonly uid: number | undefined
  /** How long a file is kept, from the time of its rows; `undefined`: for ever. */
  readonly keptMs: number | undefined
}

/** To be disposed of however the run ends: the next rows may be on their way into files. */
export interface ArchivedRun extends AsyncDisposable {
  /** The run's rows, in the archive before they are handed out. */
  readonly rows: ExpiredRows
  /** After the last batch: brings the archive to its end, and removes what has expired in it. Answers with why nothing may be removed. */
  readonly finish: () => Promise<MaintenanceError | undefined>
  /** What it came to, and how far the archive is behind by then. */
  readonly archived: () => Promise<ArchivedByRun>
}

/** The rows that a run of the job takes: those that go through the archive are no longer than it carries. */
export function expiredRowsOf({ archive, database }: Pick<RunnerOptions, 'archive' | 'database'>, job: Job, cutoff: EpochMs): ExpiredRows {
  return database.expired(job, cutoff, archive !== undefined && job.archived === true ? LONGEST_ROW_BYTES : undefined)
}

/** `undefined`: the job's rows are not archived. Rejects, before anything is deleted, where they should be and cannot. */
export async function openArchiving(
  options: RunnerOptions,
  { job, stopping, accepted }: RunRequest,
  run: Run,
  { cutoff, retentionMs, expired }: { readonly cutoff: EpochMs; readonly retentionMs: number | undefined; readonly expired: ExpiredRows },
): Promise<ArchivedRun | undefined> {
  const { archive: target, database, clock, version } = options
  if (target === undefined || job.archived !== true || retentionMs === undefined) return undefined
  // Loaded by who archives, and by nobody else.
  const [
    { Archive },
    { Archiving },
    { openArchive },
    { draftsOf },
    { expireFiles },
    retentions,
    { ARCHIVED, ARCHIVES },
    { lagOf, readSummary },
  ] = await Promise.all([
    import('../archive/archive.ts'),
    import('../archive/archiving.ts'),
    import('../archive/check.ts'),
    import('../archive/drafts.ts'),
    import('../archive/expiry.ts'),
    import('../archive/retention.ts'),
    import('../archive/state.ts'),
    import('../archive/summary.ts'),
  ])
  const { id } = run
  const relations = await database.relations()
  if (id === undefined || ![ARCHIVES, ARCHIVED].every((table) => relations.has(table)))
    throw new MaintenanceError(
      'ARCHIVE_FAILED',
      'the archive: its tables are missing, which migration 005 makes. Nothing was deleted. Apply the migrations (where they are disabled, run its files 002 and 005 by hand), or set ARCHIVE_ENABLED=false',
    )
  const archive = new Archive({
    database,
    directory: target.directory,
    uid: target.uid,
    drafts: await draftsOf(database),
    table: job.table,
    timeColumn: job.column,
    run: id,
    program: version,
    now: run.now,
    cutoff,
    retentionMs,
    underLease: (work) => run.quietBatch(work),
    stopping,
  })
  const warning = await archive.folder.warning()
  if (warning !== undefined) options.listener.jobWarning(job.name, warning)
  const persistence = { database, clock, stopping }
  await persistently(persistence, () => openArchive(archive))
  const { keptMs } = target
  const retention = await openRetention(options, job.table, relations)
  const accept = (wanted: AcceptedRetention): Promise<void> => run.quietBatch(async (tx) => retention?.accept(tx, wanted, id))
  await persistently(persistence, async () => {
    if (retention === undefined || (await archive.record.load(database)).position > 0) return
    // Of an archive that holds nothing yet, the settings are the word.
    const before = await retention.load(database)
    if (before === undefined || before.keptMs !== keptMs) await accept(retentions.startOf(keptMs, run.now))
  })
  const removeExpired = async (): Promise<MaintenanceError | undefined> => {
    if (retention === undefined || stopping.aborted) return undefined
    await archive.settle()
    const { head } = await archive.record.load(database)
    const shorter = accepted.has('shorter-archive-retention')
    const expiry = { job: job.name, table: job.table, folder: archive.folder, head, now: run.now, keptMs, shorter }
    const verdict = await retentions.judgeExpiry({ ...expiry, accepted: await retention.load(database) })
    if (verdict.kind === 'stop') return new MaintenanceError('SAFETY_STOP', verdict.message)
    if (verdict.accept !== undefined) await accept(verdict.accept)
    if (keptMs !== undefined) await expireFiles(archive, retention, keptMs)
    return undefined
  }
  const rows = new Archiving(archive, expired)
  return {
    rows,
    async finish() {
      await persistently(persistence, () => rows.finish())
      const stop = await persistently(persistence, removeExpired)
      await persistently(persistence, () =>
        run.quietBatch(async (tx) => {
          await archive.record.forgetRuns(tx, database.named(RUNS))
          await retention?.forgetRuns(tx, database.named(RUNS))
        }),
      )
      if (retention === undefined && keptMs !== undefined) options.listener.jobWarning(job.name, WITHOUT_RECORD)
      return stop
    },
    [Symbol.asyncDispose]: () => archive.dropDraft(),
    async archived() {
      const { verification } = await readSummary(database, database.named(ARCHIVES), job.table)
      // Who is told to stop does not count rows.
      const lagMs = stopping.aborted ? undefined : lagOf(await database.expired(job, cutoff).estimate(), cutoff)
      const removed = (await retention?.removedBy(database, id)) ?? NO_GROWTH
      return { ...(await archive.record.ofRun(database, id)), removed, lagMs, verification }
    },
  }
}

const WITHOUT_RECORD =
  'no file was removed from the archive: the tables are missing in which it is recorded how long files are kept, and what goes. Migration 006 makes them; where migrations are disabled, run its file by hand'

/** Where its tables are missing, nothing is removed: what was kept until now could not be told from what is configured now. */
async function openRetention(
  { database }: Pick<RunnerOptions, 'database'>,
  table: string,
  relations: ReadonlyMap<string, Relation>,
): Promise<RetentionRecord | undefined> {
  const { REMOVED, RetentionRecord, RETENTIONS } = await import('../archive/retention.ts')
  if (![RETENTIONS, REMOVED].every((name) => relations.get(name)?.kind === 'table')) return undefined
  return new RetentionRecord((name) => database.named(name), table)
}

/** What a run at this moment would remove from the archive; `undefined`: the job's rows are not archived. */
export interface ArchiveForecast {
  readonly files: number
  readonly expired: number
  /** Why it would not; `undefined`: it would. */
  readonly stop: string | undefined
}

/** Changes nothing. Rows that the run itself would archive are not in it. */
export async function forecastArchive(options: RunnerOptions, { job }: RunRequest, now: EpochMs): Promise<ArchiveForecast | undefined> {
  const { archive: target, database } = options
  if (target === undefined || job.archived !== true) return undefined
  const relations = await database.relations()
  const [{ ArchiveFolder }, { firstKeptDay, holdingsOf }, { judgeExpiry }, { ArchiveRecord, ARCHIVES }] = await Promise.all([
    import('../archive/folder.ts'),
    import('../archive/expiry.ts'),
    import('../archive/retention.ts'),
    import('../archive/state.ts'),
  ])
  if (!relations.has(ARCHIVES)) return undefined
  const { keptMs, directory, uid } = target
  const folder = new ArchiveFolder(directory, job.table, uid)
  const { head } = await new ArchiveRecord((name) => database.named(name), job.table).load(database)
  const { there } = await holdingsOf(folder, head)
  const before = keptMs === undefined ? undefined : firstKeptDay(now, keptMs)
  const counts = { files: there.length, expired: before === undefined ? 0 : there.filter(({ day }) => day < before).length }
  const retention = await openRetention(options, job.table, relations)
  if (retention === undefined) return { ...counts, stop: undefined }
  const accepted = await retention.load(database)
  const verdict = await judgeExpiry({ job: job.name, table: job.table, folder, head, now, keptMs, accepted, shorter: false })
  return { ...counts, stop: verdict.kind === 'stop' ? verdict.message : undefined }
}
