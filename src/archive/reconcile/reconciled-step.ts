import type { Transaction } from '../../database/query.ts'
import { formatDay, formatTime, type EpochMs } from '../../time/clock.ts'
import { readSummary } from '../archive-summary.ts'
import type { Archive } from '../archive.ts'
import { fileIn, MOST_LINKS, FORMAT, NO_RUN, sha256, type ReconciledManifest, type Link, type RowsFile, type Source } from '../format.ts'
import { columnsOf, manifestText } from '../manifest.ts'
import { rangesText } from '../ranges.ts'
import { removedBy } from '../read/chain.ts'
import { lineOf } from '../read/file-line.ts'
import { readRows } from '../read/read-rows.ts'
import type { Growth, Step, StepFile } from '../step.ts'
import { MANIFEST_SUFFIX, pathOf, type ArchivePath } from '../store/path.ts'
import { ARCHIVES } from '../tables.ts'
import { DayFiles } from '../write/day-files.ts'
import type { Ahead, AheadLink } from './ahead.ts'

/** What becomes of one file. */
export interface Reconciled {
  readonly path: ArchivePath
  readonly rows: number
  /** How many of them are in the database, or in an earlier file. */
  readonly elsewhere: number
  readonly becomes: 'joined' | 'set aside' | 'rewritten'
}

export interface Planned {
  readonly link: AheadLink
  readonly elsewhere: Uint8Array
  readonly reconciled: Reconciled | undefined
}

/** Called in the transaction that makes everything the pending step: from then on it is ended, whatever happens. */
export type ReconciliationBegun = (tx: Transaction, last: Link & { readonly files: number; readonly rows: number }) => Promise<void>

/**
 * Writes the new files and manifests, and makes everything the pending step. `dropsStep`: the step in the database was not written by a
 * run.
 */
export async function beginStep(
  archive: Archive,
  ahead: Ahead,
  plan: readonly Planned[],
  dropsStep: boolean,
  begun?: ReconciliationBegun,
): Promise<void> {
  const { spool, store, record, options, source } = archive
  const { program, now } = options
  // The spool may have been lost as a whole.
  await store.make()
  await spool.clean(`${NO_RUN}-`)
  const state = await record.load(options.database)
  const joins = plan.filter(({ reconciled }) => reconciled === undefined || reconciled.becomes === 'joined')
  const leaves = plan.filter((each) => !joins.includes(each))
  const written: StepFile[] = []
  let { position } = ahead
  let head = state.head
  let bytes = 0
  for (const each of leaves) {
    if (each.reconciled?.becomes !== 'rewritten') continue
    const { step, position: last } = await rewritten(archive, each, head, position)
    written.push(...step.files)
    bytes += step.growth.bytes
    head = step.files.at(-1)!
    position = last
  }
  const rows = written.reduce((sum, file) => sum + file.rows, 0)

  const joined = [...joins.map(({ link }) => linkOf(link)), ...ahead.gaps]
  const aside = leaves.map(({ link }) => linkOf(link))
  for (let from = 0; from === 0 || from < joined.length || from < aside.length; from += MOST_LINKS) {
    position += 1
    const manifest = reconciledManifest(source, {
      program,
      now,
      position,
      previous: head,
      joined: joined.slice(from, from + MOST_LINKS),
      setAside: aside.slice(from, from + MOST_LINKS),
    })
    const text = manifestText(manifest)
    await spool.write(manifest.manifest, text)
    head = { manifest: manifest.manifest, sha256: sha256(text) }
    written.push({ ...head, rows: 0 })
  }
  await spool.sync()

  const kept = joins.flatMap(({ link: { file } }) => (file === undefined ? [] : [file]))
  const step: Step = {
    run: NO_RUN,
    drafts: spool.prefix,
    files: written,
    obsolete: [],
    reconciled: {
      joined: [...joined.map(({ manifest }) => manifest), ...kept.map(({ path }) => path)],
      setAside: leaves.flatMap(({ link }) => [link.file!.path, link.manifest.manifest]),
    },
    growth: await growthTo(archive, ahead, kept, { rows, bytes, files: written.filter(({ path }) => path !== undefined).length }),
    newestAt: newestOf(kept),
  }
  await archive.replace(dropsStep ? { ...state, step: undefined } : state, step, {
    position,
    removed: rangesText(new Uint8Array(rows).fill(1)),
    also: async (tx) =>
      begun?.(tx, { ...written.at(-1)!, files: plan.length, rows: plan.reduce((sum, { reconciled }) => sum + (reconciled?.rows ?? 0), 0) }),
  })
}

/** Writes the rows of a file that exist nowhere else to a file of their own. */
async function rewritten(
  { spool, store, source, options }: Archive,
  { link, elsewhere }: Planned,
  head: Link | null,
  position: number,
): Promise<{ readonly step: Step; readonly position: number }> {
  const { cutoff, retention, day } = link.file!
  const columns = await columnsOf(store, linkOf(link))
  const { program, now, database, stopping } = options
  const files = new DayFiles({
    spool,
    store,
    source,
    run: NO_RUN,
    program,
    columns,
    cutoff: Date.parse(cutoff),
    retentionMs: retention,
    now,
    position,
  })
  try {
    await readRows(
      store,
      link.file!,
      async (line, index) => {
        if (elsewhere[index] === 0) await files.add(lineOf(line, source.timeColumn, database.instantOf), 0, day)
      },
      stopping,
    )
    await files.end()
    return await files.finish(head, [])
  } catch (error) {
    await files.abandon()
    throw error
  }
}

/** A link without rows, which no run writes. */
export function reconciledManifest(
  source: Source,
  { now, ...fields }: Pick<ReconciledManifest, 'program' | 'position' | 'previous' | 'joined' | 'setAside'> & { readonly now: EpochMs },
): ReconciledManifest {
  return {
    format: FORMAT,
    kind: 'reconciled',
    manifest: pathOf(source.table, formatDay(now), NO_RUN, fields.position, MANIFEST_SUFFIX),
    source,
    run: NO_RUN,
    written: formatTime(now),
    ...fields,
  }
}

function linkOf({ manifest: { manifest }, sha256: sum }: AheadLink): Link {
  return { manifest, sha256: sum }
}

/** What the archive will hold, less what the database has recorded. */
async function growthTo(
  { options, source }: Archive,
  { known, links, present }: Ahead,
  joined: readonly RowsFile[],
  written: Growth,
): Promise<Growth> {
  const { database } = options
  const before = await readSummary(database, database.named(ARCHIVES), source.table)
  const removed = removedBy([...known.links, ...links])
  const kept = known.links.flatMap(({ manifest }) => {
    const file = fileIn(manifest)
    return file === undefined || removed.has(manifest.manifest) || !present.has(file.path) ? [] : [file]
  })
  const all = [...kept, ...joined]
  return {
    rows: all.reduce((sum, file) => sum + file.rows, written.rows) - before.rows,
    bytes: all.reduce((sum, file) => sum + file.fileBytes, written.bytes) - before.bytes,
    files: all.length + written.files - before.files,
  }
}

function newestOf(files: readonly RowsFile[]): EpochMs | null {
  const times = files.map(({ last }) => Date.parse(last.time)).filter((time) => !Number.isNaN(time))
  return times.length === 0 ? null : times.reduce((a, b) => Math.max(a, b))
}
