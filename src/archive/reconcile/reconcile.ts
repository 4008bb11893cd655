import { MaintenanceError } from '../../errors.ts'
import type { Archive } from '../archive.ts'
import type { RowsFile } from '../format.ts'
import { rowsElsewhere } from '../rows-elsewhere.ts'
import { judgePending } from '../pending.ts'
import { discard } from '../discard.ts'
import { onlyCopiesIn } from '../only-copies.ts'
import { countOf } from '../ranges.ts'
import { pendingPaths } from '../read/look.ts'
import { settle } from '../settle.ts'
import type { ArchiveState } from '../state.ts'
import { pathsOf } from '../step.ts'
import type { Store } from '../store/store.ts'
import { positionOf, type ArchivePath } from '../store/path.ts'
import { readAhead, type Ahead, type AheadLink } from './ahead.ts'
import { beginStep, type Planned, type Reconciled, type ReconciliationBegun } from './reconciled-step.ts'

/*
 * A database that was restored from a backup, or a replica that was promoted late, is older than its archive: the folder holds files that it does
 * not know, and their rows may be in the database again. Every purge then stops. This is how to proceed:
 *
 *   files ahead ──▶ believed?  each follows from the head or from one before it, and matches its manifest   ──no──▶ refused, nothing is changed
 *        │
 *        ▼
 *   every row is looked up in the database
 *        │  all found ──▶ set aside: they are archived again when they are purged again
 *        │  none found ─▶ the file joins the chain as it is
 *        └─ some found ─▶ the others are written to a new file, and this one is set aside
 *        ▼
 *   new files, and a manifest that names what joins and what is set aside, complete in the spool
 *        ▼  one transaction: they become the pending step, instead of the one in the database
 *   settle: publish the files, move what is set aside to `reconciled/`, head = that manifest
 *
 * No file is deleted. If it is interrupted before the transaction, nothing has changed; after it, the next purge or reconcile completes the step.
 */

export interface Reconciliation {
  readonly files: readonly Reconciled[]
  /** Links without rows that join the chain, such as removals. */
  readonly otherLinks: number
  /** Files that do not exist, and stay missing; each begins with its path. */
  readonly missing: readonly string[]
  /** Whether the pending step of the database is dropped, because no run wrote it. */
  readonly dropsStep: boolean
}

/** Rejects with `ARCHIVE_DAMAGED`, having changed nothing, if something beyond the head is not believed. */
export async function reconcile(
  archive: Archive,
  { dryRun, begun }: { readonly dryRun: boolean; readonly begun?: ReconciliationBegun | undefined },
): Promise<Reconciliation> {
  const { store, spool, record, source, options, discarded: memory } = archive
  const { database, stopping } = options
  await database.durable()
  const state = await record.load(database)
  const pending = await judgePending(store, state)
  const onlyCopies = pending.problems.length > 0 ? [] : await onlyCopiesIn(archive, state, pending.manifests)
  // Files that wait to be published are taken in like published ones.
  if (onlyCopies.length > 0 && !dryRun) await publishWaiting(store, state)
  // Drafts that were to become the next pending step are discarded, as a run would.
  const drafts = pending.problems.length > 0 || onlyCopies.length > 0 ? [] : (state.step?.successors ?? [])
  if (!dryRun) await discard(archive, drafts)
  const discarded = new Set([...drafts, ...((await memory?.load(database, state.position))?.keys() ?? [])])
  const ahead = await readAhead(archive, state, discarded)
  if (ahead.position === state.position && onlyCopies.length === 0 && !pending.isForged && !hasUnknown(ahead, state)) {
    // Files that a run or an earlier reconcile left pending are settled first.
    if (state.step?.reconciled !== undefined && !dryRun) await settle(archive)
    return { files: [], otherLinks: 0, missing: [], dropsStep: false }
  }
  if (ahead.problems.length > 0) throw refused(ahead.problems.map((problem) => store.absolute(problem)))

  const files = ahead.links.flatMap(({ file }) => (file === undefined ? [] : [file]))
  const column = { table: source.table, column: source.timeColumn }
  const elsewhere = await rowsElsewhere({ database, shelf: spool.shelf, column, overlapping: ahead.forked, stopping }, files)
  const plan = ahead.links.map((link) => planOf(link, elsewhere))
  if (!dryRun && !stopping.aborted) {
    await spool.publish(ahead.halfMoved)
    await beginStep(archive, ahead, plan, pending.isForged, begun)
    await settle(archive)
  }
  return {
    files: plan.flatMap(({ reconciled }) => (reconciled === undefined ? [] : [reconciled])),
    otherLinks: plan.filter(({ reconciled }) => reconciled === undefined).length,
    missing: ahead.missing,
    dropsStep: pending.isForged,
  }
}

/** Whether files lie beyond the head that are not pending. */
function hasUnknown({ present }: Ahead, state: ArchiveState): boolean {
  const pending = pendingPaths(state)
  const head = state.head === null ? 0 : positionOf(state.head.manifest)
  return [...present].some((path) => positionOf(path) > head && !pending.has(path))
}

async function publishWaiting(store: Store, { step }: ArchiveState): Promise<void> {
  if (step === undefined) return
  const spool = store.spool(step.drafts)
  const waiting: ArchivePath[] = []
  for (const path of step.files.flatMap(pathsOf)) if (await spool.holds(path)) waiting.push(path)
  await spool.publish(waiting)
}

function planOf(link: AheadLink, elsewhere: ReadonlyMap<RowsFile, Uint8Array>): Planned {
  const { file } = link
  if (file === undefined) return { link, elsewhere: new Uint8Array(), reconciled: undefined }
  const marks = elsewhere.get(file)!
  const count = countOf(marks)
  const becomes = count === file.rows ? 'set aside' : count === 0 ? 'joined' : 'rewritten'
  return { link, elsewhere: marks, reconciled: { path: file.path, rows: file.rows, elsewhere: count, becomes } }
}

function refused(problems: readonly string[]): MaintenanceError {
  return new MaintenanceError('ARCHIVE_DAMAGED', [
    ...problems.map((problem) => `the archive: ${problem}`),
    'Nothing was changed. Restore these files from a backup. If there is none, or they belong to another database, move each with its manifest out of the ' +
      'folder, keep them, and run `archive reconcile` again: it takes in what is left of the chain, and names what is missing',
  ])
}
