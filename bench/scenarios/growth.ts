import { expiredOf } from '../audit-rows.ts'
import type { EngineName } from '../engines/engine.ts'
import type { Batch } from '../processes/contender.ts'
import { purged, totalMs } from '../processes/trials.ts'
import { median } from '../statistics.ts'
import { counted, type Scenario } from './scenario.ts'

/** Compares batches of one size, because the job itself would change it as it goes. */
const MOST_ROWS_A_BATCH = { sqlite: 2_500, postgres: 1_000 } as const satisfies Record<EngineName, number>
const LEAST_BATCHES = 50

/** An old transaction keeps every deleted row alive: the last batches should take no longer than the first. */
export const growth: Scenario = {
  name: 'growth',
  engines: ['sqlite', 'postgres'],
  async measure(bench) {
    const { engine, options, workspace } = bench
    const rows = options.sizes.reference
    const rowsABatch = Math.min(MOST_ROWS_A_BATCH[engine.name], Math.floor(expiredOf(rows) / LEAST_BATCHES))
    const runs: { batches: readonly Batch[]; ms: number }[] = []
    for (let repeat = 1; repeat <= options.repeats; repeat += 1) {
      bench.progress(`growth: ${repeat}/${options.repeats}`)
      await using copy = await engine.copy(rows)
      await using resources = new AsyncDisposableStack()
      resources.use(await copy.oldTransaction())
      const trial = await purged(workspace, { rowsABatch }, copy, bench.limitMs(rows))
      runs.push({ batches: trial.batches, ms: totalMs(trial, copy) })
      if (!trial.finished) bench.note(`growth: purge ${repeat} was stopped at the limit after ${counted(trial.deleted)} rows`)
    }
    const { add } = bench.sheet(
      `With an old transaction open: ${counted(expiredOf(rows))} of ${counted(rows)} rows, ${counted(rowsABatch)} a batch`,
      true,
    )
    add(
      'growth.batch',
      'time of a batch, last ten / first ten',
      '×',
      runs.map(({ batches }) => grown(batches)),
    )
    add(
      'growth.ours',
      'wall time',
      'ms',
      runs.map(({ ms }) => ms),
    )
  },
}

/** Includes finding the rows, which an old transaction makes slow if it is done badly. */
function batchMs(batch: Batch): number {
  return batch.chooseMs + batch.transactionMs
}

function grown(batches: readonly Batch[]): number {
  // The last batch may be smaller.
  const full = batches.slice(0, -1)
  const some = Math.min(10, Math.floor(full.length / 2))
  return median(full.slice(-some).map(batchMs)) / median(full.slice(0, some).map(batchMs))
}
