import type { ExpiredRows } from '../database/database.ts'
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
  /** After the last batch: brings the archive to its end, and removes what has expired in it. */
  readonly finish: () => Promise<void>
  /** What it came to, and how far the archive is behind by then. */
  readonly archived: () => Promise<ArchivedByRun>
}

/** `undefined`: the job's rows are not archived. Rejects, before anything is deleted, where they should be and cannot. */
export async function openArchiving(
  options: RunnerOptions,
  { job, stopping }: RunRequest,
  run: Run,
  { cutoff, retentionMs }: { readonly cutoff: EpochMs; readonly retentionMs: number | undefined },
): Promise<ArchivedRun | undefined> {
  const { archive: target, database, clock, version } = options
  if (target === undefined || job.archived !== true || retentionMs === undefined) return undefined
  const { id } = run
  if (id === undefined || !(await hasTables(options)))
    throw new MaintenanceError(
      'ARCHIVE_FAILED',
      'the archive: its tables are missing, which migration 005 makes. Nothing was deleted. Apply the migrations (where they are disabled, run its files 002 and 005 by hand), or set ARCHIVE_ENABLED=false',
    )
  // Loaded by who archives, and by nobody else.
  const [{ Archive }, { Archiving }, { openArchive }, { expireFiles }, { ARCHIVES }, { lagOf, readSummary }] = await Promise.all([
    import('../archive/archive.ts'),
    import('../archive/archiving.ts'),
    import('../archive/check.ts'),
    import('../archive/expiry.ts'),
    import('../archive/state.ts'),
    import('../archive/summary.ts'),
  ])
  const archive = new Archive({
    database,
    directory: target.directory,
    uid: target.uid,
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
  const persistence = { database, clock, stopping }
  await persistently(persistence, () => openArchive(archive))
  const rows = new Archiving(archive, database.expired(job, cutoff))
  return {
    rows,
    async finish() {
      await persistently(persistence, () => rows.finish())
      if (target.keptMs !== undefined && !stopping.aborted) {
        const { keptMs } = target
        await persistently(persistence, async () => {
          await archive.settle()
          await expireFiles(archive, keptMs)
        })
      }
      await persistently(persistence, () => run.quietBatch((tx) => archive.record.forgetRuns(tx, database.named(RUNS))))
    },
    [Symbol.asyncDispose]: () => archive.dropDraft(),
    async archived() {
      const { verification } = await readSummary(database, database.named(ARCHIVES), job.table)
      // Who is told to stop does not count rows.
      const lagMs = stopping.aborted ? undefined : lagOf(await database.expired(job, cutoff).estimate(), cutoff)
      return { ...(await archive.record.ofRun(database, id)), lagMs, verification }
    },
  }
}

async function hasTables({ database }: RunnerOptions): Promise<boolean> {
  const { ARCHIVED, ARCHIVES } = await import('../archive/state.ts')
  const relations = await database.relations()
  return [ARCHIVES, ARCHIVED].every((table) => relations.has(table))
}
