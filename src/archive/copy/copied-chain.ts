import { removedBy, type Found } from '../read/chain.ts'
import type { Look } from '../read/look.ts'
import { fileIn, type Link, type RowsFile } from '../format.ts'
import type { ArchivePath } from '../store/path.ts'

/** A link of the chain, with its file of rows, if it has one that is still there. */
export interface Piece {
  readonly link: Link
  readonly file: RowsFile | undefined
}

/** What a copy of an archive holds: its chain at one moment. */
export interface CopiedChain {
  readonly head: Link
  /** Oldest first: the newest comes last, so that no run takes half a copy for the archive. */
  readonly pieces: readonly Piece[]
  readonly links: ReadonlyMap<ArchivePath, Link>
  readonly files: ReadonlyMap<ArchivePath, RowsFile>
  /** The manifests of files that had expired. */
  readonly removed: ReadonlySet<ArchivePath>
}

/** Of an archive that is whole; `undefined`: nothing was archived yet. */
export function chainOf({ state: { head }, links }: Pick<Look, 'state' | 'links'>): CopiedChain | undefined {
  if (head === null) return undefined
  const removed = removedBy(links)
  const pieces = links.toReversed().map(({ manifest, sha256 }: Found): Piece => {
    const link = { manifest: manifest.manifest, sha256 }
    return { link, file: removed.has(link.manifest) ? undefined : fileIn(manifest) }
  })
  return {
    head,
    pieces,
    links: new Map(pieces.map(({ link }) => [link.manifest, link])),
    files: new Map(pieces.flatMap(({ file }) => (file === undefined ? [] : [[file.path, file] as const]))),
    removed,
  }
}
