import { MaintenanceError } from '../errors.ts'
import type { ArchiveState } from './state.ts'
import { positionOf, type ArchivePath } from './store/path.ts'
import type { Store } from './store/store.ts'

/**
 * Rejects if there are files beyond what the database knows: beyond the head or, while a step is pending, beyond the last allocated number.
 * They were written for another database, or for this one before it was restored from a backup or failed over to a server that had not received their step, or
 * somebody has set the head back. No chain is started or continued beside them.
 */
export async function mustKnow(store: Store, { position, head, step }: ArchiveState): Promise<void> {
  // Pending files are newer than the head; `settle` checks them.
  const known = step !== undefined ? position : head === null ? 0 : positionOf(head.manifest)
  let unknown = 0
  let first: ArchivePath | undefined
  for await (const path of store.files()) {
    if (positionOf(path) <= known) continue
    unknown += 1
    first ??= path
  }
  if (first === undefined) return
  throw new MaintenanceError(
    'ARCHIVE_DAMAGED',
    `the archive: ${unknown} files in ${store.root} are of runs that this database knows nothing of, ${first} first. Nothing was deleted. If this database was ` +
      'restored from a backup, or its server is a replica that was promoted late, run `archive reconcile --dry-run` to see what would become of them, ' +
      `then \`archive reconcile\`, which deletes no file. If another database archives its ${store.table} there, give this one its own ARCHIVE_DIRECTORY`,
  )
}
