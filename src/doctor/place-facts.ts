import { constants, type Stats } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { FolderStore } from '../archive/store/folder-store.ts'
import { codeOf, messageOf } from '../errors.ts'
import { kindOf } from '../files.ts'
import type { DiskFacts, FolderFacts } from './doctor-facts.ts'

/** Looks at a folder, or at the one in which it would be made. A link to it is followed, as the archive does. */
export async function folderFacts(path: string): Promise<FolderFacts> {
  const nothing = { path, kind: undefined, uid: undefined, writable: false, within: path, warning: undefined, problem: undefined }
  try {
    const stats = await look(path)
    if (stats !== undefined) {
      const warning = await new FolderStore(path, '', undefined).warning()
      return { ...nothing, kind: kindOf(stats), uid: stats.uid, writable: await isWritable(path), warning }
    }
    const within = await nearest(path)
    return { ...nothing, within, writable: await isWritable(within) }
  } catch (error) {
    return { ...nothing, problem: codeOf(error) ?? messageOf(error) }
  }
}

/** The figures of the file systems on which these folders lie, or are to be made; one for each. */
export async function diskFacts(places: readonly (readonly [holds: string, folder: string])[]): Promise<readonly DiskFacts[]> {
  const disks = new Map<number, DiskFacts>()
  for (const [holds, path] of places) {
    const folder = await nearest(path)
    const { dev } = await stat(folder)
    const known = disks.get(dev)
    if (known !== undefined) {
      disks.set(dev, { ...known, holds: [...known.holds, holds] })
      continue
    }
    const { bavail, blocks, bsize, files, ffree } = await statfs(folder)
    // The system's own file systems have no room, and no need of it.
    if (blocks === 0) continue
    disks.set(dev, {
      holds: [holds],
      folder,
      freeBytes: bavail * bsize,
      totalBytes: blocks * bsize,
      freeNames: files === 0 ? undefined : ffree,
    })
  }
  return [...disks.values()]
}

async function nearest(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) if ((await look(folder)) !== undefined || folder === dirname(folder)) return folder
}

async function look(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Also says no of a file system that is mounted for reading alone, whoever asks. */
async function isWritable(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )
}
