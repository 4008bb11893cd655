import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { MaintenanceError } from '../../errors.ts'
import type { ArchivePlace } from '../archive-location.ts'
import { absent } from '../store/guarded-tree.ts'

/** Rejects if one place is the other or lies in it: copying would then change the archive that is copied. */
export async function mustBeApart(from: ArchivePlace, to: ArchivePlace): Promise<void> {
  if (!(await meet(from, to))) return
  throw new MaintenanceError(
    'ARCHIVE_FAILED',
    `the archive lies in ${from.directory}, and ${to.directory} is the same place, or one of them lies in the other. Nothing was copied. Name a place of its own`,
  )
}

async function meet(from: ArchivePlace, to: ArchivePlace): Promise<boolean> {
  if (from.bucket !== undefined && to.bucket !== undefined)
    return from.bucket.bucket === to.bucket.bucket && nested([from.bucket.prefix, to.bucket.prefix], '/')
  if (from.bucket !== undefined || to.bucket !== undefined) return false
  const [one, other] = await Promise.all([stat(from.directory).catch(absent), stat(to.directory).catch(absent)])
  // Mounted twice, one folder has two names.
  if (one !== undefined && one.dev === other?.dev && one.ino === other.ino) return true
  return nested([await realOf(from.directory), await realOf(to.directory)], sep)
}

function nested([one, other]: readonly [string, string], mark: string): boolean {
  const [first, second] = [one, other].map((each) => (each === '' || each.endsWith(mark) ? each : `${each}${mark}`))
  return first!.startsWith(second!) || second!.startsWith(first!)
}

/** Of a folder that need not exist: of that which does, with the rest. */
async function realOf(folder: string): Promise<string> {
  const real = await realpath(folder).catch(absent)
  if (real !== undefined || folder === dirname(folder)) return real ?? folder
  return join(await realOf(dirname(folder)), basename(folder))
}
