import { lstat, mkdir, statfs } from 'node:fs/promises'
import { sizeText } from '../../number-text.ts'
import type { BucketPlace } from '../archive-location.ts'
import { archiveFailed } from '../damage.ts'
import { MOST_PART_BYTES } from '../write/draft.ts'
import type { FolderAccess } from './folder-access.ts'
import { spoolFolderOf } from './folder-spool.ts'
import { FOLDER_MODE } from './guarded-tree.ts'

/** The part that is being deleted, the one that is written ahead, and what settling writes again. */
const PARTS = 3
/** What statfs says of file systems in memory: tmpfs and ramfs. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x0102_1994, 0x8584_58f6])
const WRITABLE_BY_OTHERS = 0o022

/**
 * Makes the folder of files that are being written, where it is missing. Rejects if it is not ours alone, has too little room or, where nobody chose it, lies in
 * memory, of which a container has little.
 */
export async function mustTakeDrafts(access: FolderAccess, place: BucketPlace, table: string, uid: number | undefined): Promise<void> {
  const { root } = access
  await mkdir(root, { recursive: true, mode: FOLDER_MODE })
  // In a temporary folder anybody may have made it before us.
  const stats = await lstat(root)
  if (!place.spoolChosen && (!stats.isDirectory() || (uid !== undefined && stats.uid !== uid) || (stats.mode & WRITABLE_BY_OTHERS) !== 0))
    throw refused(root, 'is not a folder of this user alone')
  await access.tree.ensure(spoolFolderOf(table))
  const { type, bavail, bsize } = await statfs(root)
  if (!place.spoolChosen && IN_MEMORY.has(type)) throw refused(root, 'lies in memory')
  const free = bavail * bsize
  if (free < PARTS * MOST_PART_BYTES) throw refused(root, `has ${sizeText(free)} free, and ${sizeText(PARTS * MOST_PART_BYTES)} are needed`)
}

function refused(root: string, why: string): Error {
  return archiveFailed(
    `the folder of files that are being written, ${root}, ${why}`,
    undefined,
    'Set ARCHIVE_SPOOL to a folder on a disk of this machine, such as ARCHIVE_SPOOL=/var/tmp/mcp-gateway-maintenance; what lies there may be lost at any time',
  )
}
