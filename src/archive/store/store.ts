import type { FileHandle } from 'node:fs/promises'
import type { OpenFile } from './guarded-tree.ts'
import type { ArchivePath } from './path.ts'

/** Where files are read. */
export interface Shelf {
  /** For people: where a file lies, or what is wrong with it if the text begins with its path. */
  absolute(path: string): string
  /** `undefined`: there is none. For manifests, which are short. */
  read(path: ArchivePath): Promise<Buffer | undefined>
  /** `undefined`: there is none. The caller closes it. */
  open(path: ArchivePath): Promise<OpenFile | undefined>
}

/**
 * The published files of one table. They are named by places of the archive's form only; what lies in such a place and cannot be trusted is refused.
 * Failures reject with `ARCHIVE_FAILED`, refusals with `ARCHIVE_DAMAGED`.
 */
export interface Store extends Shelf {
  /** For people. */
  readonly root: string
  readonly table: string
  /** Creates what is missing. */
  make(): Promise<void>
  /** A warning to log when the archive is opened; `undefined`: none. */
  warning(): Promise<string | undefined>
  exists(path: ArchivePath): Promise<boolean>
  /** Those that are there; all are looked at before the first goes. */
  remove(paths: readonly ArchivePath[]): Promise<void>
  /** Moves those that are there to the same places below `reconciled/`. */
  setAside(paths: readonly ArchivePath[]): Promise<void>
  /** Every published file, the oldest days first, a day at a time. Rejects if anything else lies among them. */
  files(): AsyncGenerator<ArchivePath>
  /** The same, all at once, sorted. */
  list(): Promise<readonly ArchivePath[]>
  /** For those who look for what is wrong. */
  inspect(): Promise<Listing>
  /** `prefix`: see `Spool`. */
  spool(prefix: string): Spool
}

export interface Listing {
  /** Sorted. */
  readonly paths: readonly ArchivePath[]
  /** What is not taken for a part of the archive; each begins with its path. */
  readonly problems: readonly string[]
}

/**
 * Files on their way into a store. They may be lost with the machine at any time: no row that is deleted from the database has its only copy here.
 * Two databases that archive to one folder have spools of different prefixes, and neither takes, nor removes, a file of the other's.
 */
export interface Spool {
  readonly prefix: string
  /** A new file that will be published under `path`. It must not be there yet. */
  create(path: ArchivePath): Promise<FileHandle>
  /** Complete and synced when it resolves, without its name: see `sync`. */
  write(path: ArchivePath, text: string): Promise<void>
  /** After this everything written is durable, names and all. */
  sync(): Promise<void>
  /** Whether it is complete and not published yet. */
  holds(path: ArchivePath): Promise<boolean>
  /** Whether another file than this one has been published under the name. One that was being published when the process died has both names. */
  collides(path: ArchivePath): Promise<boolean>
  /**
   * Publishes complete files, skipping those that have been published, and never over another file; durable when it resolves. Manifests come first, so
   * that no file of rows is without its manifest if the spool is lost in between.
   */
  publish(paths: readonly ArchivePath[]): Promise<void>
  /** Removes what was left unfinished by runs whose files' names begin with `beginning`. */
  clean(beginning: string): Promise<void>
  /** The files of a step, which may not be published yet: the spool is read before the store, because a run may publish them meanwhile. */
  readonly shelf: Shelf
}
