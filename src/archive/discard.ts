import type { Archive } from './archive.ts'
import { damaged } from './damage.ts'
import { LATE_MS } from './discarded-files.ts'
import { readChain, removedBy } from './read/chain.ts'
import { pendingPaths } from './read/look.ts'
import type { ArchiveState } from './state.ts'
import { rowsOf, type ArchivePath } from './store/path.ts'

/** Removes files that are not, or no longer, part of the archive, and remembers them where they may still appear. */
export async function discard(archive: Archive, paths: readonly ArchivePath[]): Promise<void> {
  const { discarded, options } = archive
  if (paths.length === 0) return
  if (discarded !== undefined) await options.underLease((tx) => discarded.note(tx, paths, false))
  await removeFor(archive, paths)
}

/** Removes files whose rows have expired; they have been there for long, so none of them comes late. */
export async function removeFor({ store, discarded, options }: Archive, paths: readonly ArchivePath[]): Promise<void> {
  const kept = await store.remove(paths)
  if (discarded !== undefined && kept.length > 0) await options.underLease((tx) => discarded.note(tx, kept, true))
}

/** Removes what was discarded before and has appeared since, or was kept until now. Settling does that with what it has in hand. */
export async function removeDiscarded(archive: Archive, state: ArchiveState): Promise<void> {
  const { store, discarded, options } = archive
  if (discarded === undefined) return
  const noted = await discarded.load(options.database, state.position)
  if (noted.size === 0) return
  const pending = pendingPaths(state)
  const paths = await store.list()
  const there = paths.filter((path) => noted.has(path) && !pending.has(path))
  if (there.length > 0) await mustNotBeOfTheChain(archive, state, paths, there)
  await removeFor(archive, there)
  const now = await options.database.now()
  const kept = new Set(await store.list())
  const over = [...noted].filter(([path, at]) => at < now - LATE_MS && !kept.has(path)).map(([path]) => path)
  if (over.length > 0) await options.underLease((tx) => discarded.forget(tx, over))
}

/** Anybody who may write to the table may have named a file there. */
async function mustNotBeOfTheChain(
  { store }: Archive,
  { head }: ArchiveState,
  paths: readonly ArchivePath[],
  there: readonly ArchivePath[],
): Promise<void> {
  const { links, unvouched } = await readChain(store, paths, head)
  const removed = removedBy(links)
  const named = new Set(
    [...links, ...unvouched].flatMap(({ manifest: { manifest } }) => (removed.has(manifest) ? [manifest] : [manifest, rowsOf(manifest)])),
  )
  const forged = there.find((path) => named.has(path))
  if (forged !== undefined)
    throw damaged(
      `${store.absolute(forged)} is part of the archive, and maintenance_discarded says that it was discarded; it was left alone`,
    )
}
