import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { PACKAGE_ROOT } from './command.ts'

/** A file system of 96 KB over the folder, for what is run in it alone. */
const ON_SMALL_DISK = [
  '--user',
  '--map-root-user',
  '--mount',
  'sh',
  '-c',
  'mount -t tmpfs -o size=96k none "$1" && shift && exec "$@" 2>&1',
  'sh',
] as const

/** Whether a file system can be mounted here: that takes unshare and user namespaces. */
export function canMount(folder: string): Promise<boolean> {
  return promisify(execFile)('unshare', [...ON_SMALL_DISK, folder, 'true']).then(
    () => true,
    () => false,
  )
}

/** What the program writes, to standard output and standard error, where the folder is full soon. */
export async function onSmallDisk(folder: string, words: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const ended = await promisify(execFile)(
    'unshare',
    [...ON_SMALL_DISK, folder, process.execPath, 'bin/mcp-gateway-maintenance.js', ...words],
    { cwd: PACKAGE_ROOT, env: { PATH: process.env['PATH'], ...env } },
  ).catch((error: { readonly stdout: string }) => error)
  return ended.stdout
}
