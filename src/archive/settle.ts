import type { Archive } from './archive.ts'
import { discard, removeFor } from './discard.ts'
import type { Kept } from './format.ts'
import { pendingAsWritten } from './pending.ts'
import { columnsOf } from './manifest.ts'
import { mustBeElsewhere } from './only-copies.ts'
import { countOf, rangesText, readRanges } from './ranges.ts'
import { lineOf } from './read/file-line.ts'
import { readRows } from './read/read-rows.ts'
import type { ArchiveState } from './state.ts'
import { pathsOf, NO_GROWTH, type Step } from './step.ts'
import { DayFiles } from './write/day-files.ts'
import { mustKnow } from './unknown-files.ts'
import { mustBeInPlace } from './write/published.ts'

/**
 * Settles pending files, after a crash or when only some rows of a part were deleted, so that the archive holds exactly what was deleted
 * from the database. Can be interrupted anywhere and started again.
 */
export async function settle(archive: Archive): Promise<void> {
  const { record, store, options } = archive
  for (;;) {
    // Flush first: otherwise a server crash that a pooler hides from us could undo what is read here.
    await options.database.durable()
    const state = await record.load(options.database)
    if (archive.isAhead(state)) await mustKnow(archive, state)
    const { step } = state
    if (step === undefined) return
    const drafts = store.spool(step.drafts)
    // A draft that was written ahead has file numbers that settling may allocate again.
    await archive.dropDraft()
    const manifests = await pendingAsWritten(store, state)
    await mustBeElsewhere(archive, state, manifests)
    await discard(archive, step.successors ?? [])
    const rows = step.files.reduce((sum, file) => sum + file.rows, 0)
    const removed = readRanges(state.removed, rows)
    const count = countOf(removed)
    if (count === 0 && rows > 0) {
      // Nothing was deleted yet: every row is in the database.
      await discard(archive, [...step.files.flatMap(pathsOf), ...step.obsolete])
      await drafts.clean(`${step.run}-`)
      const nothing: Step = { ...step, files: [], growth: NO_GROWTH, newestAt: null }
      return options.underLease((tx) => record.close(tx, nothing))
    }
    // Files of a part are published by now; files that an earlier version left pending may not be.
    await drafts.publish(step.files.flatMap(pathsOf))
    await mustBeInPlace(store, step, () => archive.confirmLease())
    if (count === rows) {
      await (rows > 0 ? discard : removeFor)(archive, step.obsolete)
      const { setAside = [] } = step.reconciled ?? {}
      await store.setAside(setAside)
      return options.underLease(async (tx) => {
        await record.close(tx, step)
        // What a dead process sent twice may yet arrive where it was.
        await archive.discarded?.note(tx, setAside, false)
      })
    }
    await rewrite(archive, state, step, { manifests, removed })
  }
}

/** Rewrites the files with only the deleted rows. The new files become the pending ones, with every row deleted. */
async function rewrite(
  archive: Archive,
  state: ArchiveState,
  step: Step,
  { manifests, removed }: { readonly manifests: readonly Kept[]; readonly removed: Uint8Array },
): Promise<void> {
  const { store, spool, source, options } = archive
  const written = manifests.filter((manifest) => manifest.kind === 'rows')
  const [first] = written
  if (first === undefined) throw new TypeError('a partly deleted step has no file of rows')
  const { program, run } = first
  const { cutoff, retention } = first.file
  const columns = await columnsOf(store, step.files[0]!)
  const files = new DayFiles({
    ...state,
    spool,
    store,
    source,
    run,
    program,
    columns,
    cutoff: Date.parse(cutoff),
    retentionMs: retention,
    now: options.now,
  })
  try {
    await spool.clean(`${run}-`)
    let base = 0
    for (const { file } of written) {
      const { day, rows } = file
      await readRows(store, file, async (line, index) => {
        if (removed[base + index] === 1) await files.add(lineOf(line, source.timeColumn, options.database.instantOf), 0, day)
      })
      base += rows
    }
    await files.end()
    const next = await files.finish(state.head, [...step.files.flatMap(pathsOf), ...step.obsolete])
    const all = rangesText(new Uint8Array(next.step.growth.rows).fill(1))
    await archive.replace(state, next.step, { position: next.position, removed: all })
  } catch (error) {
    await files.abandon()
    throw error
  }
}
