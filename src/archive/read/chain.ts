import { concurrently } from '../concurrently.ts'
import { removedIn, joinedIn, sha256, type Kept, type Link } from '../format.ts'
import { kept, parseManifest } from '../manifest.ts'
import type { Store } from '../store/store.ts'
import { refusedIn } from '../store/guarded-tree.ts'
import { holdsRows, positionOf, type ArchivePath } from '../store/path.ts'

export interface Found {
  readonly manifest: Kept
  readonly sha256: string
}

/** Each problem and each stray begins with a path. */
export interface Chain {
  /** Intact links, newest first: each has the digest that its successor names, from the head on. Nothing else is believed. */
  readonly links: readonly Found[]
  /** Links behind one that is missing or was altered. What is wrong with them is reported, but what they say does not count. */
  readonly unvouched: readonly Found[]
  /** Links that another link or the database names and that are missing or altered. */
  readonly problems: readonly string[]
  /** Files that no link names: they are not part of the archive. */
  readonly strays: readonly string[]
}

/** Where a chain begins: at the link that the database names or, if no database knows the archive, at the newest manifest in the folder. */
export type Head = Link | null | 'newest'

/**
 * Follows the chain from its head to its first link. After a missing or altered link it resumes at the next older manifest, so that one
 * loss does not hide another.
 */
export async function readChain(store: Store, paths: readonly ArchivePath[], head: Head): Promise<Chain> {
  const { found, unfit } = await readManifests(store, paths)
  const links: Found[] = []
  const unvouched: Found[] = []
  const problems: string[] = []
  const left = new Map(found)
  let vouched = true
  /** Returns the link if it is intact. */
  const take = (link: Link): Found | undefined => {
    const next = left.get(link.manifest)
    left.delete(link.manifest)
    const whole = next?.sha256 === link.sha256
    const other = unfit.get(link.manifest)
    unfit.delete(link.manifest)
    if (other?.why !== undefined) problems.push(`${link.manifest}: ${other.why}`)
    else if (other !== undefined && other.sha256 === link.sha256) problems.push(`${link.manifest}: is not a manifest of this format`)
    else if (next === undefined && other === undefined) problems.push(`${link.manifest}: is missing`)
    else if (!whole) problems.push(`${link.manifest}: was altered after it was written`)
    if (next !== undefined) (vouched && whole ? links : unvouched).push(next)
    return whole ? next : undefined
  }
  for (let link = head === 'newest' ? takenUp(left, Infinity) : head; link !== null;) {
    const next = take(link)
    vouched &&= next !== undefined
    // Joined links belong here, whatever they name as their predecessor.
    for (const joined of next === undefined ? [] : joinedIn(next.manifest)) take(joined)
    // The predecessor that an altered link names cannot be trusted.
    link = next === undefined ? takenUp(left, positionOf(link.manifest)) : next.manifest.previous
  }
  const strays = [
    ...[...unfit].map(([path, { why }]) => `${path}: ${why ?? strayText(path, head)}`),
    ...[...left.keys()].map((path) => `${path}: ${strayText(path, head)}`),
  ]
  return { links: links.toSorted(newestFirst), unvouched, problems, strays }
}

function strayText(path: ArchivePath, head: Head): string {
  const isNewer = head === null || (head !== 'newest' && positionOf(path) > positionOf(head.manifest))
  return isNewer
    ? 'is not in the chain, but newer than all that the database knows: see `archive reconcile --dry-run`'
    : 'is not in the chain, so nothing refers to it'
}

interface Manifests {
  readonly found: ReadonlyMap<ArchivePath, Found>
  /** Files that are no manifest, with their digest, and those that do not belong where they are, with the reason. */
  readonly unfit: Map<ArchivePath, Unfit>
}

interface Unfit {
  readonly why?: string
  readonly sha256?: string
}

async function readManifests(store: Store, paths: readonly ArchivePath[]): Promise<Manifests> {
  const found = new Map<ArchivePath, Found>()
  const unfit: Manifests['unfit'] = new Map()
  const manifests = paths.filter((path) => !holdsRows(path))
  const read = new Map<ArchivePath, Found | Unfit>()
  // Over a network, one after the other would take minutes for the manifests of some years.
  await concurrently(store.readsAtOnce, manifests, async (path) => {
    const bytes = await store.read(path).catch((error: unknown) => refusedIn(error) ?? Promise.reject(error))
    if (bytes === undefined) return
    const manifest = typeof bytes === 'string' ? undefined : parseManifest(bytes, path)
    if (typeof bytes === 'string') read.set(path, { why: bytes.slice(bytes.indexOf(': ') + 2) })
    else read.set(path, manifest === undefined ? { sha256: sha256(bytes) } : { manifest: inChain(kept(manifest)), sha256: sha256(bytes) })
  })
  for (const path of manifests) {
    const each = read.get(path)
    if (each === undefined) continue
    if ('manifest' in each) found.set(path, each)
    else unfit.set(path, each)
  }
  return { found, unfit }
}

/** Files that were set aside are out of the folder, and out of the chain. */
function inChain(manifest: Kept): Kept {
  return manifest.kind === 'reconciled' ? { ...manifest, setAside: [] } : manifest
}

function newestFirst(a: Found, b: Found): number {
  return b.manifest.position - a.manifest.position
}

/** The newest manifest with a number below `below`. */
function takenUp(left: ReadonlyMap<ArchivePath, Found>, below: number): Link | null {
  let best: Link | null = null
  for (const [path, { sha256: sum }] of left) {
    const position = positionOf(path)
    if (position < below && (best === null || position > positionOf(best.manifest))) best = { manifest: path, sha256: sum }
  }
  return best
}

/** The manifests of files that were removed after they had expired. */
export function removedBy(links: readonly Found[]): ReadonlySet<ArchivePath> {
  return new Set(links.flatMap(({ manifest }) => removedIn(manifest)))
}
