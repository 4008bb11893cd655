import type { Archive } from '../archive.ts'
import { damaged } from '../damage.ts'
import { setAsideIn, joinedIn, fileIn, sha256, type Link, type RowsFile, type Source } from '../format.ts'
import { kept, parseManifest } from '../manifest.ts'
import { readChain, removedBy, type Chain, type Found } from '../read/chain.ts'
import { alterationOf } from '../read/read-rows.ts'
import type { ArchiveState } from '../state.ts'
import { holdsRows, manifestOf, positionOf, rowsOf, type ArchivePath } from '../store/path.ts'

/** A link that the database does not know, with its file if that exists. */
export interface AheadLink extends Found {
  readonly file: RowsFile | undefined
}

/** What the folder holds beyond what the database knows. */
export interface Ahead {
  /** The chain that the database knows. */
  readonly known: Chain
  /** Every published file. */
  readonly present: ReadonlySet<ArchivePath>
  /** In the order of their numbers. Each follows from the known chain, or from a link before it. */
  readonly links: readonly AheadLink[]
  /** Whether two of them have the same predecessor: then they may hold the same rows. */
  readonly forked: boolean
  /** Files and manifests of which only one of the pair has been published. */
  readonly halfMoved: readonly ArchivePath[]
  /** Files that a link names and that do not exist; each begins with its path. */
  readonly missing: readonly string[]
  /** Missing links among them, with the digests that their successors name. */
  readonly gaps: readonly Link[]
  /** Why none of it is believed; each begins with a path. */
  readonly problems: readonly string[]
  /** The highest number of any file. */
  readonly position: number
}

/**
 * Reads the manifests that are newer than the head, and checks each by its predecessor and by the digest of its file. Files in `discarded`
 * are not read.
 */
export async function readAhead(
  { store, spool, source, options }: Archive,
  state: ArchiveState,
  discarded: ReadonlySet<ArchivePath>,
): Promise<Ahead> {
  const { stopping } = options
  const paths = (await store.list()).filter((path) => !discarded.has(path))
  const present = new Set(paths)
  const known = await readChain(store, paths, state.head)
  if (state.head !== null && known.links[0]?.sha256 !== state.head.sha256)
    throw damaged(`${store.absolute(state.head.manifest)} is missing or altered, and the database says that it is the newest`)
  const since = state.head === null ? 0 : positionOf(state.head.manifest)
  const isOld = new Set([...known.links, ...known.unvouched].map(({ manifest }) => manifest.manifest))
  const places = [...new Set(paths.map((path) => (holdsRows(path) ? manifestOf(path) : path)))]
    .filter((path) => positionOf(path) > since && !isOld.has(path))
    .toSorted((a, b) => positionOf(a) - positionOf(b))

  const problems: string[] = []
  const missing: string[] = []
  const found: Found[] = []
  for (const path of places) {
    const bytes = await spool.shelf.read(path)
    const manifest = bytes === undefined ? undefined : parseManifest(bytes, path)
    if (bytes === undefined) problems.push(`${rowsOf(path)}: has no manifest`)
    else if (manifest === undefined) problems.push(`${path}: is not a manifest of this format, or of this place`)
    else found.push({ manifest: kept(manifest), sha256: sha256(bytes) })
  }
  const gaps: Link[] = []
  for (const { manifest, why } of unbelieved(found, { known, state, source }, gaps)) problems.push(`${manifest}: ${why}`)
  for (const { manifest } of gaps) missing.push(`${manifest}: is missing`)

  for (const { manifest, files } of removalsNotCarriedOut(found, present))
    problems.push(`${manifest}: says that ${files.length} files were removed that are still there, ${files[0]} among them`)

  const removed = removedBy(found)
  const links: AheadLink[] = []
  for (const link of found) {
    const file = fileIn(link.manifest)
    const problem = file === undefined || removed.has(link.manifest.manifest) ? undefined : await alterationOf(spool.shelf, file, stopping)
    const isMissing = problem === `${file?.path}: is missing`
    if (problem !== undefined) (isMissing ? missing : problems).push(problem)
    links.push({ ...link, file: problem === undefined && !removed.has(link.manifest.manifest) ? file : undefined })
  }
  return {
    known,
    present,
    links,
    forked: isForked(found),
    halfMoved: links.flatMap(({ file, manifest: { manifest } }) =>
      file === undefined || (present.has(file.path) && present.has(manifest)) ? [] : [file.path, manifest],
    ),
    missing,
    gaps,
    problems,
    position: paths.reduce((highest, path) => Math.max(highest, positionOf(path)), state.position),
  }
}

interface Unbelieved {
  readonly manifest: ArchivePath
  readonly why: string
}

interface Knowledge {
  readonly known: Chain
  readonly state: ArchiveState
  readonly source: Source
}

/**
 * A link is believed if its predecessor is known to the database, or is itself believed, or is missing and newer than the head: then all
 * that is left is what follows it.
 */
function* unbelieved(found: readonly Found[], { known, state, source }: Knowledge, gaps: Link[]): Generator<Unbelieved> {
  const believed = new Map<string, string>(known.links.map(({ manifest, sha256: sum }) => [manifest.manifest, sum]))
  const unread = new Set<string>(found.map(({ manifest }) => manifest.manifest))
  for (const { manifest: link } of found)
    for (const { manifest, sha256: sum } of [...joinedIn(link), ...setAsideIn(link)])
      if (!believed.has(manifest)) believed.set(manifest, sum)
  for (const { manifest: link, sha256: sum } of found) {
    const { manifest, previous } = link
    unread.delete(manifest)
    const why = ((): string | undefined => {
      if (link.source.engine !== source.engine || (state.head === null && link.source.database !== source.database))
        return `was written for the database ${link.source.database} (${link.source.engine}), and this one is ${source.database} (${source.engine})`
      if (previous === null) return state.head === null ? undefined : 'begins a chain of its own'
      const expected = believed.get(previous.manifest)
      if (expected === previous.sha256) return undefined
      if (expected !== undefined) return `does not follow from ${previous.manifest} as it is: one of the two was altered`
      if (unread.has(previous.manifest)) return `follows from ${previous.manifest}, which is newer`
      if (state.head !== null && positionOf(previous.manifest) <= positionOf(state.head.manifest))
        return 'follows from nothing that this database knows'
      gaps.push(previous)
      believed.set(previous.manifest, previous.sha256)
      return undefined
    })()
    if (why === undefined) believed.set(manifest, sum)
    else yield { manifest, why }
  }
}

interface RemovalNotCarriedOut {
  readonly manifest: ArchivePath
  readonly files: readonly ArchivePath[]
}

/**
 * Anybody who can write to the folder can claim that files have expired. So a removal is taken in only if it has been carried out, and none
 * is carried out here.
 */
function removalsNotCarriedOut(found: readonly Found[], present: ReadonlySet<ArchivePath>): readonly RemovalNotCarriedOut[] {
  return found.flatMap((link) => {
    const files = [...removedBy([link])].map(rowsOf).filter((path) => present.has(path))
    return files.length === 0 ? [] : [{ manifest: link.manifest.manifest, files }]
  })
}

function isForked(found: readonly Found[]): boolean {
  const before = found.flatMap(({ manifest: { kind, previous } }) => (kind === 'rows' ? [previous?.manifest] : []))
  return new Set(before).size < before.length
}
