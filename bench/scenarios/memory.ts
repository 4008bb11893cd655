import { purged } from '../processes/trials.ts'
import { ratios } from '../statistics.ts'
import { alternated, counted, type Scenario } from './scenario.ts'

/** The most memory that the purging process ever has resident: it must not grow with the table. */
export const memory: Scenario = {
  name: 'memory',
  engines: ['sqlite', 'postgres'],
  async measure(bench) {
    const { engine, options, workspace } = bench
    const { small, largest } = options.sizes
    const repeats = largest > options.sizes.reference ? Math.min(options.repeats, 3) : options.repeats
    const peaks = await alternated(['few', 'many'], repeats, async (name, repeat) => {
      bench.progress(`memory: ${repeat + 1}/${repeats}`)
      const rows = name === 'few' ? small : largest
      await using copy = await engine.copy(rows)
      return (await purged(workspace, 'ours', copy, bench.limitMs(rows))).peakBytes
    })
    const { add } = bench.sheet(`Memory of the purge: ${counted(largest)} and ${counted(small)} rows`, true)
    add('memory.peak', 'peak resident, large table / small', '×', ratios(peaks.many, peaks.few))
    add(
      'memory.many',
      'peak resident, large table',
      'MB',
      peaks.many.map((bytes) => bytes / 1e6),
    )
  },
}
