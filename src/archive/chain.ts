import type { ArchiveFolder } from './folder.ts'
import { refusedIn } from './guarded-tree.ts'
import { sha256, type Link, type Manifest } from './format.ts'
import { parseManifest } from './manifest.ts'
import { holdsRows, positionOf, type ArchivePath } from './path.ts'

export interface Found {
  readonly manifest: Manifest
  readonly sha256: string
}

export interface Chain {
  /** By path, those that could be read. */
  readonly found: ReadonlyMap<ArchivePath, Found>
  /** Newest first. */
  readonly links: readonly Found[]
  readonly problems: readonly string[]
}

/**
 * Follows the chain from its newest link to its first. What a link names and is not as it was is a problem; behind it the chain is taken up
 * again by the next older manifest, so that one loss does not hide another.
 */
export async function readChain(folder: ArchiveFolder, paths: readonly ArchivePath[], head: Link | null): Promise<Chain> {
  const problems: string[] = []
  const found = new Map<ArchivePath, Found>()
  /** By path, the digests of those that are no manifests, or do not belong where they lie. */
  const unfit = new Map<ArchivePath, string>()
  for (const path of paths) {
    if (holdsRows(path)) continue
    const bytes = await folder.read(path).catch((error: unknown) => refusedIn(error) ?? Promise.reject(error))
    if (bytes === undefined) continue
    if (typeof bytes === 'string') {
      problems.push(bytes)
      continue
    }
    const manifest = parseManifest(bytes, path)
    if (manifest === undefined) unfit.set(path, sha256(bytes))
    else found.set(path, { manifest, sha256: sha256(bytes) })
  }

  const links: Found[] = []
  const left = new Map(found)
  for (let link = head; link !== null;) {
    const next = left.get(link.manifest)
    left.delete(link.manifest)
    const whole = next?.sha256 === link.sha256
    const unfitSum = unfit.get(link.manifest)
    unfit.delete(link.manifest)
    if (unfitSum === link.sha256) problems.push(`${link.manifest}: is not a manifest of this format`)
    else if (next === undefined && unfitSum === undefined) problems.push(`${link.manifest}: is missing`)
    else if (!whole) problems.push(`${link.manifest}: was altered after it was written`)
    if (next !== undefined) links.push(next)
    // What an altered one says of the one before it is not to be trusted.
    link = next !== undefined && whole ? next.manifest.previous : takenUp(left, positionOf(link.manifest))
  }
  for (const path of [...left.keys(), ...unfit.keys()]) problems.push(`${path}: is not in the chain`)
  return { found, links, problems }
}

/** The newest of those that are older. */
function takenUp(left: ReadonlyMap<ArchivePath, Found>, below: number): Link | null {
  let best: Link | null = null
  for (const [path, { sha256: sum }] of left) {
    const position = positionOf(path)
    if (position < below && (best === null || position > positionOf(best.manifest))) best = { manifest: path, sha256: sum }
  }
  return best
}
