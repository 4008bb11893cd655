import { formatDay, formatTime, type EpochMs } from '../time.ts'
import type { Archive } from './archive.ts'
import { FORMAT, sha256, textOf, type Link, type Manifest } from './format.ts'
import type { ArchiveFolder } from './folder.ts'
import { parseManifest } from './manifest.ts'
import { dayOf, holdsRows, manifestOf, MANIFEST_SUFFIX, pathOf, rowsOf, type ArchivePath } from './path.ts'
import type { Step } from './state.ts'

/** Files removed in one step: their manifests are read, and named in one link of the chain. */
const MOST_FILES = 500

/**
 * Removes the files of days that ended longer ago than the archive is kept, whole days only. That becomes a link of the chain: it names the
 * manifests of what went, which stay, so that what is missing lawfully is told from what is missing.
 */
export async function expireFiles(archive: Archive, keptMs: EpochMs): Promise<void> {
  const { folder, record, source, options } = archive
  // The day in which the oldest row lies that is still kept is kept as a whole.
  const before = formatDay(options.now - keptMs)
  for (;;) {
    const expired = await expiredFiles(folder, before)
    if (expired.length === 0 || options.stopping.aborted) return
    const state = await record.load(options.database)
    const removed: Link[] = []
    let rows = 0
    let bytes = 0
    for (const path of expired) {
      const manifest = manifestOf(path)
      const text = await folder.read(manifest)
      // A file without a manifest is no part of the chain: `archive verify` names it, and nobody removes it unasked.
      if (text === undefined) continue
      const file = parseManifest(text, manifest)?.file
      rows += file?.rows ?? 0
      bytes += file?.fileBytes ?? 0
      removed.push({ manifest, sha256: sha256(text) })
    }
    if (removed.length === 0) return
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
    const text = textOf(manifest)
    // A try before this one may have written it.
    await folder.clean(`${run}-`)
    await folder.write(manifest.manifest, text)
    await folder.syncWriting()
    const step: Step = {
      run,
      files: [{ manifest: manifest.manifest, sha256: sha256(text), rows: 0 }],
      obsolete: removed.map((link) => rowsOf(link.manifest)),
      growth: { rows: -rows, bytes: -bytes, files: -removed.length },
      newestAt: null,
    }
    await options.underLease((tx) => record.begin(tx, step, position, ''))
    await archive.settle()
  }
}

/** The oldest first. */
async function expiredFiles(folder: ArchiveFolder, before: string): Promise<readonly ArchivePath[]> {
  const expired: ArchivePath[] = []
  for await (const path of folder.files()) {
    if (dayOf(path) >= before || expired.length === MOST_FILES) break
    if (holdsRows(path)) expired.push(path)
  }
  return expired
}
