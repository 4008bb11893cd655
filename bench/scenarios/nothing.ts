import { DAY } from '../../src/time/clock.ts'
import { RETENTION_MS } from '../audit-rows.ts'
import type { Copy } from '../engines/engine.ts'
import { nothingExpired } from '../processes/trials.ts'
import { ratios } from '../statistics.ts'
import { alternated, counted, type Scenario } from './scenario.ts'

const FAR_RETENTION_MS = 365 * DAY

/** Nothing has expired, as in most runs: the job's time must not grow with the table. */
export const nothing: Scenario = {
  name: 'nothing',
  engines: ['sqlite', 'postgres'],
  async measure(bench) {
    const { engine, options, workspace } = bench
    const { small, largest } = options.sizes
    bench.progress('nothing expired: making the databases')
    await using few = await engine.copy(small)
    await using many = await engine.copy(largest)
    await few.deleteExpired()
    await many.deleteExpired()

    const times = options.quick ? 20 : 100
    const measured = async (retentionMs: number): Promise<{ few: number[]; many: number[] }> =>
      await alternated(['few', 'many'], options.repeats, async (name, repeat) => {
        bench.progress(`nothing expired: ${repeat + 1}/${options.repeats}`)
        const copy: Copy = name === 'few' ? few : many
        return await nothingExpired(workspace, copy, retentionMs, times)
      })
    const near = await measured(RETENTION_MS)
    const far = await measured(FAR_RETENTION_MS)

    const { add } = bench.sheet(`Nothing expired: ${counted(largest)} and ${counted(small)} rows`, true)
    add('nothing.time', 'time of the job, large table / small', '×', ratios(near.many, near.few))
    add('nothing.many', 'time of the job, large table', 'ms', near.many)
    add('nothing.far', 'the same, oldest row far from its retention', '×', ratios(far.many, far.few))
  },
}
