import { MaintenanceError } from '../errors.ts'
import { damaged, SHARED } from './damage.ts'
import { setAsideIn, removedIn, fileIn, sha256, type Kept } from './format.ts'
import { kept, parseManifest } from './manifest.ts'
import { alterationOf } from './read/read-rows.ts'
import type { ArchiveState } from './state.ts'
import { pathsOf, type Step, type StepFile } from './step.ts'
import type { Shelf, Store } from './store/store.ts'
import { manifestOf, positionOf, rowsOf, type ArchivePath } from './store/path.ts'

/** What lies in the folder of the pending step. */
export interface Pending {
  /** In the order of the step; without those that are missing. */
  readonly manifests: readonly Kept[]
  /** Each begins with a path. What is missing is one only where rows of it are deleted. */
  readonly problems: readonly string[]
  /** The step takes hold of files of the chain: no run has noted that, and it says nothing of what became of anything. */
  readonly isForged: boolean
}

/**
 * Judges the pending files by what the database noted when they were complete: the SHA-256 of each manifest, which holds that of its file. Nothing is
 * moved, rewritten or removed before that: between a crash and the next run anybody may have exchanged them.
 */
export async function judgePending(store: Store, state: ArchiveState): Promise<Pending> {
  const { step } = state
  if (step === undefined) return { manifests: [], problems: [], isForged: false }
  const manifests: Kept[] = []
  const misplaced = [...misplacedIn(step, state)]
  for (const path of step.successors ?? [])
    if (!step.successors!.includes(rowsOf(path)) && (await store.exists(rowsOf(path))))
      misplaced.push(`${path}: would be discarded by maintenance_archives.step, and the file that it describes would not`)
  const problems: string[] = []
  const spool = store.spool(step.drafts)
  // An interrupted discard has removed some of the files already.
  const mustBeThere = someAreGone(state) || step.files.every(({ rows }) => rows === 0)
  for (const path of step.files.flatMap(pathsOf))
    if (await spool.collides(path))
      problems.push(`${path}: is there, and another waits to be moved there. ${SHARED}, and take no file of the other away`)
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
  // Of a removal whose own manifest is lost nobody knows what it named.
  const isForged = misplaced.length > 0 || (unlawful.length > 0 && problems.length === 0)
  return { manifests, problems: [...misplaced, ...problems, ...unlawful], isForged }
}

/** Rejects where something pending is not what was written. */
export async function pendingAsWritten(store: Store, state: ArchiveState): Promise<readonly Kept[]> {
  const { manifests, problems, isForged } = await judgePending(store, state)
  if (problems.length === 0) return manifests
  const listed = problems.map((problem) => store.absolute(problem)).join('; ')
  if (isForged)
    throw new MaintenanceError(
      'ARCHIVE_DAMAGED',
      `the archive: maintenance_archives.step takes hold of files that stand in the chain: ${listed}. Nothing was deleted, and no file was touched. No run writes ` +
        'that: somebody has changed maintenance_archives. `archive reconcile --dry-run` says what becomes of files that are really pending, and ' +
        '`archive reconcile` does it and drops that step, deleting none',
    )
  const what = someAreGone(state)
    ? 'They hold the only copies of rows that are deleted: bring them back from their backup'
    : 'None of their rows was deleted: move them out of the folder, and the rows are written again'
  throw damaged(`the files that the last run left pending are not what it wrote, and were left as they are: ${listed}. ${what}`)
}

/** Whether rows of it are deleted. */
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
      return 'does not describe the file that the database says'
  }
}

/** What is pending is newer than the chain: a step that names a link of the chain is none that a run has noted. */
function* misplacedIn({ files, successors = [] }: Step, { head, position }: ArchiveState): Generator<string> {
  for (const path of [...files.map(({ manifest }) => manifest), ...successors])
    if (positionOf(path) > position || !isNewerThan(path, head))
      yield `${path}: is pending by maintenance_archives.step, and its number is none that was given since the head`
}

/** Only what a pending removal names, or what was written since the head and is replaced, may go. */
function* unlawfullyObsolete({ obsolete, reconciled }: Step, { head }: ArchiveState, manifests: readonly Kept[]): Generator<string> {
  const removed = new Set<ArchivePath>(manifests.flatMap(removedIn).map(rowsOf))
  for (const path of obsolete)
    if (!removed.has(path) && !isNewerThan(path, head))
      yield `${path}: is obsolete by maintenance_archives.step, and stands in the chain without a removal`
  const setAside = new Set<ArchivePath>(manifests.flatMap(setAsideIn).map((link) => link.manifest))
  for (const path of reconciled?.setAside ?? [])
    if (!setAside.has(manifestOf(path))) yield `${path}: is set aside by maintenance_archives.step, and by no manifest`
}

export function isNewerThan(path: ArchivePath, head: ArchiveState['head']): boolean {
  return head === null || positionOf(path) > positionOf(head.manifest)
}
