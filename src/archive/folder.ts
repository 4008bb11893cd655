import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { MaintenanceError, messageOf } from '../errors.ts'
import { concurrently } from './concurrently.ts'
import { archiveFailed, damaged } from './damage.ts'
import { absent, FOLDER_MODE, foldersTo, GuardedTree, Refused, syncFolder, type OpenFile } from './guarded-tree.ts'
import { NAME, RECONCILED, type ArchivePath } from './path.ts'
import { writableByAll } from './refusal.ts'
import { walk } from './walk.ts'

const FILE_MODE = 0o600
const AT_ONCE = 8
/** Of a manifest: one that names a thousand others has a fifth of it. */
const MOST_MANIFEST_BYTES = 2 ** 20
/** Where files lie until they are complete. */
const WRITING = '.writing'

/** What lies in the folder of a table. */
export interface Listing {
  /** Sorted. */
  readonly paths: readonly ArchivePath[]
  /** What is not taken for a part of the archive; each begins with its path. */
  readonly problems: readonly string[]
}

/**
 * The archive's folder for one table, and the one door to it: it takes places of the archive's form only, and of what lies there only regular files
 * in folders that are no links and that no stranger can write to. The root is the operator's: it may be a link, a mount point, and anybody's.
 * What fails is told as `ARCHIVE_FAILED`, what is refused as `ARCHIVE_DAMAGED`.
 */
export class ArchiveFolder {
  readonly root: string
  readonly table: string
  readonly #tree: GuardedTree

  /** `uid`: who this process is. */
  constructor(root: string, table: string, uid: number | undefined) {
    this.root = root
    this.table = table
    this.#tree = new GuardedTree(root, uid)
  }

