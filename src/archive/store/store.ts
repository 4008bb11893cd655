import type { FileHandle } from 'node:fs/promises'
import type { ArchivePath } from './path.ts'

/** A file of the archive, open for reading. The caller closes it. */
export interface OpenFile {
  readonly bytes: number
  /**
   * The file from its beginning, at most as long as it was when it was opened. May be called again: replacing the file under its name meanwhile has no effect, or
   * rejects. `reused`: the caller is done with each chunk before it takes the next.
   */
  chunks(how?: 'reused'): AsyncIterable<Buffer>
  close(): Promise<void>
}

/** Read access to files of the archive. */
export interface Shelf {
  /** For messages: the absolute path of a file, or of a problem that begins with a path. */
  absolute(path: string): string
  /** For manifests, which are short. `undefined`: there is none. */
  read(path: ArchivePath): Promise<Buffer | undefined>
  /** `undefined`: there is none. The caller closes it. */
  open(path: ArchivePath): Promise<OpenFile | undefined>
}

/**
 * The published files of one table. They are named only by paths of the archive's form; whatever is at such a path and cannot be trusted is
 * refused. Failures reject with `ARCHIVE_FAILED`, refusals with `ARCHIVE_DAMAGED`.
 */
export interface Store extends Shelf {
  /** For messages. */
  readonly root: string
  readonly table: string
  /** Whether all of it may be gone at any moment, as with a volume that is unmounted. */
  readonly mayVanish: boolean
  /** Whether a file may still appear after the process that published it has died; see `DiscardedFiles`. */
  readonly publishesLate: boolean
  /** How many manifests are read at a time: each takes memory, and over a network also time. */
  readonly readsAtOnce: number
  /** Creates what is missing. Rejects if files that are being written have no place, or too little. */
  make(): Promise<void>
  /** A warning to log when the archive is opened; `undefined`: none. */
  warning(): Promise<string | undefined>
  /** What was found out since the last call and does not keep a run from its work; each is said once. */
  takeNotes(): readonly string[]
  exists(path: ArchivePath): Promise<boolean>
  /**
   * Removes those that exist; all are checked before the first is removed. Returns those that stay because the store lets nobody, or not us, remove them:
   * where a bucket locks its objects for some time.
   */
  remove(paths: readonly ArchivePath[]): Promise<readonly ArchivePath[]>
  /** Moves those that exist to the same paths below `reconciled/`. */
  setAside(paths: readonly ArchivePath[]): Promise<void>
  /** Every published file, the oldest days first, a day at a time. Rejects if anything else lies among them. */
  files(): AsyncGenerator<ArchivePath>
  /** The same, all at once, sorted. */
  list(): Promise<readonly ArchivePath[]>
  /** Like `list`, for looking for problems: returns them instead of rejecting. */
  inspect(): Promise<Listing>
  /** What is known of each published file without opening one. Leaves out what is refused. */
  facts(): Promise<ReadonlyMap<ArchivePath, FileFacts>>
  /** The MD5 of a file's content, as the store says it for sure. `undefined`: it does not. */
  md5(path: ArchivePath): Promise<string | undefined>
  /** `prefix`: see `Spool`. */
  spool(prefix: string): Spool
}

export interface FileFacts {
  readonly bytes: number
  /** As a list has it, which cannot be relied on: see `md5`. `undefined`: it has none. */
  readonly md5: string | undefined
}

export interface Listing {
  /** Sorted. */
  readonly paths: readonly ArchivePath[]
  /** What is not accepted as part of the archive; each begins with its path. */
  readonly problems: readonly string[]
}

/**
 * Files on their way into a store. They may be lost with the machine at any time: no row that is deleted from the database has its only
 * copy here. Databases that archive to the same folder have spools of different prefixes, and no spool takes or removes a file of another.
 */
export interface Spool {
  readonly prefix: string
  /** Creates a file that will be published under `path`. It must not exist yet. */
  create(path: ArchivePath): Promise<FileHandle>
  /** When it resolves, the content is synced, but not yet the name: see `sync`. */
  write(path: ArchivePath, text: string): Promise<void>
  /** After this everything written is durable, including the names. */
  sync(): Promise<void>
  /** Whether a file is waiting to be published under `path`. */
  holds(path: ArchivePath): Promise<boolean>
  /** Whether a different file has been published under `path`. The same file has both names if the process died while publishing it. */
  collides(path: ArchivePath): Promise<boolean>
  /**
   * Publishes complete files, skipping those that are published already, and never over another file. Durable when it resolves. Manifests
   * come first, so that no file of rows is without its manifest if the spool is lost in between.
   */
  publish(paths: readonly ArchivePath[]): Promise<void>
  /** Removes unfinished files of this spool whose names begin with `beginning`. */
  clean(beginning: string): Promise<void>
  /** Reads files of a step, which may not be published yet: from the spool before the store, because a run may publish them meanwhile. */
  readonly shelf: Shelf
}
