import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SHARED } from '../damage.ts'
import { DraftFolder } from './draft-folder.ts'
import type { FolderAccess } from './folder-access.ts'
import { Refused } from './guarded-tree.ts'
import { openFile } from './open-file.ts'
import { holdsRows, type ArchivePath } from './path.ts'
import { areDifferent } from './place.ts'
import type { Shelf, Spool, Store } from './store.ts'

/** Inside the table's folder, so that publishing is a move within one file system. */
export function spoolFolderOf(table: string): string {
  return `${table}/.writing`
}

/** The spool of a `FolderStore`. */
export class FolderSpool implements Spool {
  readonly prefix: string
  readonly shelf: Shelf
  readonly #access: FolderAccess
  readonly #drafts: DraftFolder

  constructor(access: FolderAccess, store: Store, prefix: string) {
    const drafts = new DraftFolder(access, spoolFolderOf(store.table), prefix)
    this.prefix = prefix
    this.#access = access
    this.#drafts = drafts
    this.shelf = shelfOf(drafts, store)
  }

  create(path: ArchivePath): Promise<FileHandle> {
    return this.#drafts.create(path)
  }

  write(path: ArchivePath, text: string): Promise<void> {
    return this.#drafts.write(path, text)
  }

  sync(): Promise<void> {
    return this.#drafts.sync()
  }

  holds(path: ArchivePath): Promise<boolean> {
    return this.#drafts.holds(path)
  }

  clean(beginning: string): Promise<void> {
    return this.#drafts.clean(beginning)
  }

  collides(path: ArchivePath): Promise<boolean> {
    return this.#access.guarded('cannot be read', path, () => areDifferent(this.#access.tree, this.#drafts.at(path), path))
  }

  /** The old names may come back after a power cut: publishing again, or cleaning, removes them. */
  publish(paths: readonly ArchivePath[]): Promise<void> {
    return this.#access.guarded('cannot be put in its place', paths[0] ?? '', async () => {
      const waiting: ArchivePath[] = []
      for (const path of paths) {
        if (await this.holds(path)) waiting.push(path)
        else if (!(await this.#access.isThere(path))) throw new Error(`${path} is neither there nor waiting to be moved there`)
      }
      const moves = (of: readonly ArchivePath[]) => of.map((to) => ({ from: this.#drafts.at(to), to }))
      const stages = [moves(waiting.filter((path) => !holdsRows(path))), moves(waiting.filter(holdsRows))]
      await this.#access.move(
        stages,
        new Set(paths.map((path) => dirname(path))),
        (to) => new Refused(to, `another file has this place, and was left there. ${SHARED}`),
      )
    })
  }
}

/** Reads drafts before published files, because they may be published meanwhile. */
export function shelfOf(drafts: DraftFolder, store: Shelf): Shelf {
  return {
    absolute: (path) => store.absolute(path),
    open: async (path) => {
      const draft = await drafts.open(path)
      return draft === undefined ? await store.open(path) : openFile(draft)
    },
    read: async (path) => (await drafts.read(path)) ?? (await store.read(path)),
  }
}
