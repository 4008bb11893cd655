import { open, readdir, rm, type FileHandle } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { syncFolder } from '../../files.ts'
import { SHARED } from '../damage.ts'
import { MOST_MANIFEST_BYTES } from '../format.ts'
import { rowsFirst, type FolderAccess } from './folder-access.ts'
import { Refused } from './guarded-tree.ts'
import { holdsRows, NAME, type ArchivePath } from './path.ts'
import { areDifferent } from './place.ts'
import type { Shelf, Spool, Store } from './store.ts'

const FILE_MODE = 0o600

/** Inside the table's folder, so that publishing is a move within one file system. */
export function spoolFolderOf(table: string): string {
  return `${table}/.writing`
}

/** The spool of a `FolderStore`. */
export class FolderSpool implements Spool {
  readonly prefix: string
  readonly shelf: Shelf
  readonly #access: FolderAccess
  readonly #folder: string

  constructor(access: FolderAccess, store: Store, prefix: string) {
    this.prefix = prefix
    this.#access = access
    this.#folder = spoolFolderOf(store.table)
    this.shelf = {
      absolute: (path) => store.absolute(path),
      open: async (path) =>
        (await access.guarded('cannot be read', path, () => access.tree.open(this.#at(path)))) ?? (await store.open(path)),
      read: async (path) =>
        (await access.guarded('cannot be read', path, () => access.tree.read(this.#at(path), MOST_MANIFEST_BYTES))) ??
        (await store.read(path)),
    }
  }

  create(path: ArchivePath): Promise<FileHandle> {
    return this.#access.guarded('cannot be written', path, async () => {
      await this.#access.tree.passes(this.#folder)
      // Exclusive: an existing file or link of this name is neither followed nor written to.
      return await open(this.#access.absolute(this.#at(path)), 'wx', FILE_MODE)
    })
  }

  async write(path: ArchivePath, text: string): Promise<void> {
    const handle = await this.create(path)
    await this.#access.guarded('cannot be written', path, async () => {
      try {
        await handle.writeFile(text)
        await handle.sync()
      } finally {
        await handle.close()
      }
    })
  }

  sync(): Promise<void> {
    return this.#access.guarded('cannot be written', this.#folder, () => syncFolder(this.#access.absolute(this.#folder)))
  }

  holds(path: ArchivePath): Promise<boolean> {
    return this.#access.guarded('cannot be looked at', path, () => this.#access.isThere(this.#at(path)))
  }

  collides(path: ArchivePath): Promise<boolean> {
    return this.#access.guarded('cannot be read', path, () => areDifferent(this.#access.tree, this.#at(path), path))
  }

  /** The old names may come back after a power cut: publishing again, or cleaning, removes them. */
  publish(paths: readonly ArchivePath[]): Promise<void> {
    return this.#access.guarded('cannot be put in its place', paths[0] ?? '', async () => {
      const waiting: ArchivePath[] = []
      for (const path of paths) {
        if (await this.#access.isThere(this.#at(path))) waiting.push(path)
        else if (!(await this.#access.isThere(path))) throw new Error(`${path} is neither there nor waiting to be moved there`)
      }
      const moves = (of: readonly ArchivePath[]) => of.map((to) => ({ from: this.#at(to), to }))
      const stages = [moves(waiting.filter((path) => !holdsRows(path))), moves(waiting.filter(holdsRows))]
      await this.#access.move(
        stages,
        new Set(paths.map((path) => dirname(path))),
        (to) => new Refused(to, `another file has this place, and was left there. ${SHARED}`),
      )
    })
  }

  /** Files with names that are not ours stay. */
  clean(beginning: string): Promise<void> {
    return this.#access.guarded('cannot be cleaned', this.#folder, async () => {
      if (!(await this.#access.tree.passes(this.#folder))) return
      const folder = this.#access.absolute(this.#folder)
      const names = (await readdir(folder)).filter(
        (name) => name.startsWith(this.prefix + beginning) && NAME.test(name.slice(this.prefix.length)),
      )
      const [rows, manifests] = rowsFirst(names)
      for (const name of rows) await rm(`${folder}/${name}`, { force: true })
      if (rows.length > 0 && manifests.length > 0) await syncFolder(folder)
      for (const name of manifests) await rm(`${folder}/${name}`, { force: true })
    })
  }

  #at(path: ArchivePath): string {
    return `${this.#folder}/${this.prefix}${basename(path)}`
  }
}
