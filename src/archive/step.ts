import type { EpochMs } from '../time/clock.ts'
import type { Link } from './format.ts'
import type { ArchivePath } from './store/path.ts'

/** Pending files: complete, and in their places or on the way there. */
export interface Step {
  readonly run: number
  /** How the names of its files begin until they are in their places. */
  readonly drafts: string
  /** In the order of the chain. */
  readonly files: readonly StepFile[]
  /** What goes when the step is done: files that these replace, or whose time has come. */
  readonly obsolete: readonly ArchivePath[]
  /** What becomes of files that an earlier state of this database knew nothing of; see `reconcile.ts`. */
  readonly reconciled?: { readonly joined: readonly ArchivePath[]; readonly setAside: readonly ArchivePath[] } | undefined
  /**
   * Drafts that are being published to become the step after this one. Until they have, they vouch for nothing, and whoever finds them here discards them:
   * see `Archive.replace`.
   */
  readonly successors?: readonly ArchivePath[] | undefined
  /** By how much the archive grows, in rows, bytes on disk and files; negative where files are removed. */
  readonly growth: Growth
  /** The latest time of a row in it. */
  readonly newestAt: EpochMs | null
}

export interface StepFile extends Link {
  /** Of the rows; a removal has none. */
  readonly path?: ArchivePath
  readonly rows: number
}

export interface Growth {
  readonly rows: number
  readonly bytes: number
  readonly files: number
}

export const NO_GROWTH: Growth = { rows: 0, bytes: 0, files: 0 }

/** One that brings nothing and removes nothing. */
export const NO_STEP = { files: [], obsolete: [], growth: NO_GROWTH, newestAt: null } as const

export function pathsOf({ path, manifest }: { readonly path?: ArchivePath; readonly manifest: ArchivePath }): ArchivePath[] {
  return path === undefined ? [manifest] : [path, manifest]
}
