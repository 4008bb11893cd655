import { MaintenanceError } from '../errors.ts'
import type { Query } from '../database/query.ts'
import type { DiscardedFiles } from './discarded-files.ts'
import type { ArchiveState } from './state.ts'
import { positionOf, type ArchivePath } from './store/path.ts'
import type { Store } from './store/store.ts'

/** As an `Archive` has it. */
interface Known {
  readonly store: Store
  readonly discarded: DiscardedFiles | undefined
  readonly options: { readonly database: Query }
}

/**
 * Rejects if there are files beyond what the database knows: beyond the head or, while a step is pending, beyond the last allocated number.
 * They were written for another database, or for this one before it was restored from a backup or failed over to a server that had not received their step, or
 * somebody has set the head back. No chain is started or continued beside them.
 */
export async function mustKnow({ store, discarded, options }: Known, { position, head, step }: ArchiveState): Promise<void> {
  // Pending files are newer than the head; `settle` checks them.
  const known = step !== undefined ? position : head === null ? 0 : positionOf(head.manifest)
  let newer: ArchivePath[] = []
  for await (const path of store.files()) if (positionOf(path) > known) newer.push(path)
  if (newer.length > 0 && discarded !== undefined) {
    const noted = await discarded.load(options.database, position)
    newer = newer.filter((path) => !noted.has(path))
  }
  const [first] = newer
  if (first === undefined) return
  throw new MaintenanceError(
    'ARCHIVE_DAMAGED',
    `the archive: ${newer.length} files in ${store.root} are of runs that this database knows nothing of, ${first} first. Nothing was deleted. If this database was ` +
      'restored from a backup, or its server is a replica that was promoted late, run `archive reconcile --dry-run` to see what would become of them, ' +
      `then \`archive reconcile\`, which deletes no file. If another database archives its ${store.table} there, give this one its own ARCHIVE_DIRECTORY`,
  )
}
