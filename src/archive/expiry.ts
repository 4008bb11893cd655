import type { Transaction } from '../database/query.ts'
import type { Hold } from '../policy/holds.ts'
import { formatDay, formatTime } from '../time/clock.ts'
import type { RetentionRecord } from './archive-retention.ts'
import type { Archive } from './archive.ts'
import { chooseExpired, type Choice } from './expired-files.ts'
import {
  FORMAT,
  keptIn,
  LONGEST,
  MOST_LINKS,
  MOST_MANIFEST_BYTES,
  MOST_NAMED,
  sha256,
  type KeptFile,
  type RemovalManifest,
} from './format.ts'
import { HeldFiles, type ReadHolds } from './held-files.ts'
import { firstKeptDay, oldestDay } from './holdings.ts'
import { manifestText } from './manifest.ts'
import { settle } from './settle.ts'
import type { ArchiveState } from './state.ts'
import type { Step } from './step.ts'
import { MANIFEST_SUFFIX, pathOf, rowsOf } from './store/path.ts'

export interface Expiring {
  readonly retention: RetentionRecord
  readonly keptMs: number
  /** `undefined`: there can be none. */
  readonly readHolds: ReadHolds | undefined
  /** Called in the transaction that begins a removal: from then on it is ended, whatever happens. Absent: nobody wants to know. */
  readonly begun?: ((tx: Transaction, removal: BegunRemoval) => Promise<void>) | undefined
  /** See `lateFileStaysUntil`. */
  readonly lateKeptMs?: number | undefined
}

export interface BegunRemoval {
  /** That names the removed files, and its digest. */
  readonly manifest: string
  readonly sha256: string
  readonly files: number
  readonly rows: number
  readonly bytes: number
}

/**
 * Removes the files of whole days that are past the archive's retention, but those of which a hold keeps a row. The removal is a link of the chain and names the
 * manifests of the removed files, which stay, so that an intended removal can be told from a loss.
 */
export async function expireFiles(archive: Archive, { retention, keptMs, readHolds, begun, lateKeptMs }: Expiring): Promise<void> {
  const { store, record, source, options } = archive
  const { database, now, run } = options
  const before = firstKeptDay(now, keptMs)
  const held = new HeldFiles((name) => database.named(name), source.table)
  for (;;) {
    if (options.stopping.aborted || ((await oldestDay(store)) ?? before) >= before) return
    const holds = (await readHolds?.(database)) ?? []
    await held.load(database, holds)
    const choice = await chooseExpired({ archive, holds, held, before, lateKeptMs })
    const { removed } = choice
    if (removed.length === 0 || options.stopping.aborted) return
    const state = await record.load(database)
    const rows = removed.reduce((sum, { file }) => sum + file.rows, 0)
    const bytes = removed.reduce((sum, { file }) => sum + file.fileBytes, 0)
    const step = await writeRemoval(archive, state, choice)
    try {
      await archive.replace(state, step, {
        position: state.position + 1,
        removed: '',
        also: async (tx) => {
          await mustBeAllHolds(tx, holds, readHolds)
          await retention.noteRemoved(tx, run, { rows, bytes, files: removed.length })
          const { manifest, sha256: digest } = step.files[0]!
          await begun?.(tx, { manifest, sha256: digest, files: removed.length, rows, bytes })
        },
      })
    } catch (error) {
      // Nothing was begun: settling discards the manifest, and the files are chosen again with that hold.
      if (!(error instanceof HoldPlaced)) throw error
    }
    await settle(archive)
  }
}

/** A hold was placed after the files were chosen. */
class HoldPlaced extends Error {
  override readonly name = 'HoldPlaced'
}

/** In the transaction that begins a removal, under the lease: whoever places a hold waits for it, or comes before it. */
async function mustBeAllHolds(tx: Transaction, known: readonly Hold[], readHolds: ReadHolds | undefined): Promise<void> {
  const ids = new Set(known.map(({ id }) => id))
  const added = ((await readHolds?.(tx)) ?? []).some(({ id }) => !ids.has(id))
  if (added) throw new HoldPlaced('a hold was placed while expired files were chosen')
}

/** Writes the manifest to the spool. */
async function writeRemoval({ spool, source, options }: Archive, state: ArchiveState, choice: Choice): Promise<Step> {
  const { run, program, now } = options
  const position = state.position + 1
  const removed = choice.removed.map(({ link }) => link)
  const kept = unsaid(choice)
  const manifest: RemovalManifest = {
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
    ...(kept.length === 0 ? {} : { kept }),
  }
  const text = manifestText(manifest)
  // An interrupted attempt may have left this file in the spool.
  await spool.clean(`${run}-`)
  await spool.write(manifest.manifest, text)
  await spool.sync()
  const sum = (count: 'rows' | 'fileBytes'): number => choice.removed.reduce((total, { file }) => total + file[count], 0)
  return {
    run,
    drafts: spool.prefix,
    files: [{ manifest: manifest.manifest, sha256: sha256(text), rows: 0 }],
    obsolete: removed.map((link) => rowsOf(link.manifest)),
    growth: { rows: -sum('rows'), bytes: -sum('fileBytes'), files: -removed.length },
    newestAt: null,
  }
}

/**
 * The files that are kept, as far as no earlier removal says it in the same words: manifests stay for ever, so a file that is held for years is named once. What
 * does not fit is said by the next removal.
 */
function unsaid({ kept, chain }: Choice): readonly KeptFile[] {
  const said = new Map<string, string>()
  // Oldest first: the last word counts.
  for (const { manifest } of chain.toReversed()) for (const file of keptIn(manifest)) said.set(file.manifest, file.holds.join('\n'))
  const files: KeptFile[] = []
  let bytes = 0
  for (const { manifest, holds } of kept) {
    const file = { manifest, holds: holds.slice(0, MOST_NAMED).map((name) => name.slice(0, LONGEST.hold).toWellFormed()) }
    if (said.get(manifest) === file.holds.join('\n')) continue
    bytes += Buffer.byteLength(JSON.stringify(file, null, 6))
    if (files.length === MOST_LINKS || bytes > MOST_KEPT_BYTES) break
    files.push(file)
  }
  return files
}

/** A quarter of the largest manifest: links to the removed files take less than the rest. */
const MOST_KEPT_BYTES = MOST_MANIFEST_BYTES / 4
