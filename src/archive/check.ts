import type { Archive } from './archive.ts'
import { damaged } from './damage.ts'
import { removeDiscarded } from './discard.ts'
import { sha256, type Link, type Manifest, type RowsFile } from './format.ts'
import { parseManifest } from './manifest.ts'
import { mustBeHere } from './moved.ts'
import { problemOf } from './read/read-rows.ts'
import { settle } from './settle.ts'
import { mustKnow } from './unknown-files.ts'

/**
 * Before anything is deleted, checks that the folder is the one the database knows, by its newest link and the file of that link (`archive
 * verify` reads them all). Then settles what an interrupted run left pending.
 */
export async function openArchive(archive: Archive): Promise<void> {
  const { store, record, options } = archive
  const { database } = options
  await mustBeHere({ database, store, record }, 'Nothing was deleted')
  const state = await record.load(database)
  const newest = state.head === null ? undefined : await mustHold(archive, state.head)
  await removeDiscarded(archive, state)
  await mustKnow(archive, state)
  await store.make()
  await settle(archive)
  if (state.step !== undefined) await mustKnow(archive, await record.load(database))
  // Not before settling: an interrupted removal may have taken this file.
  if (newest?.kind === 'rows' && (await isStillNewest(archive, newest))) await mustHoldRows(archive, newest.file)
  // At this moment the lease is certainly held, so nobody else is writing to the spool.
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
  // If this file had expired, a removal would be the newest link.
  if (!(await store.exists(file.path)))
    throw damaged(`${store.absolute(file.path)} is missing, and the database says that it is the newest`)
  const problem = await problemOf(store, file)
  if (problem !== undefined) throw damaged(store.absolute(problem))
}
