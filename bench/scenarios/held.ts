import { DAY } from '../../src/time/clock.ts'
import { stored } from '../audit-rows.ts'
import { openPlain } from '../processes/plain.ts'
import { countedRows, purgedAtNight } from '../processes/trials.ts'
import { ratios } from '../statistics.ts'
import { alternated, counted, type Bench, type Scenario } from './scenario.ts'

/** By then nearly every row has expired. */
const NEAR_RETENTION_MS = DAY
/** All of the benchmark's users. */
const EVERYBODY = 'user-*'
/** As a hold compares: without the case of the letters of ASCII. */
const COUNTED = {
  sqlite: `SELECT count(*) FROM audit_logs WHERE timestamp < ? AND substr(lower("user"), 1, 5) = 'user-'`,
  postgres: `SELECT count(*) FROM audit_logs WHERE timestamp < ? AND starts_with(lower("user" COLLATE "C"), 'user-')`,
}

/** A hold keeps every row that has expired: what a night costs in which nothing can be deleted, against counting these rows by the statement that a person would type. */
export const held: Scenario = {
  name: 'held',
  engines: ['sqlite', 'postgres'],
  async measure(bench) {
    const { engine, options, workspace } = bench
    const rows = options.sizes.reference
    bench.progress('held: making the database')
    await using copy = await engine.copy(rows)
    const plain = await openPlain(copy.url)
    await plain.run(
      `INSERT INTO maintenance_holds (name, job, matches, reason, placed_at, placed_by) VALUES ('benchmark', 'purge-audit-logs', ?, 'none goes', 0, 'benchmark')`,
      [JSON.stringify({ user: [EVERYBODY] })],
    )
    await plain.close()
    const night = async (): Promise<number> => await nightMs(bench, copy.url)
    bench.progress('held: the first night')
    await night()
    const times = await alternated(['night', 'count'], options.repeats, async (what, repeat) => {
      bench.progress(`held: ${what} ${repeat + 1}/${options.repeats}`)
      return what === 'night'
        ? await night()
        : await countedRows(workspace, copy.url, COUNTED[engine.name], [stored(Date.now() - NEAR_RETENTION_MS)])
    })
    const { add } = bench.sheet(`Held: a night on ${counted(rows)} rows, nearly all of them expired and all of them held`, true)
    add('held.night', 'time of the job / one count of the held rows', '×', ratios(times.night, times.count))
    add('held.ours', 'time of the job', 'ms', times.night)
    add('held.count', 'time of one count', 'ms', times.count)
  },
}

async function nightMs(bench: Bench, url: string): Promise<number> {
  const limitMs = bench.limitMs(bench.options.sizes.reference)
  const { startedMs, endedMs, deleted, batches } = await purgedAtNight(bench.workspace, url, NEAR_RETENTION_MS, limitMs)
  if (deleted > 0 || batches.some((batch) => batch.rows > 0)) throw new Error(`${deleted} rows were deleted although all are held`)
  return endedMs - startedMs
}
