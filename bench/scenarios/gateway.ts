import { expiredOf } from '../audit-rows.ts'
import type { CopyOptions, EngineName } from '../engines/engine.ts'
import type { Unit } from '../figure.ts'
import { startChild } from '../processes/child.ts'
import { ratios } from '../statistics.ts'
import { beside, WRITES_PER_SECOND, type Beside } from './beside.ts'
import { alternated, counted, type Bench, type Scenario } from './scenario.ts'

/** A gateway writes all the time, in a separate process: what it notices, and what the purge pays for that. */
export const gateway = besideWriter({
  name: 'gateway',
  engines: ['sqlite', 'postgres'],
  where: { sqlite: 'SQLite in WAL mode', postgres: 'PostgreSQL' },
})

export const gatewayLean = besideWriter({
  name: 'gateway-lean',
  engines: ['sqlite'],
  where: { sqlite: 'SQLite in WAL mode, without the redundant index' },
  copy: { indexes: 'lean' },
})

/** Something else keeps one processor busy: whatever a purge takes of the other one, the gateway lacks. */
export const gatewayBusy = besideWriter({
  name: 'gateway-busy',
  engines: ['sqlite', 'postgres'],
  where: { sqlite: 'SQLite in WAL mode, one core kept busy', postgres: 'PostgreSQL, one core kept busy' },
  busy: true,
})

/** Each commit of the gateway waits for the disk; those of the purge do not. */
export const gatewaySlowDisk = besideWriter({
  name: 'gateway-slow-disk',
  engines: ['postgres'],
  where: { postgres: 'PostgreSQL, each flush of the log 5 ms longer' },
  flushMs: 5,
  // One connection cannot write 200 times a second where each commit waits for longer than 5 ms.
  perSecond: 100,
})

/** A polite purge without a WAL takes minutes, and no target says how many: ten seconds show what the writer notices. */
export const rollback = besideWriter({
  name: 'rollback',
  engines: ['sqlite'],
  where: { sqlite: 'SQLite in rollback-journal mode' },
  copy: { journal: 'delete' },
  mostMs: 10_000,
})

const BUSY = new URL('../processes/busy.ts', import.meta.url)

interface Situation {
  readonly name: string
  readonly engines: readonly EngineName[]
  readonly where: Readonly<Partial<Record<EngineName, string>>>
  readonly copy?: CopyOptions
  /** One core is kept busy. */
  readonly busy?: boolean
  /** How much longer a flush of the log takes, in ms. */
  readonly flushMs?: number
  /** Writes a second; absent: the engine's usual load. */
  readonly perSecond?: number
  /** The purge is stopped after this time at the latest. */
  readonly mostMs?: number
}

function besideWriter({
  name,
  engines,
  where,
  copy: copyOptions = {},
  busy = false,
  flushMs = 0,
  perSecond: writes,
  mostMs = Infinity,
}: Situation): Scenario {
  return {
    name,
    engines,
    async measure(bench) {
      const { engine, options } = bench
      const rows = options.sizes.reference
      const perSecond = writes ?? WRITES_PER_SECOND[engine.name]
      await using stack = new AsyncDisposableStack()
      if (busy) await stack.use(startChild(bench.workspace, BUSY)).ask({})
      if (flushMs > 0) stack.use(await engine.slowDisk(flushMs))
      const trials = await alternated(['ours', 'delete'], options.repeats, async (method, repeat) => {
        bench.progress(`${name}: ${method} ${repeat + 1}/${options.repeats}`)
        await using copy = await engine.copy(rows, copyOptions)
        // How the writer does undisturbed is only measured for our own purge.
        const leadMs = options.quick || method === 'delete' ? 1_000 : 5_000
        return await beside(bench, copy, method, { leadMs, limitMs: Math.min(bench.limitMs(rows), mostMs), perSecond })
      })
      const title = `With a gateway writing ${perSecond}/s: ${counted(expiredOf(rows))} of ${counted(rows)} rows, ${where[engine.name]}`
      addFigures(bench, name, title, trials)
    },
  }
}

function addFigures(bench: Bench, name: string, title: string, { ours, delete: plain }: Record<'ours' | 'delete', Beside[]>): void {
  const { add } = bench.sheet(title, true)
  const each = (what: string, text: string, unit: Unit, trials: readonly Beside[], value: (trial: Beside) => number): void =>
    add(`${name}.${what}`, text, unit, trials.map(value))

  if (bench.engine.name === 'sqlite') {
    each('p99', "the writer's p99", 'ms', ours, (trial) => trial.disturbed.p99)
  } else {
    each('p99', "the writer's p99 / without a purge", '×', ours, (trial) => trial.disturbed.p99 / trial.undisturbed.p99)
    each('p99-ms', "the writer's p99", 'ms', ours, (trial) => trial.disturbed.p99)
  }
  add(`${name}.time`, 'wall time / one DELETE', '×', ratios(ours.map(total), plain.map(total)))
  if (bench.engine.name === 'sqlite') {
    each('wal', 'the WAL file at its largest', 'MB', name === 'rollback' ? [] : ours, (trial) => trial.largestWalBytes / 1e6)
    each('busy', 'writes refused with SQLITE_BUSY (busy timeout 5 s)', 'writes', ours, (trial) => trial.disturbed.busy)
  }
  each('max', "the writer's slowest", 'ms', ours, (trial) => trial.disturbed.most)
  each('due', "the writer's p99 from when each was due", 'ms', ours, (trial) => trial.disturbed.dueP99)
  each('ours', 'wall time', 'ms', ours, total)
  each('p99-none', "the writer's p99 without a purge", 'ms', ours, (trial) => trial.undisturbed.p99)
  each('p99-delete', "the writer's p99 beside one DELETE", 'ms', plain, (trial) => trial.disturbed.p99)
  each('delete', 'wall time of one DELETE', 'ms', plain, total)
  if (bench.engine.name === 'sqlite' && name !== 'rollback')
    each('wal-delete', 'the WAL file at its largest beside one DELETE', 'MB', plain, (trial) => trial.largestWalBytes / 1e6)

  const stopped = ours.filter((trial) => !trial.finished).length
  if (stopped > 0)
    bench.note(`${name}: ${stopped} of ${ours.length} purges were stopped at the limit; their totals are computed from what they did`)
}

function total(trial: Beside): number {
  return trial.totalMs
}
