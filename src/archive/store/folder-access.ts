import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MaintenanceError, messageOf } from '../../errors.ts'
import { syncFolder } from '../../files.ts'
import { concurrently } from '../concurrently.ts'
import { archiveFailed, damaged } from '../damage.ts'
import { foldersTo, GuardedTree, Refused } from './guarded-tree.ts'
import { ROWS_SUFFIX } from './path.ts'
import { placeAt } from './place.ts'

export const AT_ONCE = 8

/** Paths below the root. */
export interface Move {
  readonly from: string
  readonly to: string
}

/** An archive's folder, for its store and its spools. All access to the disk goes through here, and fails with a sentence. */
export class FolderAccess {
  readonly root: string
  readonly tree: GuardedTree

  /** `uid`: of this process. */
  constructor(root: string, uid: number | undefined) {
    this.root = root
    this.tree = new GuardedTree(root, uid)
  }

  absolute(path: string): string {
    return join(this.root, path)
  }

  async isThere(path: string): Promise<boolean> {
    return (await this.tree.look(path)) !== undefined
  }

  /** Syncs these folders and those above them, up to the root: a folder created by a run that then crashed may not be durable yet. */
  async sync(folders: Iterable<string>): Promise<void> {
    const all = new Set([this.root])
    for (const folder of folders) for (const each of foldersTo(folder)) all.add(this.absolute(each))
    await concurrently(AT_ONCE, all, syncFolder)
  }

  /**
   * Moves files into these folders, never over another file: then it rejects with what `taken` makes. Durable when it resolves, but for the removal of
   * the old names. A power cut leaves each file at least one of its names: a new one counts only once its folder has a durable name itself, and the old
   * one is removed only after that. One stage is moved after the other.
   */
  async move(stages: readonly (readonly Move[])[], folders: ReadonlySet<string>, taken: (to: string) => Error): Promise<void> {
    for (const folder of folders) await this.tree.ensure(folder)
    await this.sync([...folders].map((folder) => dirname(folder)))
    for (const stage of stages)
      await concurrently(AT_ONCE, stage, async ({ from, to }) => {
        if (!(await placeAt(this.tree, from, to))) throw taken(to)
      })
    await concurrently(AT_ONCE, folders, (folder) => syncFolder(this.absolute(folder)))
    await concurrently(AT_ONCE, stages.flat(), ({ from }) => rm(this.absolute(from), { force: true }))
  }

  /** If `work` fails, the error says `what` could not be done with the file at `path`. */
  async guarded<T>(what: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.failure(what, path, error)
    }
  }

  failure(what: string, path: string, error: unknown): MaintenanceError {
    if (error instanceof Refused) return damaged(this.absolute(error.message), error)
    return error instanceof MaintenanceError ? error : archiveFailed(`${this.absolute(path)} ${what}: ${messageOf(error)}`, error)
  }
}

/**
 * The order in which files are removed, each group durably before the next: the rows of a file without its manifest cannot be looked up, and a run that
 * meets one after a power cut would need a person.
 */
export function rowsFirst<Name extends string>(names: readonly Name[]): readonly [rows: readonly Name[], manifests: readonly Name[]] {
  return [names.filter((name) => name.endsWith(ROWS_SUFFIX)), names.filter((name) => !name.endsWith(ROWS_SUFFIX))]
}
