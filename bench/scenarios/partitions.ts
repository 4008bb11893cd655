import { HOUR } from '../../src/time/clock.ts'
import { expiredOf, HISTORY_DAYS, retentionOf } from '../audit-rows.ts'
import type { Copy } from '../engines/engine.ts'
import { lastMidnight } from '../engines/postgres.ts'
import type { Method } from '../processes/contenders.ts'
import { openPlain } from '../processes/plain.ts'
import { purged } from '../processes/trials.ts'
import { ratios } from '../statistics.ts'
import { beside, type Beside } from './beside.ts'
import { alternated, counted, type Bench, type Scenario } from './scenario.ts'

/** A night on a table whose expired rows fill whole partitions, against the same rows in a plain table: by one DELETE, and by the batches of the job. */
export const partitions: Scenario = {
  name: 'partitions',
  engines: ['postgres'],
  async measure(bench) {
    for (const days of bench.options.days === undefined ? [USUAL_DAYS, HISTORY_DAYS] : [bench.options.days]) await night(bench, days)
  },
}

/** A quarter of them has expired: one partition, as in a usual night. */
const USUAL_DAYS = 4

type Contender = 'whole' | 'batches' | 'delete'

const METHODS: Readonly<Record<Contender, { readonly method: Method; readonly daily: boolean }>> = {
  whole: { method: 'whole', daily: true },
  batches: { method: 'ours', daily: false },
  delete: { method: 'delete', daily: false },
}
const NAMES = ['whole', 'batches', 'delete'] as const
/** The log is measured with nobody else writing it, and hardly differs between repeats. */
const REPEATS_ALONE = 2

async function night(bench: Bench, days: number): Promise<void> {
  const { options } = bench
  const rows = options.sizes.reference
  const copied = (name: Contender): Promise<Copy> =>
    bench.engine.copy(rows, { spread: { days, small: options.smallRows, daily: METHODS[name].daily } })
  const limitMs = bench.limitMs(rows)

  const alone = await alternated(NAMES, Math.min(REPEATS_ALONE, options.repeats), async (name, repeat): Promise<number> => {
    bench.progress(`partitions of ${days} days, alone: ${name} ${repeat + 1}`)
    await using copy = await copied(name)
    const before = await copy.walBytes()
    await purged(bench.workspace, METHODS[name].method, copy, limitMs, retentionMs(days))
    const written = (await copy.walBytes()) - before
    if (METHODS[name].daily) await mustBeGone(copy, days)
    return written
  })
  const trials = await alternated(NAMES, options.repeats, async (name, repeat) => {
    bench.progress(`partitions of ${days} days, beside a writer: ${name} ${repeat + 1}/${options.repeats}`)
    await using copy = await copied(name)
    const leadMs = options.quick ? 1_000 : 5_000
    const trial = await beside(bench, copy, METHODS[name].method, {
      leadMs,
      limitMs,
      retentionMs: retentionMs(days),
      locks: true,
      sameSpan: true,
    })
    if (METHODS[name].daily) await mustBeGone(copy, days)
    return trial
  })

  const small = options.smallRows ? ' small' : ''
  const { add } = bench.sheet(
    `The night: ${counted(expiredOf(rows))} of ${counted(rows)}${small} rows, ${days === USUAL_DAYS ? 'a whole partition' : `${days / 4} whole partitions`} of ${days} days, beside a gateway that writes`,
    true,
  )
  const times = (name: Contender): number[] => trials[name].map((trial) => trial.totalMs)
  const quiet = NAMES.flatMap((name) => trials[name].map((trial) => trial.undisturbed.p99))
  const each = (name: Contender, value: (trial: Beside) => number): number[] => trials[name].map(value)
  add('partitions.time', 'wall time / one DELETE', '×', ratios(times('whole'), times('delete')))
  add('partitions.time-batches', 'wall time / batches', '×', ratios(times('whole'), times('batches')))
  add(
    'partitions.lock',
    'longest time under lock, at most',
    'ms',
    each('whole', (trial) => trial.lockedMs),
  )
  add('partitions.wal', 'WAL written, alone / one DELETE', '×', ratios(alone.whole, alone.delete))
  add(
    'partitions.p99',
    "the writer's p99 in the seconds of the purge / the greatest in as many without",
    '×',
    each('whole', (trial) => trial.disturbed.p99 / Math.max(...quiet)),
  )
  add('partitions.quiet', "the writer's p99 without a purge", 'ms', quiet)
  for (const name of NAMES) {
    add(`partitions.${name}`, `wall time, ${TEXT[name]}`, 'ms', times(name))
    add(
      `partitions.${name}-p99`,
      `the writer's p99, ${TEXT[name]}`,
      'ms',
      each(name, (trial) => trial.disturbed.p99),
    )
    add(
      `partitions.${name}-most`,
      `the writer's slowest, ${TEXT[name]}`,
      'ms',
      each(name, (trial) => trial.disturbed.most),
    )
    add(
      `partitions.${name}-wal`,
      `WAL written, alone, ${TEXT[name]}`,
      'MB',
      alone[name].map((bytes) => bytes / 1e6),
    )
  }
}

const TEXT = { whole: 'whole partitions', batches: 'batches', delete: 'one DELETE' } as const

/** With it the cutoff lies in the gap in which no row was written, an hour after midnight: all that has expired is in whole partitions, at whatever hour the benchmark runs. */
function retentionMs(days: number): number {
  return Date.now() - (lastMidnight() - retentionOf(days) + HOUR)
}

/** Otherwise it was measured what batches cost on a partitioned table. */
async function mustBeGone(copy: Copy, days: number): Promise<void> {
  const plain = await openPlain(copy.url)
  const [left] = await plain.column(
    `SELECT count(*) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'audit_logs'::regclass AND c.relname < ? AND c.relname LIKE 'audit\\_logs\\_p%'`,
    [`audit_logs_p${new Date(lastMidnight() - retentionOf(days)).toISOString().slice(0, 10).replaceAll('-', '')}`],
  )
  await plain.close()
  if (Number(left) > 0) throw new Error(`${left} partitions are there whose rows have all expired: they were not dropped as a whole`)
}