  /** Makes what is missing. */
  make(): Promise<void> {
    return this.#guarded('cannot be made', '', async () => {
      const made = await mkdir(this.root, { recursive: true, mode: FOLDER_MODE })
      await this.#tree.ensure(this.#writingFolder)
      await this.#sync([this.#writingFolder])
      if (made === undefined) return
      // Above the archive's folder only what was made here is ours to look after.
      for (let folder = dirname(this.root); folder.length >= dirname(made).length; folder = dirname(folder)) await syncFolder(folder)
    })
  }

  /** What whoever opens the archive says once; `undefined`: nothing. */
  async warning(): Promise<string | undefined> {
    const stats = await stat(this.root).catch(() => undefined)
    if (stats === undefined || !writableByAll(stats)) return undefined
    return (
      `everybody may write to the archive's folder ${this.root}, and so may take its files away or put others there; archive verify names what is ` +
      `missing, and cannot bring it back: chmod o-w ${this.root}`
    )
  }

  exists(path: ArchivePath): Promise<boolean> {
    return this.#guarded('cannot be looked at', path, () => this.#isThere(path))
  }

  /** Whether it is complete, and not in its place yet. */
  isWaiting(path: ArchivePath): Promise<boolean> {
    return this.#guarded('cannot be looked at', path, () => this.#isThere(this.#writing(path)))
  }

  /** `undefined`: there is none. For manifests, which are short. */
  read(path: ArchivePath): Promise<Buffer | undefined> {
    return this.#guarded('cannot be read', path, () => this.#tree.read(path, MOST_MANIFEST_BYTES))
  }

  /** `undefined`: there is none. To be closed by who asked for it. */
  open(path: ArchivePath): Promise<OpenFile | undefined> {
    return this.#guarded('cannot be read', path, () => this.#tree.open(path))
  }

  /** The files of a step, which may not be in their places yet: those that wait come first, as they do when they are published. */
  get inHand(): Pick<ArchiveFolder, 'root' | 'open' | 'read'> {
    // In this order: a run may move it meanwhile.
    return {
      root: this.root,
      open: (path) =>
        this.#guarded('cannot be read', path, async () => (await this.#tree.open(this.#writing(path))) ?? (await this.#tree.open(path))),
      read: (path) =>
        this.#guarded(
          'cannot be read',
          path,
          async () =>
            (await this.#tree.read(this.#writing(path), MOST_MANIFEST_BYTES)) ?? (await this.#tree.read(path, MOST_MANIFEST_BYTES)),
        ),
    }
  }

  /** For people: what is done to files goes by their places. */
  absolute(path: ArchivePath): string {
    return join(this.root, path)
  }

  /** A new file that will be published under `path`. It must not be there yet. */
  create(path: ArchivePath): Promise<FileHandle> {
    return this.#guarded('cannot be written', path, async () => {
      await this.#tree.passes(this.#writingFolder)
      // Exclusive: what has the name already is not followed, nor written to.
      return await open(join(this.root, this.#writing(path)), 'wx', FILE_MODE)
    })
  }

  async write(path: ArchivePath, text: string): Promise<void> {
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
    return this.#guarded('cannot be written', this.#writingFolder, () => syncFolder(join(this.root, this.#writingFolder)))
  }

  /** Moves complete files to their places, those that have not been moved before. */
  publish(paths: readonly ArchivePath[]): Promise<void> {
    return this.#guarded('cannot be put in its place', paths[0] ?? '', async () => {
      const folders = new Set(paths.map((path) => dirname(path)))
      for (const folder of folders) await this.#tree.ensure(folder)
      await concurrently(AT_ONCE, paths, async (path) => {
        const writing = this.#writing(path)
        if (await this.#isThere(writing)) await rename(join(this.root, writing), join(this.root, path))
        else if (!(await this.#isThere(path))) throw new Error('it is neither there nor waiting to be moved there')
      })
      await this.#sync(folders)
    })
  }

  /** Those that are there; all are looked at before the first goes. */
  remove(paths: readonly ArchivePath[]): Promise<void> {
    return this.#guarded('cannot be removed', paths[0] ?? '', async () => {
      const there: ArchivePath[] = []
      for (const path of paths) if (await this.#isThere(path)) there.push(path)
      for (const path of there) await rm(join(this.root, path), { force: true })
      for (const folder of new Set(paths.map((path) => join(this.root, dirname(path))))) await syncFolder(folder).catch(absent)
    })
  }

  /** Moves those that are there to the same places below `reconciled/`. */
  setAside(paths: readonly ArchivePath[]): Promise<void> {
    return this.#guarded('cannot be set aside', paths[0] ?? '', async () => {
      const folders = new Set<string>()
      for (const path of paths) {
        if (!(await this.#isThere(path))) continue
        const aside = `${RECONCILED}/${path}`
        await this.#tree.ensure(dirname(aside))
        if (await this.#isThere(aside)) throw new Error(`${aside} is there already: move it out of the archive's folder, and keep it`)
        await rename(join(this.root, path), join(this.root, aside))
        folders.add(dirname(aside)).add(dirname(path))
      }
      await this.#sync(folders)
    })
  }

  /** What was left half-written, of the files whose names begin so. What has a name that is none of ours stays. */
  clean(prefix: string): Promise<void> {
    return this.#guarded('cannot be cleaned', this.#writingFolder, async () => {
      if (!(await this.#tree.passes(this.#writingFolder))) return
      const folder = join(this.root, this.#writingFolder)
      for (const name of await readdir(folder))
        if (name.startsWith(prefix) && NAME.test(name)) await rm(join(folder, name), { force: true })
    })
  }

  /** Every file of the table that is in its place, the oldest days first, a day at a time. Rejects where something else lies among them. */
  async *files(): AsyncGenerator<ArchivePath> {
    try {
      for await (const each of walk(this.#tree, this.table)) {
        if ('problem' in each) throw damaged(join(this.root, each.problem))
        if ('path' in each) yield each.path
      }
    } catch (error) {
      throw this.#told('cannot be read', this.table, error)
    }
  }

  /** The same, all at once, sorted. */
  async list(): Promise<readonly ArchivePath[]> {
    const paths: ArchivePath[] = []
    for await (const path of this.files()) paths.push(path)
    return paths.toSorted()
  }

  /** For who looks for what is wrong. */
  inspect(): Promise<Listing> {
    return this.#guarded('cannot be read', this.table, async () => {
      const paths: ArchivePath[] = []
      const problems: string[] = []
      for await (const each of walk(this.#tree, this.table)) {
        if ('path' in each) paths.push(each.path)
        else problems.push('problem' in each ? each.problem : each.stray)
      }
      return { paths: paths.toSorted(), problems }
    })
  }

  async #isThere(path: string): Promise<boolean> {
    return (await this.#tree.look(path)) !== undefined
  }

  get #writingFolder(): string {
    return `${this.table}/${WRITING}`
  }

  #writing(path: ArchivePath): string {
    return `${this.#writingFolder}/${basename(path)}`
  }

  /** These folders and those that they lie in, up to the root: one that was made by a run that then crashed may not be durable yet. */
  async #sync(folders: Iterable<string>): Promise<void> {
    const all = new Set([this.root])
    for (const folder of folders) for (const each of foldersTo(folder)) all.add(join(this.root, each))
    await concurrently(AT_ONCE, all, syncFolder)
  }

  async #guarded<T>(what: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.#told(what, path, error)
    }
  }

  #told(what: string, path: string, error: unknown): MaintenanceError {
    if (error instanceof Refused) return damaged(join(this.root, error.message), error)
    return error instanceof MaintenanceError ? error : archiveFailed(`${join(this.root, path)} ${what}: ${messageOf(error)}`, error)
  }
}
