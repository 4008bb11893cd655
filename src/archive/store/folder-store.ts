import { mkdir, rm, stat } from 'node:fs/promises'
import { dirname, isAbsolute } from 'node:path'
import { syncFolder } from '../../files.ts'
import { damaged } from '../damage.ts'
import { MOST_MANIFEST_BYTES } from '../format.ts'
import { walk } from './archive-walk.ts'
import { FolderAccess, rowsFirst, type Move } from './folder-access.ts'
import { FolderSpool, spoolFolderOf } from './folder-spool.ts'
import { absent, FOLDER_MODE, isCode, Refused } from './guarded-tree.ts'
import { openFile } from './open-file.ts'
import { RECONCILED, type ArchivePath } from './path.ts'
import { writableByAll } from './refusal.ts'
import type { FileFacts, Listing, OpenFile, Spool, Store } from './store.ts'

/**
 * A folder of this machine, or one that is mounted on it. Only regular files are accepted, in folders that are no links and that no
 * stranger can write to. The root is the operator's: it may be a link or a mount point, and owned by anybody.
 */
export class FolderStore implements Store {
  readonly root: string
  readonly table: string
  readonly mayVanish = true
  readonly publishesLate = false
  readonly readsAtOnce = 1
  readonly #access: FolderAccess

  /** `uid`: of this process. */
  constructor(root: string, table: string, uid: number | undefined) {
    if (!isAbsolute(root)) throw new TypeError(`the folder of an archive is not an absolute path: ${root}`)
    this.root = root
    this.table = table
    this.#access = new FolderAccess(root, uid)
  }

  spool(prefix: string): Spool {
    return new FolderSpool(this.#access, this, prefix)
  }

  /** Publishing syncs what is made here, but for what lies above it: a run that was killed may have made that, and not synced it. */
  make(): Promise<void> {
    return this.#access.guarded('cannot be made', '', async () => {
      await mkdir(this.root, { recursive: true, mode: FOLDER_MODE })
      await this.#access.tree.ensure(spoolFolderOf(this.table))
      for (let folder = this.root; folder !== dirname(folder);) await syncFolder((folder = dirname(folder))).catch(unreadable)
    })
  }

  async warning(): Promise<string | undefined> {
    const stats = await stat(this.root).catch(() => undefined)
    if (stats === undefined || !writableByAll(stats)) return undefined
    return (
      `everybody may write to the archive's folder ${this.root}, so anybody may remove or replace its files. archive verify names missing files, ` +
      `but cannot restore them. Run chmod o-w ${this.root}`
    )
  }

  takeNotes(): readonly string[] {
    return []
  }

  absolute(path: string): string {
    return this.#access.absolute(path)
  }

  exists(path: ArchivePath): Promise<boolean> {
    return this.#access.guarded('cannot be looked at', path, () => this.#access.isThere(path))
  }

  read(path: ArchivePath): Promise<Buffer | undefined> {
    return this.#access.guarded('cannot be read', path, () => this.#access.tree.read(path, MOST_MANIFEST_BYTES))
  }

  open(path: ArchivePath): Promise<OpenFile | undefined> {
    return this.#access.guarded('cannot be read', path, async () => {
      const opened = await this.#access.tree.open(path)
      return opened === undefined ? undefined : openFile(opened)
    })
  }

  remove(paths: readonly ArchivePath[]): Promise<readonly ArchivePath[]> {
    return this.#access.guarded('cannot be removed', paths[0] ?? '', async () => {
      const there = new Set<ArchivePath>()
      for (const path of paths) if (await this.#access.isThere(path)) there.add(path)
      for (const some of rowsFirst(paths)) {
        for (const path of some) if (there.has(path)) await rm(this.absolute(path), { force: true })
        // Those that are not there, too: an interrupted attempt may have removed them, and not durably.
        for (const folder of new Set(some.map((path) => this.absolute(dirname(path))))) await syncFolder(folder).catch(absent)
      }
      return []
    })
  }

  setAside(paths: readonly ArchivePath[]): Promise<void> {
    return this.#access.guarded('cannot be set aside', paths[0] ?? '', async () => {
      const moves: Move[] = []
      for (const path of paths) if (await this.#access.isThere(path)) moves.push({ from: path, to: `${RECONCILED}/${path}` })
      await this.#access.move(
        [moves],
        new Set(moves.map(({ to }) => dirname(to))),
        (to) => new Error(`${to} exists already: move it out of the archive, and keep it`),
      )
      // A name that came back after a power cut would be one that no chain knows.
      for (const folder of new Set(paths.map((path) => this.absolute(dirname(path))))) await syncFolder(folder).catch(absent)
    })
  }

  async *files(): AsyncGenerator<ArchivePath> {
    try {
      for await (const each of walk(this.#access.tree, this.table)) {
        if ('problem' in each) throw damaged(this.absolute(each.problem))
        if ('path' in each) yield each.path
      }
    } catch (error) {
      throw this.#access.failure('cannot be read', this.table, error)
    }
  }

  async list(): Promise<readonly ArchivePath[]> {
    const paths: ArchivePath[] = []
    for await (const path of this.files()) paths.push(path)
    return paths.toSorted()
  }

  inspect(): Promise<Listing> {
    return this.#access.guarded('cannot be read', this.table, async () => {
      const paths: ArchivePath[] = []
      const problems: string[] = []
      for await (const each of walk(this.#access.tree, this.table)) {
        if ('path' in each) paths.push(each.path)
        else problems.push('problem' in each ? each.problem : each.stray)
      }
      return { paths: paths.toSorted(), problems }
    })
  }

  facts(): Promise<ReadonlyMap<ArchivePath, FileFacts>> {
    return this.#access.guarded('cannot be read', this.table, async () => {
      const facts = new Map<ArchivePath, FileFacts>()
      for await (const each of walk(this.#access.tree, this.table)) {
        if (!('path' in each)) continue
        const stats = await this.#access.tree.look(each.path).catch(unlessRefused)
        if (stats !== undefined) facts.set(each.path, { bytes: stats.size, md5: undefined })
      }
      return facts
    })
  }

  md5(): Promise<undefined> {
    return Promise.resolve(undefined)
  }
}

function unlessRefused(error: unknown): undefined {
  if (!(error instanceof Refused)) throw error
}

/** Only its owner can sync it, who has made what is in it. */
function unreadable(error: unknown): void {
  if (!isCode(error, 'EACCES', 'EPERM')) throw error
}
