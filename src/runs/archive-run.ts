import type { AcceptedRetention, RetentionRecord } from '../archive/archive-retention.ts'
import { LONGEST_ROW_BYTES } from '../archive/format.ts'
import type { Expiring } from '../archive/expiry.ts'
import type { ReadHolds } from '../archive/held-files.ts'
import type { Stays } from '../archive/holdings.ts'
import { NO_GROWTH } from '../archive/step.ts'
import { ARCHIVED, ARCHIVES, DISCARDED, REMOVED, RETENTIONS } from '../archive/tables.ts'
import type { Job } from '../catalogue.ts'
import type { Database } from '../database/database.ts'
import type { ExportedRows, ExportedSlice } from '../database/exporting.ts'
import type { Slices } from '../database/purging.ts'
import { MaintenanceError } from '../errors.ts'
import type { SparedRows } from '../policy/spared.ts'
import type { EpochMs } from '../time/clock.ts'
import { HOLDS } from './hold-tables.ts'
import { holdsInForce, mayHaveHolds } from './holds-in-force.ts'
import { currentRows } from './current-rows.ts'
import { ReceiptBook, receiptsIn } from './receipt-book.ts'
import type { ArchivedByRun } from './result.ts'
import type { ArchiveTarget, RunContext, RunRequest } from './run-context.ts'
import type { RunPolicy } from './run-policy.ts'
import { RUNS } from './run-records.ts'
import type { Run } from './run.ts'
import type { Unarchived } from './safety-check.ts'
import { estimateWaiting, readWaiting } from './waiting-rows.ts'
import { withRetry } from './with-retry.ts'

/** Dispose of it however the run ends: a draft of the next rows may be in progress. */
export interface ArchivedRun extends AsyncDisposable {
  /** The run's rows. They are in the archive before they are handed out. */
  readonly rows: Slices
  /** Call it after the last batch: settles the archive, and removes its expired files. Returns the reason if none may be removed. */
  readonly finish: () => Promise<MaintenanceError | undefined>
  /** What the run archived and removed, and how far the archive lags behind at its end. */
  readonly archived: () => Promise<ArchivedByRun>
}

/** The rows of a run that are archived, without those too long for the archive; `undefined`: the job's rows are not archived. */
export function exportedRowsOf(
  { archive, database }: RunContext,
  { job }: RunRequest,
  cutoff: EpochMs,
  spared: SparedRows,
): ExportedRows | undefined {
  return archive !== undefined && job.archived === true ? database.exported(job, cutoff, LONGEST_ROW_BYTES, spared) : undefined
}

