import type { ArchiveFolder } from './folder.ts'
import { FORMAT, MANIFEST_SUFFIX, sha256, type Link, type Manifest } from './format.ts'

export interface Found {
  readonly manifest: Manifest
  readonly sha256: string
}

export interface Chain {
  /** By path, those that could be read. */
  readonly found: ReadonlyMap<string, Found>
  /** Newest first. */
  readonly links: readonly Found[]
  readonly problems: readonly string[]
}

/**
 * Follows the chain from its newest link to its first. What a link names and is not as it was is a problem; behind it the chain is taken up
 * again by the next older manifest, so that one loss does not hide another.
 */
export async function readChain(folder: ArchiveFolder, paths: readonly string[], head: Link | null): Promise<Chain> {
  const problems: string[] = []
  const found = new Map<string, Found>()
  for (const path of paths) {
    if (!path.endsWith(MANIFEST_SUFFIX)) continue
    const bytes = await folder.read(path)
    const manifest = bytes === undefined ? undefined : parsed(bytes)
    if (bytes === undefined || manifest === undefined) problems.push(`${path}: is not a manifest of this format`)
    else found.set(path, { manifest, sha256: sha256(bytes) })
  }

  const links: Found[] = []
  const left = new Map(found)
  for (let link = head; link !== null;) {
    const next = left.get(link.manifest)
    left.delete(link.manifest)
    const whole = next?.sha256 === link.sha256
    if (next === undefined) problems.push(`${link.manifest}: is missing`)
    else if (!whole) problems.push(`${link.manifest}: was altered after it was written`)
    if (next !== undefined) links.push(next)
    // What an altered one says of the one before it is not to be trusted.
    link = next !== undefined && whole ? next.manifest.previous : takenUp(left, positionOf(link.manifest))
  }
  for (const path of left.keys()) problems.push(`${path}: is not in the chain`)
  return { found, links, problems }
}

/** The newest of those that are older. */
function takenUp(left: ReadonlyMap<string, Found>, below: number): Link | null {
  let best: Link | null = null
  for (const [path, { sha256: sum }] of left) {
    const position = positionOf(path)
    if (position < below && (best === null || position > positionOf(best.manifest))) best = { manifest: path, sha256: sum }
  }
  return best
}

/** The number in a file's name; 0: it has none. */
export function positionOf(path: string): number {
  return Number(/\/\d+-(\d+)\.(?:ndjson\.zst|json)$/.exec(path)?.[1] ?? 0)
}

function parsed(bytes: Buffer): Manifest | undefined {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- looked at in the next line
    const manifest = JSON.parse(bytes.toString()) as Manifest
    return manifest.format === FORMAT && typeof manifest.manifest === 'string' && manifest.previous !== undefined ? manifest : undefined
  } catch {
    return undefined
  }
}
