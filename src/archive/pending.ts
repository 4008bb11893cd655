import { MaintenanceError } from '../errors.ts'
import { someClauses } from '../number-text.ts'
import { damaged, SHARED } from './damage.ts'
import { setAsideIn, removedIn, fileIn, sha256, type Kept } from './format.ts'
import { kept, parseManifest } from './manifest.ts'
import { alterationOf } from './read/read-rows.ts'
import type { ArchiveState } from './state.ts'
import { pathsOf, type Step, type StepFile } from './step.ts'
import type { Shelf, Store } from './store/store.ts'
import { manifestOf, positionOf, rowsOf, type ArchivePath } from './store/path.ts'

/** The files of the pending step as they are in the folder. */
export interface Pending {
  /** In the order of the step, without missing ones. */
  readonly manifests: readonly Kept[]
  /** Each begins with a path. A missing file is a problem only if rows of the step are deleted, or if the step has no rows (a removal). */
  readonly problems: readonly string[]
  /** The step claims files of the chain. No run writes such a step, so nothing in it can be believed. */
  readonly isForged: boolean
}

/**
 * Compares the pending files with what the database recorded when they were complete: the SHA-256 of each manifest, which holds that of its
 * file. Must come before anything is moved, rewritten or removed: between a crash and the next run anybody may have replaced them.
 */
export async function judgePending(store: Store, state: ArchiveState): Promise<Pending> {
  const { step } = state
  if (step === undefined) return { manifests: [], problems: [], isForged: false }
  const manifests: Kept[] = []
  const misplaced = [...misplacedIn(step, state)]
  for (const path of step.successors ?? [])
    if (!step.successors!.includes(rowsOf(path)) && (await store.exists(rowsOf(path))))
      misplaced.push(`${path}: would be discarded according to maintenance_archives.step, but the file that it describes would not`)
  const problems: string[] = []
  const spool = store.spool(step.drafts)
  // An interrupted discard may have removed some of the files already.
  const mustBeThere = someAreGone(state) || step.files.every(({ rows }) => rows === 0)
  for (const path of step.files.flatMap(pathsOf))
    if (await spool.collides(path))
      problems.push(`${path}: exists, and a different file is waiting to be moved there. ${SHARED}, and remove no file of the other`)
  for (const file of step.files) {
    const read = await readManifest(spool.shelf, file)
    if (typeof read !== 'object') problems.push(...(read === 'missing' && !mustBeThere ? [] : [`${file.manifest}: ${sentenceOf(read)}`]))
    else {
      manifests.push(read)
      const written = fileIn(read)
      const problem = written === undefined ? undefined : await alterationOf(spool.shelf, written)
      if (problem !== undefined && (mustBeThere || problem !== `${written!.path}: is missing`)) problems.push(problem)
    }
  }
  const unlawful = [...unlawfullyObsolete(step, state, manifests)]
  // If the manifest of a removal is lost, we cannot know what it named.
  const isForged = misplaced.length > 0 || (unlawful.length > 0 && problems.length === 0)
  return { manifests, problems: [...misplaced, ...problems, ...unlawful], isForged }
}

/** Rejects if a pending file is not what was written. */
export async function pendingAsWritten(store: Store, state: ArchiveState): Promise<readonly Kept[]> {
  const { manifests, problems, isForged } = await judgePending(store, state)
  if (problems.length === 0) return manifests
  const listed = someClauses(problems.map((problem) => store.absolute(problem)))
  if (isForged)
    throw new MaintenanceError(
      'ARCHIVE_DAMAGED',
      `the archive: maintenance_archives.step claims files of the chain: ${listed}. Nothing was deleted, and no file was touched. No run writes such a step: ` +
        'somebody has changed maintenance_archives. Run `archive reconcile --dry-run` to see what would become of the files that are really pending, ' +
        'then `archive reconcile`, which drops that step and deletes no file',
    )
  const what = someAreGone(state)
    ? 'They hold the only copies of deleted rows: restore them from a backup'
    : 'The database has all of their rows: move these files out of the folder and keep them, and the next run writes the rows again'
  throw damaged(`the files that the last run left pending are not what it wrote, and were left as they are: ${listed}. ${what}`)
}

/** Whether rows of the step are deleted. */
function someAreGone({ removed }: ArchiveState): boolean {
  return removed !== null && removed !== ''
}

type Read = Kept | 'missing' | 'altered' | 'other'

async function readManifest(shelf: Shelf, { manifest: path, sha256: sum, path: rows, rows: count }: StepFile): Promise<Read> {
  const bytes = await shelf.read(path)
  if (bytes === undefined) return 'missing'
  const manifest = sha256(bytes) === sum ? parseManifest(bytes, path) : undefined
  if (manifest === undefined) return 'altered'
  const written = kept(manifest)
  const described = fileIn(written)
  return described?.path === rows && (described?.rows ?? 0) === count ? written : 'other'
}

function sentenceOf(read: Exclude<Read, Kept>): string {
  switch (read) {
    case 'missing':
      return 'is missing'
    case 'altered':
      return 'was altered after it was written'
    case 'other':
      return 'does not describe the file that the database names'
  }
}

/** Pending files are newer than the chain. So a step that names a link of the chain was not written by a run. */
function* misplacedIn({ files, successors = [] }: Step, { head, position }: ArchiveState): Generator<string> {
  for (const path of [...files.map(({ manifest }) => manifest), ...successors])
    if (positionOf(path) > position || !isNewerThan(path, head))
      yield `${path}: is pending according to maintenance_archives.step, but its number was not allocated since the head`
}

/** Only files that a pending removal names may be removed, and replaced files that were written since the head. */
function* unlawfullyObsolete({ obsolete, reconciled }: Step, { head }: ArchiveState, manifests: readonly Kept[]): Generator<string> {
  const removed = new Set<ArchivePath>(manifests.flatMap(removedIn).map(rowsOf))
  for (const path of obsolete)
    if (!removed.has(path) && !isNewerThan(path, head))
      yield `${path}: is obsolete according to maintenance_archives.step, but is in the chain, and no removal names it`
  const setAside = new Set<ArchivePath>(manifests.flatMap(setAsideIn).map((link) => link.manifest))
  for (const path of reconciled?.setAside ?? [])
    if (!setAside.has(manifestOf(path))) yield `${path}: is set aside according to maintenance_archives.step, but by no manifest`
}

export function isNewerThan(path: ArchivePath, head: ArchiveState['head']): boolean {
  return head === null || positionOf(path) > positionOf(head.manifest)
}
