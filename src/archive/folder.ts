import { constants } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { MaintenanceError, messageOf } from '../errors.ts'
import { concurrently } from './concurrently.ts'
import { writingFolder } from './format.ts'

const FOLDER_MODE = 0o700
const FILE_MODE = 0o600
const AT_ONCE = 8

/** The archive's folder for one table. Everything is named by its path below `root`; what fails is told as `ARCHIVE_FAILED`. */
export class ArchiveFolder {
  readonly root: string
  readonly #table: string

  constructor(root: string, table: string) {
    this.root = root
    this.#table = table
  }

  /** Makes what is missing. */
  make(): Promise<void> {
    return this.#guarded('cannot be made', this.root, async () => {
      const writing = join(this.root, writingFolder(this.#table))
      const made = await mkdir(writing, { recursive: true, mode: FOLDER_MODE })
      await this.#sync([writing])
      if (made === undefined) return
      // Above the archive's folder only what was made here is ours to look after.
      for (let folder = dirname(this.root); folder.length >= dirname(made).length; folder = dirname(folder)) await syncFolder(folder)
    })
  }

  exists(path: string): Promise<boolean> {
    return this.#guarded('cannot be looked at', path, async () => (await stat(join(this.root, path)).catch(absent)) !== undefined)
  }

  /** `undefined`: there is none. */
  read(path: string): Promise<Buffer | undefined> {
    return this.#guarded('cannot be read', path, () => readFile(join(this.root, path)).catch(absent))
  }

  absolute(path: string): string {
    return join(this.root, path)
  }

  /** A new file that will be published under `path`. It must not be there yet. */
  create(path: string): Promise<FileHandle> {
    return this.#guarded('cannot be written', path, () => open(this.#writing(path), 'wx', FILE_MODE))
  }

  async write(path: string, text: string): Promise<void> {
    const handle = await this.create(path)
    await this.#guarded('cannot be written', path, async () => {
      try {
        await handle.writeFile(text)
        await handle.sync()
      } finally {
        await handle.close()
      }
    })
  }

  /** What was written is durable, names and all, before anybody else is told of it. */
  syncWriting(): Promise<void> {
    return this.#guarded('cannot be written', writingFolder(this.#table), () => syncFolder(join(this.root, writingFolder(this.#table))))
  }

  /** Moves complete files to their places, those that have not been moved before. */
  publish(paths: readonly string[]): Promise<void> {
    return this.#guarded('cannot be put in its place', paths[0] ?? this.root, async () => {
      const folders = new Set(paths.map((path) => dirname(join(this.root, path))))
      for (const folder of folders) await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
      await concurrently(AT_ONCE, paths, async (path) => {
        const moved = await rename(this.#writing(path), join(this.root, path)).then(() => true, absent)
        if (moved === undefined) await stat(join(this.root, path))
      })
      await this.#sync(folders)
    })
  }

  /** Those that are there. */
  remove(paths: readonly string[]): Promise<void> {
    return this.#guarded('cannot be removed', paths[0] ?? this.root, async () => {
      for (const path of paths) await rm(join(this.root, path), { force: true })
      for (const folder of new Set(paths.map((path) => dirname(join(this.root, path))))) await syncFolder(folder).catch(absent)
    })
  }

  /** What was left half-written, of the files whose names begin so. */
  clean(prefix: string): Promise<void> {
    return this.#guarded('cannot be cleaned', writingFolder(this.#table), async () => {
      const folder = join(this.root, writingFolder(this.#table))
      for (const name of await readdir(folder)) if (name.startsWith(prefix)) await rm(join(folder, name), { force: true })
    })
  }

  /** Every file of the table that is in its place, sorted. */
  list(): Promise<readonly string[]> {
    return this.#guarded('cannot be read', this.#table, async () => {
      const entries = await readdir(join(this.root, this.#table), { recursive: true, withFileTypes: true }).catch(absent)
      const paths = (entries ?? [])
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name).slice(this.root.length + 1))
      return paths.filter((path) => !path.startsWith(`${writingFolder(this.#table)}/`)).toSorted()
    })
  }

  #writing(path: string): string {
    return join(this.root, writingFolder(this.#table), basename(path))
  }

  /** These folders and those that they lie in, up to the root: one that was made by a run that then crashed may not be durable yet. */
  async #sync(folders: Iterable<string>): Promise<void> {
    const all = new Set([this.root])
    for (let folder of folders) for (; folder.length > this.root.length; folder = dirname(folder)) all.add(folder)
    await concurrently(AT_ONCE, all, syncFolder)
  }

  async #guarded<T>(what: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw archiveFailed(`${join(this.root, path === this.root ? '' : path)} ${what}: ${messageOf(error)}`, error)
    }
  }
}

const ADVICE = 'Rows that are not in the archive were not deleted. See that ARCHIVE_DIRECTORY is there, writable by this user, and has room'

export function archiveFailed(problem: string, cause?: unknown): MaintenanceError {
  return new MaintenanceError('ARCHIVE_FAILED', `the archive: ${problem}. ${ADVICE}`, { cause })
}

function absent(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined
  throw error
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
