import { expiredOf } from '../audit-rows.ts'
import type { Indexes } from '../engines/engine.ts'
import type { Batch } from '../processes/contender.ts'
import type { Method } from '../processes/contenders.ts'
import type { Trial } from '../processes/purger.ts'
import { purged, totalMs } from '../processes/trials.ts'
import { ratios } from '../statistics.ts'
import { alternated, counted, type Bench, type Scenario } from './scenario.ts'

/** Nobody else uses the database: how long the purge takes and how long it holds locks, compared with the statement that a person would type. */
export const alone: Scenario = {
  name: 'alone',
  engines: ['sqlite', 'postgres'],
  async measure(bench) {
    const { sizes } = bench.options
    for (const rows of new Set([sizes.small, sizes.reference, sizes.largest])) await compared(bench, rows, 'published')
    if (bench.engine.name === 'sqlite') await compared(bench, sizes.reference, 'lean')
  },
}

type Measured = Trial & { readonly totalMs: number; readonly walBytes: number }

/** A database larger than the reference only shows growth: fewer repeats, and without the slowest contender. */
const REPEATS_OF_LARGER = 3

async function compared(bench: Bench, rows: number, indexes: Indexes): Promise<void> {
  const { engine, options, workspace } = bench
  const larger = rows > options.sizes.reference
  const methods: readonly Method[] = larger || indexes === 'lean' ? ['ours', 'delete'] : ['ours', 'delete', 'naive']
  const repeats = larger ? Math.min(options.repeats, REPEATS_OF_LARGER) : options.repeats
  const trials = await alternated(methods, repeats, async (method, repeat): Promise<Measured> => {
    bench.progress(`alone, ${counted(rows)} rows, ${indexes}: ${method} ${repeat + 1}/${repeats}`)
    await using copy = await engine.copy(rows, { indexes })
    const before = await copy.walBytes()
    const trial = await purged(workspace, method, copy, bench.limitMs(rows))
    return { ...trial, totalMs: totalMs(trial, copy), walBytes: (await copy.walBytes()) - before }
  })

  const title = `Alone: ${counted(expiredOf(rows))} of ${counted(rows)} rows, ${indexes === 'lean' ? 'without' : 'with'} the redundant index`
  const { add, judged } = bench.sheet(title, rows === options.sizes.reference)
  const times = (method: Method): number[] => trials[method].map((trial) => trial.totalMs)
  add('alone.time', 'wall time / one DELETE', '×', ratios(times('ours'), times('delete')))
  add('alone.hold', engine.name === 'sqlite' ? 'longest hold' : 'longest batch', 'ms', trials.ours.map(longest))
  if (engine.name === 'postgres')
    add('alone.wal', 'WAL written / one DELETE', '×', ratios(trials.ours.map(walOf), trials.delete.map(walOf)))
  add('alone.ours', 'wall time', 'ms', times('ours'))
  add('alone.delete', 'wall time of one DELETE', 'ms', times('delete'))
  add(
    'alone.batches',
    'batches',
    'batches',
    trials.ours.map((trial) => trial.batches.length),
  )
  if (judged && methods.includes('naive')) {
    add('alone.naive', 'naive batches / one DELETE', '×', ratios(times('naive'), times('delete')))
    add('alone.naive-hold', 'longest naive batch', 'ms', trials.naive.map(longest))
  }
}

/** Without anybody to wait for, the whole transaction is the hold: this measures it from outside, instead of trusting the program's own figure. */
function longest(trial: Trial): number {
  return Math.max(...trial.batches.map((batch: Batch) => batch.transactionMs))
}

function walOf(trial: Measured): number {
  return trial.walBytes
}
