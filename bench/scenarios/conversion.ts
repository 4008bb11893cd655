import { setTimeout as sleep } from 'node:timers/promises'
import { longestLockMs, type LockedSpan } from '../../test/support/lock-watch.ts'
import { rise, worstMs } from '../../test/support/traffic.ts'
import { sharedMs, startChild } from '../processes/child.ts'
import type { Gateway, Question } from '../processes/gateway-clients.ts'
import type { Question as LockQuestion } from '../processes/lock-looker.ts'
import { partitionCommand } from '../processes/partition-command.ts'
import { openPlain } from '../processes/plain.ts'
import { quantile } from '../statistics.ts'
import { WRITES_PER_SECOND } from './beside.ts'
import { counted, type Bench, type Scenario } from './scenario.ts'

/** `partition start` and `partition undo` as processes, while a gateway writes and reads: what it notices, and whether a row or a number was lost. */
export const conversion: Scenario = {
  name: 'conversion',
  engines: ['postgres'],
  async measure(bench) {
    const { options } = bench
    const rows = options.sizes.reference
    const trials: Trial[] = []
    for (let repeat = 0; repeat < options.repeats; repeat += 1) {
      bench.progress(`conversion ${repeat + 1}/${options.repeats}`)
      trials.push(await converted(bench, rows))
    }
    const { add } = bench.sheet(
      `Conversion of ${counted(rows)} rows and back, beside a gateway that writes ${WRITES_PER_SECOND.postgres}/s and reads`,
      true,
    )
    for (const way of ['start', 'undo'] as const) {
      const each = (value: (phase: Phase) => number): number[] => trials.map((trial) => value(trial[way]))
      add(
        `conversion.${way}-lock`,
        `${way}: longest time under lock, as the command says`,
        'ms',
        each((phase) => phase.saidMs),
      )
      add(
        `conversion.${way}-seen`,
        `${way}: the same seen from outside, at most`,
        'ms',
        each((phase) => phase.seenMs),
      )
      add(
        `conversion.${way}-worst`,
        `${way}: the writer's worst call`,
        'ms',
        each((phase) => phase.worstMs),
      )
      add(
        `conversion.${way}-p99`,
        `${way}: the writer's p99`,
        'ms',
        each((phase) => phase.p99Ms),
      )
      add(
        `conversion.${way}-reader`,
        `${way}: the reader's worst call`,
        'ms',
        each((phase) => phase.readerMs),
      )
      add(
        `conversion.${way}-time`,
        `${way}: wall time`,
        'ms',
        each((phase) => phase.tookMs),
      )
    }
    add(
      'conversion.quiet',
      "the writer's worst call before",
      'ms',
      trials.map((trial) => trial.quietMs),
    )
    add(
      'conversion.written',
      'calls of the writer',
      'writes',
      trials.map((trial) => trial.written),
    )
    add(
      'conversion.errors',
      'calls that failed, of writer and reader',
      'writes',
      trials.map((trial) => trial.errors),
    )
  },
}

interface Trial {
  readonly start: Phase
  readonly undo: Phase
  readonly quietMs: number
  readonly written: number
  readonly errors: number
}

interface Phase {
  readonly saidMs: number
  readonly seenMs: number
  readonly worstMs: number
  readonly p99Ms: number
  readonly readerMs: number
  readonly tookMs: number
}

const CLIENTS = new URL('../processes/gateway-clients.ts', import.meta.url)
const LOCKS = new URL('../processes/lock-looker.ts', import.meta.url)
const WARM_UP_MS = 1_000
const LEAD_MS = 2_000
/** Stamped ahead, so that `undo` meets rows in partitions of their own. */
const ROWS_AHEAD = 5_000

interface Span {
  readonly fromMs: number
  readonly toMs: number
  readonly saidMs: number
}

async function converted({ workspace, engine, note }: Bench, rows: number): Promise<Trial> {
  await using copy = await engine.copy(rows)
  await using gateway = startChild(workspace, CLIENTS)
  await using watch = startChild(workspace, LOCKS)
  await gateway.ask({ ask: 'begin', url: copy.url, perSecond: WRITES_PER_SECOND.postgres } satisfies Question)
  await watch.ask({ ask: 'begin', url: copy.url } satisfies LockQuestion)
  await sleep(WARM_UP_MS)
  const beganMs = sharedMs()
  await sleep(LEAD_MS)
  const spans = { start: await timed(copy.url, 'start'), undo: NEVER }
  await ahead(copy.url)
  await sleep(LEAD_MS)
  spans.undo = await timed(copy.url, 'undo')
  await sleep(LEAD_MS)
  const locks = await watch.ask<LockedSpan[]>({ ask: 'end' } satisfies LockQuestion)
  const { writer, reader } = await gateway.ask<Gateway>({ ask: 'end' } satisfies Question)

  const errors = [...writer.errors, ...reader.errors]
  if (errors.length > 0) note(`conversion: a call of the gateway failed: ${errors[0]}`)
  if (!rise(writer.ids)) throw new Error('the numbers that the writer got do not rise')
  await mustBeWhole(copy.url, rows + writer.ids.length + ROWS_AHEAD)

  const phaseOf = ({ fromMs, toMs, saidMs }: Span): Phase => ({
    saidMs,
    seenMs: longestLockMs(locks.filter((lock) => lock.fromMs >= fromMs && lock.fromMs <= toMs)),
    worstMs: worstMs(writer.calls, fromMs, toMs),
    p99Ms: quantile(
      writer.calls.filter((call) => call.endedMs >= fromMs && call.startedMs <= toMs).map((call) => call.endedMs - call.startedMs),
      0.99,
    ),
    readerMs: worstMs(reader.calls, fromMs, toMs),
    tookMs: toMs - fromMs,
  })
  return {
    start: phaseOf(spans.start),
    undo: phaseOf(spans.undo),
    quietMs: worstMs(writer.calls, beganMs, spans.start.fromMs),
    written: writer.ids.length,
    errors: errors.length,
  }
}

const NEVER: Span = { fromMs: 0, toMs: 0, saidMs: 0 }

async function timed(url: string, way: 'start' | 'undo'): Promise<Span> {
  const fromMs = sharedMs()
  const { lockedMs } = await partitionCommand(url, way)
  return { fromMs, toMs: sharedMs(), saidMs: lockedMs }
}

async function ahead(url: string): Promise<void> {
  const plain = await openPlain(url)
  await plain.run(
    `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp")
     SELECT 'tool', 'user@example.org', 'invoke', 'success', now() AT TIME ZONE 'UTC' + n % 12 * interval '1 day' FROM generate_series(1, ?::integer) AS n`,
    [ROWS_AHEAD],
  )
  await plain.close()
}

/** A plain table again, with every row, once, and the views on it. */
async function mustBeWhole(url: string, expected: number): Promise<void> {
  const plain = await openPlain(url)
  const one = async (sql: string): Promise<number> => Number((await plain.column(sql, []))[0])
  const [found, numbers, seen, children] = [
    await one('SELECT count(*) FROM audit_logs'),
    await one('SELECT count(DISTINCT id) FROM audit_logs'),
    await one(`SELECT count(*) FROM ONLY audit_logs`),
    await one(`SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass`),
  ]
  await plain.close()
  if (found !== expected || numbers !== expected || seen !== expected || children > 0)
    throw new Error(
      `of ${expected} rows ${found} are there, with ${numbers} numbers, ${seen} in the table itself, and it has ${children} children`,
    )
}
