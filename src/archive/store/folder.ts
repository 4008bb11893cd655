import { mkdir, open, readdir, rm, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { MaintenanceError, messageOf } from '../../errors.ts'
import { concurrently } from '../concurrently.ts'
import { archiveFailed, damaged, SHARED } from '../damage.ts'
import { MOST_MANIFEST_BYTES } from '../format.ts'
import { walk } from './archive-walk.ts'
import { absent, FOLDER_MODE, foldersTo, GuardedTree, Refused, syncFolder, type OpenFile } from './guarded-tree.ts'
import { NAME, RECONCILED, type ArchivePath } from './path.ts'
import { areDifferent, moveTo } from './place.ts'
import { writableByAll } from './refusal.ts'

const FILE_MODE = 0o600
const AT_ONCE = 8
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
  /** Begins the names of files that are not in their places yet: those of another database in the same folder are nobody's to take or remove. */
  readonly drafts: string
  readonly #tree: GuardedTree

  /** `uid`: who this process is. `drafts`: needed by who writes. */
  constructor(root: string, table: string, uid: number | undefined, drafts = '') {
    this.root = root
    this.table = table
    this.drafts = drafts
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

  /** A warning to log when the archive is opened; `undefined`: none. */
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
  isWaiting(path: ArchivePath, drafts: string = this.drafts): Promise<boolean> {
    return this.#guarded('cannot be looked at', path, () => this.#isThere(this.#writing(path, drafts)))
  }

  /** Whether what waits to be moved to a place is another file than lies there. One that was being moved has both names. */
  isTaken(path: ArchivePath, drafts: string): Promise<boolean> {
    return this.#guarded('cannot be read', path, () => areDifferent(this.#tree, this.#writing(path, drafts), path))
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
  inHand(drafts: string = this.drafts): Pick<ArchiveFolder, 'root' | 'open' | 'read'> {
    // In this order: a run may move it meanwhile.
    const first = <T>(path: ArchivePath, get: (place: string) => Promise<T>): Promise<T> =>
      this.#guarded('cannot be read', path, async () => (await get(this.#writing(path, drafts))) ?? (await get(path)))
    return {
      root: this.root,
      open: (path) => first(path, (place) => this.#tree.open(place)),
      read: (path) => first(path, (place) => this.#tree.read(place, MOST_MANIFEST_BYTES)),
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

  /** Moves complete files to their places, those that have not been moved before, and over no other file. */
  publish(paths: readonly ArchivePath[], drafts: string = this.drafts): Promise<void> {
    return this.#guarded('cannot be put in its place', paths[0] ?? '', async () => {
      const folders = new Set(paths.map((path) => dirname(path)))
      for (const folder of folders) await this.#tree.ensure(folder)
      await concurrently(AT_ONCE, paths, async (path) => {
        const writing = this.#writing(path, drafts)
        const waits = await this.#isThere(writing)
        if (!waits && !(await this.#isThere(path))) throw new Error('it is neither there nor waiting to be moved there')
        const moved = !waits || (await moveTo(this.#tree, writing, path))
        if (!moved) throw new Refused(path, `another file has this place, and was left there. ${SHARED}`)
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
        if (!(await moveTo(this.#tree, path, aside))) throw new Error(`${aside} is there already: move it out of the archive, and keep it`)
        folders.add(dirname(aside)).add(dirname(path))
      }
      await this.#sync(folders)
    })
  }

  /** What was left half-written, of the files of `drafts` whose names begin so. What has a name that is none of ours stays. */
  clean(prefix: string, drafts: string = this.drafts): Promise<void> {
    return this.#guarded('cannot be cleaned', this.#writingFolder, async () => {
      if (!(await this.#tree.passes(this.#writingFolder))) return
      for (const name of await readdir(join(this.root, this.#writingFolder)))
        if (name.startsWith(drafts + prefix) && NAME.test(name.slice(drafts.length)))
          await rm(join(this.root, this.#writingFolder, name), { force: true })
    })
  }

  /** Every published file of the table, the oldest days first, a day at a time. Rejects if anything else lies among them. */
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

  #writing(path: ArchivePath, drafts = this.drafts): string {
    return `${this.#writingFolder}/${drafts}${basename(path)}`
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
