import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expiredOf } from '../audit-rows.ts'
import type { Copy } from '../engines/engine.ts'
import { missingPrograms } from '../processes/by-hand.ts'
import type { Keeping } from '../processes/contender.ts'
import { startObjectStore } from '../processes/object-store.ts'
import { openPlain } from '../processes/plain.ts'
import { purged, totalMs } from '../processes/trials.ts'
import { ratios } from '../statistics.ts'
import { keptRows } from './kept-rows.ts'
import { alternated, counted, type Bench, type Scenario } from './scenario.ts'

type Where = Keeping['keeps']

/** What an archive in a bucket costs beside one in a folder, and that beside what a person would type. */
export const objectStorage: Scenario = {
  name: 'object-storage',
  engines: ['sqlite', 'postgres'],
  async measure(bench) {
    const { engine, options } = bench
    const rows = options.sizes.reference
    const missing = await missingPrograms(engine.name)
    const byHand = missing.length === 0
    if (!byHand)
      bench.note(`object-storage: nothing is compared with what a person would type, because ${missing.join(' and ')} cannot be started`)
    const wheres: readonly Where[] = ['in a bucket', 'in a folder', ...(byHand ? (['by hand'] as const) : [])]
    const trials = await alternated(wheres, options.repeats, async (where, repeat) => {
      bench.progress(`object-storage, ${counted(rows)} rows: ${where} ${repeat + 1}/${options.repeats}`)
      return await measured(bench, where, rows)
    })
    const { add } = bench.sheet(`Rows kept in a bucket, in a folder, by hand: ${counted(expiredOf(rows))} of ${counted(rows)} rows`, true)
    const times = (where: Where): number[] => trials[where].map((trial) => trial.totalMs)
    const peaks = (where: Where): number[] => trials[where].map(({ peakBytes }) => peakBytes / 1e6)
    add('object-storage.bucket', 'wall time, in a bucket / in a folder', '×', ratios(times('in a bucket'), times('in a folder')))
    if (byHand) add('object-storage.folder', 'wall time, in a folder / by hand', '×', ratios(times('in a folder'), times('by hand')))
    add('object-storage.bucket-ms', 'wall time, in a bucket', 'ms', times('in a bucket'))
    add('object-storage.folder-ms', 'wall time, in a folder', 'ms', times('in a folder'))
    if (byHand) add('object-storage.by-hand-ms', 'wall time, by hand', 'ms', times('by hand'))
    add('object-storage.bucket-peak', 'peak resident, in a bucket', 'MB', peaks('in a bucket'))
    add('object-storage.folder-peak', 'peak resident, in a folder', 'MB', peaks('in a folder'))
  },
}

interface Measured {
  readonly totalMs: number
  readonly peakBytes: number
}

async function measured(bench: Bench, where: Where, rows: number): Promise<Measured> {
  const { engine, workspace } = bench
  const folder = await mkdtemp(join(workspace.folder, 'kept-'))
  try {
    await using store = where === 'in a bucket' ? await startObjectStore(workspace) : undefined
    await using copy = await engine.copy(rows)
    const keeping: Keeping =
      where === 'by hand'
        ? { keeps: where, file: join(folder, 'rows.zst') }
        : store === undefined
          ? { keeps: 'in a folder', directory: folder }
          : { keeps: 'in a bucket', store, spool: folder }
    const trial = await purged(workspace, keeping, copy, 4 * bench.limitMs(rows))
    if (!trial.finished) throw new Error(`object-storage: the purge that keeps its rows ${where} was stopped, since it took too long`)
    await mustBeKept(keeping, copy)
    return { totalMs: totalMs(trial, copy), peakBytes: trial.peakBytes }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Each expired row is where it should be, and no other is gone. */
async function mustBeKept(keeping: Keeping, copy: Copy): Promise<void> {
  const expected = expiredOf(copy.rows)
  const plain = await openPlain(copy.url)
  const [left] = await plain.column('SELECT count(*) FROM audit_logs', [])
  await plain.close()
  const kept = await keptRows(keeping)
  if (kept !== expected || Number(left) !== copy.rows - expected)
    throw new Error(`object-storage: ${kept} rows are kept ${keeping.keeps} and ${left} left, of ${copy.rows}; ${expected} had expired`)
}
