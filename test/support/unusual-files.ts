import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Unusual {
  readonly name: string
  /** Puts it at a path where nothing is. */
  readonly make: (path: string) => Promise<unknown>
}

/** What nobody writes to or waits for: a pipe that nobody reads, a device that never ends, and the like, and links to them. */
export const NO_FILES: readonly Unusual[] = [
  { name: 'a folder', make: (path) => mkdir(path) },
  { name: 'a named pipe', make: (path) => promisify(execFile)('mkfifo', [path]) },
  {
    name: 'a link to a named pipe',
    async make(path) {
      await promisify(execFile)('mkfifo', [`${path}.pipe`])
      await symlink(`${path}.pipe`, path)
    },
  },
  { name: 'a link to a device', make: (path) => symlink('/dev/zero', path) },
  { name: 'a link to a folder', make: (path) => symlink('/', path) },
]

/** A file of two gigabytes that takes no room. */
export async function hugeFile(path: string): Promise<void> {
  await writeFile(path, '')
  await truncate(path, 2 * 2 ** 30)
}

export async function socketAt(path: string): Promise<AsyncDisposable> {
  const server: Server = createServer()
  await new Promise<void>((resolve, reject) => void server.once('error', reject).listen(path, resolve))
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())) }
}

export async function freshPlace(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'maintenance-files-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
