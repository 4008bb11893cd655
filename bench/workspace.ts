import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Sizes } from './options.ts'

/** A folder for everything the run makes, which goes with it whatever happens, and the processes that use it. */
export interface Workspace extends AsyncDisposable {
  readonly folder: string
  /** Ended with the workspace at the latest. */
  readonly children: Set<ChildProcess>
}

/** Rejects where the disk has less room than `neededBytes`. */
export async function openWorkspace(parent: string, neededBytes: number): Promise<Workspace> {
  const { bavail, bsize } = await statfs(parent)
  if (bavail * bsize < neededBytes)
    throw new Error(
      `${parent} has ${gigabytes(bavail * bsize)} free and the benchmark needs ${gigabytes(neededBytes)}; give another folder with --directory, or fewer --rows`,
    )
  const folder = await mkdtemp(join(parent, 'maintenance-bench-'))
  // A server that runs as another user has its directory in here.
  await chmod(folder, 0o711)
  const children = new Set<ChildProcess>()
  return {
    folder,
    children,
    async [Symbol.asyncDispose]() {
      await Promise.all([...children].map(ended))
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`
}

/** Rows and their indexes, and what a purge writes beside them. */
const BYTES_A_ROW = 1_400

/** The database with and without the redundant index and two copies; of the largest the database, a copy and what deleting from it writes. */
export function bytesNeeded({ reference, largest }: Sizes): number {
  const larger = largest > reference ? 3 * largest : 0
  return BYTES_A_ROW * (4 * reference + larger) + 1e9
}
