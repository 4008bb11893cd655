import { join } from 'node:path'
import { MaintenanceError, messageOf } from '../../errors.ts'
import { concurrently } from '../concurrently.ts'
import { archiveFailed, damaged } from '../damage.ts'
import { foldersTo, GuardedTree, Refused, syncFolder } from './guarded-tree.ts'

export const AT_ONCE = 8

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
