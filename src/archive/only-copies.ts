import { MaintenanceError } from '../errors.ts'
import { someClauses } from '../number-text.ts'
import type { Archive } from './archive.ts'
import { removedIn, type Kept, type RowsFile } from './format.ts'
import { rowsElsewhere } from './rows-elsewhere.ts'
import { parseManifest } from './manifest.ts'
import { isNewerThan } from './pending.ts'
import { countOf, readRanges } from './ranges.ts'
import { pendingPaths } from './read/look.ts'
import { alterationOf } from './read/read-rows.ts'
import type { ArchiveState } from './state.ts'
import { holdsRows, manifestOf, rowsOf, type ArchivePath } from './store/path.ts'

/*
 * The database says which rows of pending files are deleted, and which files they replace; anybody who may write to the table may have
 * written that. So before a file is removed, or rewritten without some of its rows, each row that would be lost is looked up.
 */

/** Rejects if settling the step would remove rows that exist nowhere else. `manifests`: those of the step's files that exist. */
export async function mustBeElsewhere(archive: Archive, state: ArchiveState, manifests: readonly Kept[]): Promise<void> {
  const problems = await onlyCopiesIn(archive, state, manifests)
  if (problems.length === 0) return
  throw new MaintenanceError(
    'ARCHIVE_DAMAGED',
    `the archive: maintenance_archives.step would remove files with rows that exist nowhere else: ${someClauses(problems.map((problem) => archive.store.absolute(problem)))}. ` +
      'Nothing was deleted, and no file was touched. Somebody has deleted these rows since they were archived, or has changed ' +
      'maintenance_archives. Run `archive reconcile --dry-run` to see what would become of the files, then `archive reconcile`, which deletes none',
  )
}

/** Each begins with a path. There are none if this run wrote the pending step: it knows what it did with the rows. */
export async function onlyCopiesIn(archive: Archive, state: ArchiveState, manifests: readonly Kept[]): Promise<readonly string[]> {
  const { step } = state
  if (step === undefined || archive.hasBegun(step)) return []
  const problems: string[] = []
  const removed = readRanges(
    state.removed,
    step.files.reduce((sum, { rows }) => sum + rows, 0),
  )
  const described = new Map(
    manifests.flatMap((manifest) => (manifest.kind === 'rows' ? [[manifest.file.path, manifest.file] as const] : [])),
  )
  const isOfNoUse = countOf(removed) < removed.length

  const leaving: { readonly file: RowsFile; readonly removed: Uint8Array }[] = []
  let base = 0
  for (const { path, rows } of step.files) {
    const ofFile = removed.subarray(base, (base += rows))
    if (path === undefined || countOf(ofFile) === rows || !(await isSomewhere(archive, path))) continue
    const file = described.get(path)
    if (file === undefined) problems.push(`${path}: has no manifest, so its rows cannot be looked up`)
    else leaving.push({ file, removed: ofFile })
  }
  await report(leaving, [])

  const succeeding: typeof leaving = []
  for (const path of step.successors ?? []) if (holdsRows(path)) await lookAt(path, succeeding)
  // The files that these were made of stay: those of the step unless it is discarded, and those that a reconciliation was to take in.
  if (succeeding.length > 0)
    await report(succeeding, [...(countOf(removed) === 0 ? [] : described.values()), ...(await aheadOf(archive, state))])

  const lawful = new Set<ArchivePath>(manifests.flatMap(removedIn).map(rowsOf))
  const replaced: typeof leaving = []
  for (const path of step.obsolete) if (holdsRows(path) && !lawful.has(path)) await lookAt(path, replaced)
  await report(replaced, isOfNoUse ? [] : [...described.values()])
  return problems

  async function lookAt(path: ArchivePath, files: typeof leaving): Promise<void> {
    if (!(await isSomewhere(archive, path))) return
    const bytes = await archive.spool.shelf.read(manifestOf(path))
    const manifest = bytes === undefined ? undefined : parseManifest(bytes, manifestOf(path))
    if (manifest?.kind !== 'rows') problems.push(`${path}: has no manifest, so its rows cannot be looked up`)
    else files.push({ file: manifest.file, removed: new Uint8Array(manifest.file.rows) })
  }

  async function report(files: typeof leaving, elsewhere: readonly RowsFile[]): Promise<void> {
    if (files.length === 0) return
    const { spool, source, options } = archive
    const { database, stopping } = options
    const column = { table: source.table, column: source.timeColumn }
    const search = { database, shelf: spool.shelf, column, overlapping: false, elsewhere, changed: true, stopping }
    const elsewhereOf = await rowsElsewhere(
      search,
      files.map(({ file }) => file),
    )
    stopping.throwIfAborted()
    for (const { file, removed: gone } of files) {
      const marks = elsewhereOf.get(file)!
      const lost = marks.filter((mark, index) => mark === 0 && gone[index] === 0).length
      if (lost > 0) problems.push(`${file.path}: ${lost} of its ${file.rows} rows are neither in ${source.table} nor in a file that stays`)
    }
  }
}

/** Published files that the database knows nothing of. */
async function aheadOf({ store }: Archive, state: ArchiveState): Promise<RowsFile[]> {
  const known = pendingPaths(state)
  const files: RowsFile[] = []
  for await (const path of store.files()) {
    if (!holdsRows(path) || known.has(path) || !isNewerThan(path, state.head)) continue
    const bytes = await store.read(manifestOf(path))
    const manifest = bytes === undefined ? undefined : parseManifest(bytes, manifestOf(path))
    if (manifest?.kind === 'rows' && (await alterationOf(store, manifest.file)) === undefined) files.push(manifest.file)
  }
  return files
}

async function isSomewhere({ store, spool }: Archive, path: ArchivePath): Promise<boolean> {
  return (await spool.holds(path)) || (await store.exists(path))
}
