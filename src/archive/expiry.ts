import { formatDay, formatTime } from '../time/clock.ts'
import type { RetentionRecord } from './archive-retention.ts'
import type { Archive } from './archive.ts'
import { damaged } from './damage.ts'
import { fileIn, MOST_LINKS, FORMAT, sha256, type RowsFile, type Link, type Manifest } from './format.ts'
import { firstKeptDay, oldestDay } from './holdings.ts'
import { manifestText } from './manifest.ts'
import { readChain, removedBy } from './read/chain.ts'
import { alterationOf } from './read/read-rows.ts'
import { settle } from './settle.ts'
import type { Step } from './step.ts'
import type { Store } from './store/store.ts'
import { MANIFEST_SUFFIX, pathOf, rowsOf } from './store/path.ts'

/**
 * Removes the files of whole days that are past the archive's retention. The removal is a link of the chain and names the manifests of the
 * removed files, which stay, so that an intended removal can be told from a loss.
 */
export async function expireFiles(archive: Archive, retention: RetentionRecord, keptMs: number): Promise<void> {
  const { store, spool, record, source, options } = archive
  const before = firstKeptDay(options.now, keptMs)
  for (;;) {
    if (options.stopping.aborted || ((await oldestDay(store)) ?? before) >= before) return
    const state = await record.load(options.database)
    const expired = await expiredLinks(store, state.head, before)
    if (expired.length === 0) return
    const removed = expired.map(({ link }) => link)
    const rows = expired.reduce((sum, { file }) => sum + file.rows, 0)
    const bytes = expired.reduce((sum, { file }) => sum + file.fileBytes, 0)
    const { run, program, now } = options
    const position = state.position + 1
    const manifest: Manifest = {
      format: FORMAT,
      kind: 'removal',
      manifest: pathOf(source.table, formatDay(now), run, position, MANIFEST_SUFFIX),
      position,
      previous: state.head,
      source,
      run,
      program,
      written: formatTime(now),
      removed,
    }
    const text = manifestText(manifest)
    // An interrupted attempt may have left this file in the spool.
    await spool.clean(`${run}-`)
    await spool.write(manifest.manifest, text)
    await spool.sync()
    const step: Step = {
      run,
      drafts: spool.prefix,
      files: [{ manifest: manifest.manifest, sha256: sha256(text), rows: 0 }],
      obsolete: removed.map((link) => rowsOf(link.manifest)),
      growth: { rows: -rows, bytes: -bytes, files: -removed.length },
      newestAt: null,
    }
    await archive.replace(state, step, {
      position,
      removed: '',
      also: (tx) => retention.noteRemoved(tx, run, { rows, bytes, files: removed.length }),
    })
    await settle(archive)
  }
}

interface Expired {
  readonly link: Link
  readonly file: RowsFile
}

/** Oldest first. */
async function expiredLinks(store: Store, head: Link | null, before: string): Promise<readonly Expired[]> {
  const { links } = await readChain(store, await store.list(), head)
  const gone = removedBy(links)
  const expired: Expired[] = []
  for (const { manifest: kept, sha256: sum } of links.toReversed()) {
    const { manifest } = kept
    const file = fileIn(kept)
    if (expired.length === MOST_LINKS) break
    if (file === undefined || file.day >= before || gone.has(manifest) || !(await store.exists(file.path))) continue
    const problem = await alterationOf(store, file)
    if (problem !== undefined)
      throw damaged(`${store.absolute(problem)}; it has expired, but was not removed`, undefined, 'Expired rows were deleted all the same')
    expired.push({ link: { manifest, sha256: sum }, file })
  }
  return expired
}
