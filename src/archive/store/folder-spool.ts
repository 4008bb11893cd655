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
export class FolderSpool extends DraftFolder implements Spool {
  readonly shelf: Shelf
  readonly #access: FolderAccess

  constructor(access: FolderAccess, store: Store, prefix: string) {
    super(access, spoolFolderOf(store.table), prefix)
    this.#access = access
    this.shelf = shelfOf(this, store)
  }

  collides(path: ArchivePath): Promise<boolean> {
    return this.#access.guarded('cannot be read', path, () => areDifferent(this.#access.tree, this.at(path), path))
  }

  /** The old names may come back after a power cut: publishing again, or cleaning, removes them. */
  publish(paths: readonly ArchivePath[]): Promise<void> {
    return this.#access.guarded('cannot be put in its place', paths[0] ?? '', async () => {
      const waiting: ArchivePath[] = []
      for (const path of paths) {
        if (await this.holds(path)) waiting.push(path)
        else if (!(await this.#access.isThere(path))) throw new Error(`${path} is neither there nor waiting to be moved there`)
      }
      const moves = (of: readonly ArchivePath[]) => of.map((to) => ({ from: this.at(to), to }))
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
