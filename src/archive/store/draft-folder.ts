import { open, readdir, rm, type FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'
import { syncFolder } from '../../files.ts'
import { MOST_MANIFEST_BYTES } from '../format.ts'
import { rowsFirst, type FolderAccess } from './folder-access.ts'
import type { OpenHandle } from './guarded-tree.ts'
import { NAME, type ArchivePath } from './path.ts'

const FILE_MODE = 0o600

/** The folder of this machine in which files of a spool are written, each under its own name with the spool's prefix before it. */
export class DraftFolder {
  readonly prefix: string
  readonly #access: FolderAccess
  readonly #folder: string

  constructor(access: FolderAccess, folder: string, prefix: string) {
    this.#access = access
    this.#folder = folder
    this.prefix = prefix
  }

  /** Below the root of the access. */
  at(path: ArchivePath): string {
    return `${this.#folder}/${this.prefix}${basename(path)}`
  }

  create(path: ArchivePath): Promise<FileHandle> {
    return this.#access.guarded('cannot be written', this.at(path), async () => {
      await this.#access.tree.passes(this.#folder)
      // Exclusive: an existing file or link of this name is neither followed nor written to.
      return await open(this.#access.absolute(this.at(path)), 'wx', FILE_MODE)
    })
  }

  async write(path: ArchivePath, text: string): Promise<void> {
    const handle = await this.create(path)
    await this.#access.guarded('cannot be written', this.at(path), async () => {
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
    return this.#access.guarded('cannot be looked at', this.at(path), () => this.#access.isThere(this.at(path)))
  }

  open(path: ArchivePath): Promise<OpenHandle | undefined> {
    return this.#access.guarded('cannot be read', this.at(path), () => this.#access.tree.open(this.at(path)))
  }

  read(path: ArchivePath): Promise<Buffer | undefined> {
    return this.#access.guarded('cannot be read', this.at(path), () => this.#access.tree.read(this.at(path), MOST_MANIFEST_BYTES))
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
}