/** Rejects before anything is deleted if rows should be archived, but cannot be. */
export async function openArchiving(
  context: RunContext & { readonly archive: ArchiveTarget },
  { job, retentionMs = 0, rules = [], stopping, accepted }: RunRequest,
  run: Run,
  cutoff: EpochMs,
  expired: ExportedRows,
  policy: RunPolicy,
): Promise<ArchivedRun> {
  const { archive: target, database, clock, version } = context
  // Loaded only by runs that archive.
  const [
    { Archive },
    { Archiving },
    { openArchive },
    { draftsOf },
    { expireFiles },
    { HeldFiles },
    { settle },
    retentions,
    { lagOf, readSummary },
  ] = await Promise.all([
    import('../archive/archive.ts'),
    import('../archive/archiving.ts'),
    import('../archive/check.ts'),
    import('../archive/write/draft-names.ts'),
    import('../archive/expiry.ts'),
    import('../archive/held-files.ts'),
    import('../archive/settle.ts'),
    import('../archive/archive-retention.ts'),
    import('../archive/archive-summary.ts'),
  ])
  const { id } = run
  const { size } = await database.tablesAmong([ARCHIVES, ARCHIVED])
  if (id === undefined || size < 2)
    throw new MaintenanceError(
      'ARCHIVE_FAILED',
      'the archive: its tables are missing, which migration 005 makes. Nothing was deleted. Apply the migrations (where they are disabled, run its files 002 and 005 by hand), or set ARCHIVE_ENABLED=false',
    )
  if (target.bucket !== undefined && !(await database.tablesAmong([DISCARDED])).has(DISCARDED))
    throw new MaintenanceError(
      'ARCHIVE_FAILED',
      'the archive: the table of discarded files is missing, which migration 011 makes and an archive in a bucket needs. Nothing was deleted. Apply the migrations (where they are disabled, run its file by hand)',
    )
  const archive = new Archive({
    database,
    place: target,
    drafts: await draftsOf(database),
    table: job.table,
    timeColumn: job.column,
    run: id,
    program: version,
    now: run.now,
    cutoff,
    retentionMs,
    partRows: target.partRows,
    underLease: (work) => run.underLease(work),
    pass: () => context.turns.pass(),
    stopping,
  })
  const warning = await archive.store.warning()
  if (warning !== undefined) context.listener.jobWarning(job.name, warning)
  const persistence = { database, clock, stopping }
  await withRetry(persistence, () => openArchive(archive))
  const { keptMs, lateKeptMs } = target
  const retention = await openRetention(database, job.table)
  const readHolds = run.holds === 'read' ? readingHolds(database, job, 'No file was removed from the archive') : undefined
  const accept = (wanted: AcceptedRetention): Promise<void> => run.underLease(async (tx) => retention?.accept(tx, wanted, id))
  await withRetry(persistence, async () => {
    if (retention === undefined || (await archive.record.load(database)).position > 0) return
    // While the archive is empty, the configured retention is accepted as it is.
    const before = await retention.load(database)
    if (before === undefined || before.keptMs !== keptMs) await accept(retentions.startOf(keptMs, run.now))
  })
  const removeExpired = async (): Promise<MaintenanceError | undefined> => {
    if (retention === undefined || stopping.aborted) return undefined
    await settle(archive)
    const { head } = await archive.record.load(database)
    const shorter = accepted.has('shorter-archive-retention')
    const stays = await staying(database, job, readHolds, { now: run.now, lateKeptMs })
    const expiry = { job: job.name, table: job.table, store: archive.store, head, now: run.now, keptMs, shorter, stays }
    const verdict = await retentions.judgeExpiry({ ...expiry, accepted: await retention.load(database) })
    if (verdict.kind === 'stop') return new MaintenanceError('SAFETY_STOP', verdict.message)
    if (verdict.accept !== undefined) await accept(verdict.accept)
    if (keptMs !== undefined)
      await expireFiles(archive, { retention, keptMs, readHolds, begun: await removalReceipts(context, job, id), lateKeptMs })
    return undefined
  }
  const walk = currentRows<ExportedSlice>(
    expired,
    () => policy.sparedNow(),
    (now) => database.exported(job, cutoff, LONGEST_ROW_BYTES, now),
  )
  const rows = new Archiving(archive, walk)
  const expiredUntil = (until: EpochMs): ExportedRows =>
    until === cutoff ? expired : database.exported(job, until, LONGEST_ROW_BYTES, policy.spared)
  return {
    rows,
    async finish() {
      await withRetry(persistence, () => rows.finish())
      const stop = await withRetry(persistence, removeExpired)
      await withRetry(persistence, () =>
        run.underLease(async (tx) => {
          await archive.record.forgetRuns(tx, database.named(RUNS))
          await retention?.forgetRuns(tx, database.named(RUNS))
          if (readHolds !== undefined)
            await new HeldFiles((name) => database.named(name), job.table).forgetReleased(tx, database.named(HOLDS))
        }),
      )
      for (const note of archive.store.takeNotes()) context.listener.jobWarning(job.name, note)
      if (retention === undefined && keptMs !== undefined) context.listener.jobWarning(job.name, WITHOUT_RECORD)
      return stop
    },
    [Symbol.asyncDispose]: () => archive.dropDraft(),
    async archived() {
      const { verification } = await readSummary(database, database.named(ARCHIVES), job.table)
      // No rows are counted while shutting down.
      const waiting = stopping.aborted ? undefined : await readWaiting(database, { job, retentionMs, rules }, run.now)
      const lagMs = waiting === undefined ? undefined : lagOf(await estimateWaiting(expiredUntil, cutoff, waiting), cutoff)
      const removed = (await retention?.removedBy(database, id)) ?? NO_GROWTH
      return { ...(await archive.record.ofRun(database, id)), removed, lagMs, verification }
    },
  }
}

/** The receipt of a removal is written with it. */
async function removalReceipts(context: RunContext, job: Job, run: number): Promise<Expiring['begun']> {
  const { database, worker, version, signer } = context
  const table = job.receipts === true ? await receiptsIn(database) : undefined
  if (table === undefined) return undefined
  const book = new ReceiptBook({ database, worker, version, signer }, table)
  return async (tx, removal) => void (await book.append(tx, { kind: 'removal', job: job.name, run, ...removal }))
}

const WITHOUT_RECORD =
  'no file was removed from the archive: the tables that record its retention and what was removed are missing. Apply migration 006; where migrations are disabled, run its file by hand'

/** Without its tables nothing may be removed, because the retention so far cannot be compared with the configured one. */
async function openRetention(database: Database, table: string): Promise<RetentionRecord | undefined> {
  if ((await database.tablesAmong([RETENTIONS, REMOVED])).size < 2) return undefined
  const { RetentionRecord } = await import('../archive/archive-retention.ts')
  return new RetentionRecord((name) => database.named(name), table)
}

/** Rejects if a hold cannot be understood; `consequence`: what was not done then. */
export function readingHolds(database: Database, job: Job, consequence: string): ReadHolds {
  return (query) => holdsInForce(query, database.named(HOLDS), job, consequence)
}

