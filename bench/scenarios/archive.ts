import { expiredOf } from '../audit-rows.ts'
import { purged, totalMs } from '../processes/trials.ts'
import { ratios } from '../statistics.ts'
import { beside, WRITES_PER_SECOND, type Beside } from './beside.ts'
import { alternated, counted, type Scenario } from './scenario.ts'

/** What it costs to write the rows to files first, whether memory grows with them, and what a gateway notices. */
export const archive: Scenario = {
  name: 'archive',
  engines: ['sqlite', 'postgres'],
  async measure(bench) {
    const { engine, options, workspace } = bench
    const rows = options.sizes.reference
    const fewer = Math.ceil(rows / 4)
    const trials = await alternated(['archive', 'ours', 'fewer'], options.repeats, async (name, repeat) => {
      bench.progress(`archive, ${counted(rows)} rows: ${name} ${repeat + 1}/${options.repeats}`)
      await using copy = await engine.copy(name === 'fewer' ? fewer : rows)
      const trial = await purged(workspace, name === 'ours' ? 'ours' : 'archive', copy, 4 * bench.limitMs(rows))
      return {
        totalMs: totalMs(trial, copy),
        peakBytes: trial.peakBytes,
        holdMs: Math.max(...trial.batches.map((batch) => batch.transactionMs)),
      }
    })
    const writers: Beside[] = []
    while (writers.length < options.repeats) {
      bench.progress(`archive, beside a writer: ${writers.length + 1}/${options.repeats}`)
      await using copy = await engine.copy(rows)
      writers.push(await beside(bench, copy, 'archive', { leadMs: options.quick ? 1_000 : 5_000, limitMs: bench.limitMs(rows) }))
    }
    const { add } = bench.sheet(`Archive: ${counted(expiredOf(rows))} of ${counted(rows)} rows`, true)
    const each = (name: keyof typeof trials, of: 'totalMs' | 'peakBytes' | 'holdMs'): number[] => trials[name].map((trial) => trial[of])
    add('archive.time', 'wall time with archive / without', '×', ratios(each('archive', 'totalMs'), each('ours', 'totalMs')))
    add(
      'archive.memory',
      `peak resident, ${counted(expiredOf(rows))} rows / ${counted(expiredOf(fewer))}`,
      '×',
      ratios(each('archive', 'peakBytes'), each('fewer', 'peakBytes')),
    )
    add('archive.with', 'wall time with archive', 'ms', each('archive', 'totalMs'))
    add('archive.without', 'wall time without', 'ms', each('ours', 'totalMs'))
    add('archive.hold', 'longest batch with archive', 'ms', each('archive', 'holdMs'))
    add(
      'archive.peak',
      'peak resident with archive',
      'MB',
      each('archive', 'peakBytes').map((bytes) => bytes / 1e6),
    )
    add(
      'archive.p99',
      `p99 of a writer (${WRITES_PER_SECOND[engine.name]}/s) beside it`,
      'ms',
      writers.map(({ disturbed }) => disturbed.p99),
    )
    add(
      'archive.p99-none',
      "the writer's p99 without a purge",
      'ms',
      writers.map(({ undisturbed }) => undisturbed.p99),
    )
    add(
      'archive.max',
      "the writer's slowest",
      'ms',
      writers.map(({ disturbed }) => disturbed.most),
    )
  },
}
