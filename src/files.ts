import { closeSync, constants, fstatSync, openSync, readSync, statSync, type Stats } from 'node:fs'
import { lstat, open, type FileHandle } from 'node:fs/promises'
import { codeOf } from './errors.ts'

/** The most that is read of a file of settings, a secret, certificates or a migration: far more than any of them has. */
export const MOST_GIVEN_BYTES = 2 ** 20

const CHUNK_BYTES = 2 ** 16

/**
 * Reads a file that the operator names. A link is followed, because Kubernetes mounts settings and secrets as links, and has to end at a regular file, which
 * is read up to a bound. Never waits for the other end of a pipe, and opens no device. Throws the system's error, or one whose message is a sentence.
 */
export function readGiven(path: string, mostBytes = MOST_GIVEN_BYTES): Buffer {
  // Checked before opening, because opening a device can have effects, and again afterwards, because the file may have been replaced.
  mustBeFile(statSync(path), path)
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    mustBeFile(fstatSync(descriptor), path)
    return readBounded(descriptor, path, mostBytes)
  } finally {
    closeSync(descriptor)
  }
}

/** Does not rely on the reported size, which is 0 for a file in /proc. */
function readBounded(descriptor: number, path: string, mostBytes: number): Buffer {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  const read: Buffer[] = []
  for (let length = 0; ;) {
    const bytes = readSync(descriptor, chunk)
    if (bytes === 0) return Buffer.concat(read)
    length += bytes
    if (length > mostBytes) throw new Error(`${path} has more than ${mostBytes} bytes, the most that is read of it`)
    read.push(Buffer.from(chunk.subarray(0, bytes)))
  }
}

/**
 * Opens a file that this program writes. Follows no link, waits for no pipe and opens no device, so that nothing else is ever read or changed. `undefined`:
 * it does not exist, and `flags` do not create it.
 */
export async function openOwn(path: string, flags: number, mode?: number): Promise<FileHandle | undefined> {
  const named = await lstat(path).catch(missing)
  if (named !== undefined) mustBeFile(named, path)
  const handle = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, mode).catch(missing)
  if (handle === undefined) return undefined
  try {
    mustBeFile(await handle.stat(), path)
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Makes the names in a folder durable. The content of its files is not synced, nor is the folder's own name. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NONBLOCK)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function mustBeFile(stats: Stats, path: string): void {
  if (stats.isFile()) return
  throw new Error(`${path} is a ${kindOf(stats)}, and a regular file is needed${stats.isDirectory() ? ' (EISDIR)' : ''}`)
}

interface Kind {
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
  isFIFO(): boolean
  isSocket(): boolean
}

/** What it is, in words for people. */
export function kindOf(found: Kind): string {
  if (found.isFile()) return 'file'
  if (found.isDirectory()) return 'folder'
  if (found.isSymbolicLink()) return 'symbolic link'
  return found.isFIFO() ? 'named pipe' : found.isSocket() ? 'socket' : 'device'
}

function missing(error: unknown): undefined {
  if (codeOf(error) === 'ENOENT') return undefined
  throw error
}
