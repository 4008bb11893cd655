import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Sizes } from './options.ts'

/** A folder for everything that the run makes, and the processes that use it; all of it is removed at the end, whatever happens. */
export interface Workspace extends AsyncDisposable {
  readonly folder: string
  /** Ended with the workspace at the latest. */
  readonly children: Set<ChildProcess>
}

/** Rejects if the disk has less free space than `neededBytes`. */
export async function openWorkspace(parent: string, neededBytes: number): Promise<Workspace> {
  const { bavail, bsize } = await statfs(parent)
  if (bavail * bsize < neededBytes)
    throw new Error(
      `${parent} has ${gigabytes(bavail * bsize)} free and the benchmark needs ${gigabytes(neededBytes)}; choose another folder with --directory, or fewer --rows`,
    )
  const folder = await mkdtemp(join(parent, 'maintenance-bench-'))
  // The folder must be open to others: a server that runs as another user has its directory in it.
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

/** The bytes of a row with its indexes, and of what a purge writes beside it. */
const BYTES_A_ROW = 1_400

/** Needed: the database with and without the redundant index, and two copies; for the largest size, the database, a copy, and what deleting from it writes. */
export function bytesNeeded({ reference, largest }: Sizes): number {
  const larger = largest > reference ? 3 * largest : 0
  return BYTES_A_ROW * (4 * reference + larger) + 1e9
}