/** The files that no removal takes now, as far as it is known without reading any. */
async function staying(
  database: Database,
  { table }: Job,
  readHolds: ReadHolds | undefined,
  times: { readonly now: EpochMs; readonly lateKeptMs: number | undefined },
): Promise<Stays> {
  const [{ HeldFiles }, { knownToStay }] = await Promise.all([import('../archive/held-files.ts'), import('../archive/holdings.ts')])
  const held = new HeldFiles((name) => database.named(name), table)
  return knownToStay(database, { ...times, holds: (await readHolds?.(database)) ?? [], held })
}

/** What a run at this moment would remove from the archive; `undefined`: the job's rows are not archived. */
export interface ArchiveForecast {
  readonly files: number
  readonly expired: number
  /** Why it would remove nothing; `undefined`: it would remove them. */
  readonly stop: string | undefined
}

/** Changes nothing. Does not include what the run itself would archive. */
export async function forecastArchive(context: RunContext, { job }: RunRequest, now: EpochMs): Promise<ArchiveForecast | undefined> {
  const { archive: target, database } = context
  if (target === undefined || job.archived !== true) return undefined
  const [{ storeAt }, { firstKeptDay, holdingsOf }, { judgeExpiry }, { ArchiveRecord }, { mustBeHere }] = await Promise.all([
    import('../archive/store/store-at.ts'),
    import('../archive/holdings.ts'),
    import('../archive/archive-retention.ts'),
    import('../archive/state.ts'),
    import('../archive/moved.ts'),
  ])
  if (!(await database.tablesAmong([ARCHIVES])).has(ARCHIVES)) return undefined
  const { keptMs, lateKeptMs } = target
  const store = storeAt(target, job.table)
  const record = new ArchiveRecord((name) => database.named(name), job.table)
  await mustBeHere({ database, store, record }, 'A run would delete nothing')
  const { head } = await record.load(database)
  const { there } = await holdingsOf(store, head)
  const before = keptMs === undefined ? undefined : firstKeptDay(now, keptMs)
  const readHolds = (await mayHaveHolds(database, job)) ? readingHolds(database, job, 'No file was removed from the archive') : undefined
  const stays = await staying(database, job, readHolds, { now, lateKeptMs })
  const expired = before === undefined ? 0 : there.filter((file) => file.day < before && !stays(file)).length
  const counts = { files: there.length, expired }
  const retention = await openRetention(database, job.table)
  if (retention === undefined) return { ...counts, stop: undefined }
  const accepted = await retention.load(database)
  const verdict = await judgeExpiry({ job: job.name, table: job.table, store, head, now, keptMs, accepted, shorter: false, stays })
  return { ...counts, stop: verdict.kind === 'stop' ? verdict.message : undefined }
}

/**
 * Why a run without the archive may not delete: a run that archived left files in hand; or the archive was on when rows of this job were last deleted, in the last
 * run that deleted any, or in whichever run it was that is no longer on record. So one run that a person let go on without the archive is enough for those after it.
 */
export async function unarchivedBy({ archive, database }: RunContext, { job }: RunRequest): Promise<Unarchived | undefined> {
  if (archive !== undefined || job.archived !== true) return undefined
  if ((await database.tablesAmong([RUNS, ARCHIVES, ARCHIVED])).size < 3) return undefined
  const [runs, archives, archived] = [RUNS, ARCHIVES, ARCHIVED].map((table) => database.named(table))
  const { rows: begun } = await database.query<{ settled: number }>(
    `SELECT CASE WHEN step IS NULL THEN 1 ELSE 0 END AS settled FROM ${archives} WHERE source = $1 AND (position > 0 OR step IS NOT NULL)`,
    [job.table],
  )
  if (begun.length === 0) return undefined
  if (begun[0]?.settled !== 1) return { kind: 'in-hand', files: await filesInHand(database, job.table) }
  const { rows: deleting } = await database.query<{ id: number }>(
    `SELECT id FROM ${runs} WHERE job = $1 AND rows_deleted > 0 ORDER BY id DESC LIMIT 1`,
    [job.name],
  )
  const last = deleting[0]?.id
  if (last === undefined) return { kind: 'archived-before' }
  const { rows: counted } = await database.query(`SELECT run FROM ${archived} WHERE run = $1`, [last])
  return counted.length > 0 ? { kind: 'archived-before' } : undefined
}

/** Below the archive's folder, which a run without the archive need not know. */
async function filesInHand(database: Database, table: string): Promise<readonly string[]> {
  const [{ ArchiveRecord }, { pendingPaths }, { holdsRows }] = await Promise.all([
    import('../archive/state.ts'),
    import('../archive/read/look.ts'),
    import('../archive/store/path.ts'),
  ])
  const paths = [...pendingPaths(await new ArchiveRecord((name) => database.named(name), table).load(database))]
  const ofRows = paths.filter(holdsRows)
  return ofRows.length > 0 ? ofRows : paths
}
