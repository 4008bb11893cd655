import type { EpochMs } from '../time/clock.ts'
import type { Link } from './format.ts'
import type { ArchivePath } from './store/path.ts'

/** Pending files: complete, and published or being published. */
export interface Step {
  readonly run: number
  /** How the names of its files begin until they are published; see `Spool`. */
  readonly drafts: string
  /** In the order of the chain. */
  readonly files: readonly StepFile[]
  /** Files to remove when the step is done, because `files` replaces them or because they have expired. */
  readonly obsolete: readonly ArchivePath[]
  /** What becomes of files that the database did not know; see `reconcile.ts`. */
  readonly reconciled?: { readonly joined: readonly ArchivePath[]; readonly setAside: readonly ArchivePath[] } | undefined
  /**
   * Drafts that are being published to become the next step. Until they are that step they vouch for nothing, and settling discards them;
   * see `Archive.replace`.
   */
  readonly successors?: readonly ArchivePath[] | undefined
  /** By how much the archive grows, in rows, bytes on disk and files; negative where files are removed. */
  readonly growth: Growth
  /** The latest time among its rows. */
  readonly newestAt: EpochMs | null
}

export interface StepFile extends Link {
  /** The file of rows; a removal has none. */
  readonly path?: ArchivePath
  readonly rows: number
}

export interface Growth {
  readonly rows: number
  readonly bytes: number
  readonly files: number
}

export const NO_GROWTH: Growth = { rows: 0, bytes: 0, files: 0 }

/** A step that adds and removes nothing. */
export const NO_STEP = { files: [], obsolete: [], growth: NO_GROWTH, newestAt: null } as const

export function pathsOf({ path, manifest }: { readonly path?: ArchivePath; readonly manifest: ArchivePath }): ArchivePath[] {
  return path === undefined ? [manifest] : [path, manifest]
}
