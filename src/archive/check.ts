import { MaintenanceError } from '../errors.ts'
import type { Archive } from './archive.ts'
import { damaged } from './damage.ts'
import { sha256, type Link, type Manifest, type RowsFile } from './format.ts'
import { parseManifest } from './manifest.ts'
import { problemOf } from './read/read-rows.ts'
import { settle } from './settle.ts'
import type { ArchiveState } from './state.ts'
import { positionOf, type ArchivePath } from './store/path.ts'

/**
 * Before anything is deleted: the folder is the one that holds what the database says was archived. The newest link is read, with its file;
 * `archive verify` reads all of them. What a run that crashed left pending is brought to its end.
 */
export async function openArchive(archive: Archive): Promise<void> {
  const { store, record, options } = archive
  const state = await record.load(options.database)
  const newest = state.head === null ? undefined : await mustHold(archive, state.head)
  await mustKnow(archive, state)
  await store.make()
  await settle(archive)
  if (state.step !== undefined) await mustKnow(archive, await record.load(options.database))
  // Not before: a removal that was cut off may have taken it.
  if (newest?.kind === 'rows' && (await isStillNewest(archive, newest))) await mustHoldRows(archive, newest.file)
  // Of this moment the lease is certain: nobody else writes here.
  await options.underLease(() => Promise.resolve())
  await archive.spool.clean('')
}

async function mustHold({ store }: Archive, head: Link): Promise<Manifest> {
  const bytes = await store.read(head.manifest)
  if (bytes === undefined) throw damaged(`${store.absolute(head.manifest)} is missing, and the database says that it is the newest`)
  if (sha256(bytes) !== head.sha256) throw damaged(`${store.absolute(head.manifest)} is not what it was when it was written`)
  const manifest = parseManifest(bytes, head.manifest)
  if (manifest === undefined) throw damaged(`${store.absolute(head.manifest)} is not a manifest of this format, or of this place`)
  return manifest
}

async function isStillNewest({ record, options }: Archive, { manifest }: Manifest): Promise<boolean> {
  return (await record.load(options.database)).head?.manifest === manifest
}

async function mustHoldRows({ store }: Archive, file: RowsFile): Promise<void> {
  // When its time has come, a removal is the newest link.
  if (!(await store.exists(file.path)))
    throw damaged(`${store.absolute(file.path)} is missing, and the database says that it is the newest`)
  const problem = await problemOf(store, file)
  if (problem !== undefined) throw damaged(store.absolute(problem))
}

/**
 * Files beyond what the database knows were written for another database, or for this one before it was restored from a backup; where they lie beyond the
 * head, somebody has set that back. No chain is begun, or gone on with, beside them.
 */
async function mustKnow({ store, source }: Archive, { position, head, step }: ArchiveState): Promise<void> {
  // What is pending is beyond the head, and looked at when it is settled.
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
    `the archive: ${unknown} files in ${store.root} are of runs that this database knows nothing of, ${first} first. Nothing was deleted. Where this database was ` +
      'restored from a backup, or its server is a replica that was promoted late, `archive reconcile --dry-run` says what becomes of them and ' +
      `\`archive reconcile\` does it, deleting no file. Where another database archives its ${source.table} there, give this one an ARCHIVE_DIRECTORY of its own`,
  )
}
