import { constants, type Dirent, type Stats } from 'node:fs'
import { lstat, mkdir, open, readdir, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { codeOf } from '../../errors.ts'
import { refusal } from './refusal.ts'

export const FOLDER_MODE = 0o700

/** Follows no links, and does not wait for pipes. */
const READING = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** A file that is open for reading. The caller closes it. */
export interface OpenHandle {
  readonly handle: FileHandle
  readonly bytes: number
}

/** Something that is not accepted as part of the archive. The message begins with its path below the root. */
export class Refused extends Error {
  override readonly name = 'Refused'

  constructor(path: string, why: string) {
    super(`${path}: ${why}`)
  }
}

/** The message of the refusal that caused an error, if one did. */
export function refusedIn(error: unknown): string | undefined {
  return error instanceof Error && error.cause instanceof Refused ? error.cause.message : undefined
}

/**
 * Files and folders below a root, which alone may be a link. Every folder on the way is checked before use. Node cannot open a file
 * relative to an open folder, so what was opened is compared with what the path names afterwards.
 */
export class GuardedTree {
  readonly root: string
  readonly #uid: number | undefined

  constructor(root: string, uid: number | undefined) {
    this.root = root
    this.#uid = uid
  }

  /** Checks a file and the folders that it lies in. `undefined`: there is none. */
  async look(path: string): Promise<Stats | undefined> {
    const [stats, passes] = await Promise.all([lstat(join(this.root, path)).catch(absent), this.passes(dirname(path))])
    if (stats === undefined || !passes) return undefined
    const why = refusal(stats, 'file', this.#uid)
    if (why !== undefined) throw new Refused(path, why)
    return stats
  }

  /** `undefined`: there is none. */
  async open(path: string): Promise<OpenHandle | undefined> {
    // Checked before opening, because opening a device has an effect.
    if ((await this.look(path)) === undefined) return undefined
    const handle = await open(join(this.root, path), READING).catch(absent)
    if (handle === undefined) return undefined
    try {
      const stats = await handle.stat()
      const named = await this.look(path)
      if (named !== undefined && (named.ino !== stats.ino || named.dev !== stats.dev))
        throw new Refused(path, 'was replaced while it was being opened')
      return { handle, bytes: stats.size }
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Reads a short file. `undefined`: there is none. */
  async read(path: string, mostBytes: number): Promise<Buffer | undefined> {
    const file = await this.open(path)
    if (file === undefined) return undefined
    try {
      if (file.bytes > mostBytes) throw new Refused(path, `has ${file.bytes} bytes, more than any manifest`)
      return await readAll(file)
    } finally {
      await file.handle.close()
    }
  }

  /** Whether the folder exists. Rejects if it, or a folder above it, cannot be trusted. */
  async passes(folder: string): Promise<boolean> {
    const found = await Promise.all(
      foldersTo(folder).map(async (each) => [each, await lstat(join(this.root, each)).catch(absent)] as const),
    )
    for (const [each, stats] of found) {
      if (stats === undefined) return false
      const why = refusal(stats, 'folder', this.#uid)
      if (why !== undefined) throw new Refused(each, why)
    }
    return true
  }

  /** Creates the folder and those above it. */
  async ensure(folder: string): Promise<void> {
    for (const each of foldersTo(folder)) {
      await mkdir(join(this.root, each), { mode: FOLDER_MODE }).catch(present)
      await this.passes(each)
    }
  }

  /** The entries of a folder, sorted; none if it does not exist. */
  async entries(folder: string): Promise<readonly Dirent[]> {
    if (!(await this.passes(folder))) return []
    const entries = await readdir(join(this.root, folder), { withFileTypes: true }).catch(absent)
    return (entries ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }
}

/** Without what is appended meanwhile. */
async function readAll({ handle, bytes }: OpenHandle): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes)
  let length = 0
  while (length < bytes) {
    const { bytesRead } = await handle.read(buffer, length, bytes - length, length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return buffer.subarray(0, length)
}

/** `a/b/c` is `a`, `a/b` and `a/b/c`. */
export function foldersTo(folder: string): string[] {
  const names = folder.split('/')
  return names.map((_, index) => names.slice(0, index + 1).join('/'))
}

export function absent(error: unknown): undefined {
  if (isCode(error, 'ENOENT', 'ENOTDIR')) return undefined
  throw error
}

function present(error: unknown): undefined {
  if (isCode(error, 'EEXIST')) return undefined
  throw error
}

export function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.some((code) => code === codeOf(error))
}
