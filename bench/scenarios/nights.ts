import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import BetterSqlite3 from 'better-sqlite3'
import { DAY } from '../../src/time/clock.ts'
import { auditRow, COLUMNS, RETENTION_MS, valuesOf } from '../audit-rows.ts'
import type { Copy } from '../engines/engine.ts'
import { sharedMs, startChild } from '../processes/child.ts'
import { purgedAtNight } from '../processes/trials.ts'
import type { Question, Write } from '../processes/writer.ts'
import { WRITES_PER_SECOND } from './beside.ts'
import { latencies, type Latencies } from './latencies.ts'
import { counted, type Bench, type Scenario } from './scenario.ts'

const WRITER = new URL('../processes/writer.ts', import.meta.url)
const COMMAND = fileURLToPath(new URL('../../bin/mcp-gateway-maintenance.js', import.meta.url))
const NIGHTS = 30
const HISTORY_DAYS = 120
/** How long the writer works before a night's purge begins. */
const LEAD_MS = 300

interface Nights {
  /** In bytes, after each night; the first purge counts as the first night. */
  readonly sizes: readonly number[]
  readonly disturbed: readonly Latencies[]
}

/**
 * A month of nights on one SQLite file: first a purge of everything that was kept too long, then each day as many rows come as go, and each night the old
 * ones are purged beside a writer. Once with the file as the gateway made it, once with `compact` after the first purge. No time passes: each night's
 * retention is a day shorter.
 */
export const nights: Scenario = {
  name: 'nights',
  engines: ['sqlite'],
  async measure(bench) {
    const rows = bench.options.sizes.reference
    const plain = await month(bench, rows, false)
    const compacted = await month(bench, rows, true)
    const { add } = bench.sheet(`Thirty nights: ${counted(rows)} rows of ${HISTORY_DAYS} days, kept for 90, beside a writer (100/s)`, false)
    const addFigures = (name: string, what: string, { sizes, disturbed }: Nights): void => {
      add(
        `${name}.file`,
        `${what}: the file, night by night`,
        'MB',
        sizes.map((bytes) => bytes / 1e6),
      )
      add(
        `${name}.p99`,
        `${what}: the writer's p99, night by night`,
        'ms',
        disturbed.map(({ p99 }) => p99),
      )
      add(
        `${name}.busy`,
        `${what}: writes refused`,
        'writes',
        disturbed.map(({ busy }) => busy),
      )
      bench.note(`${what}, the file after each night: ${chart(sizes)}, ${megabytes(sizes[0]!)} MB to ${megabytes(sizes.at(-1)!)} MB`)
    }
    addFigures('nights.plain', 'without compact', plain)
    addFigures('nights.compacted', 'with compact after the first night', compacted)
  },
}

async function month(bench: Bench, rows: number, compacts: boolean): Promise<Nights> {
  const { engine, options } = bench
  await using copy = await engine.copy(rows, { indexes: 'lean' })
  const file = copy.url.slice('sqlite:///'.length)
  const daily = Math.round(rows / HISTORY_DAYS)
  const sizes: number[] = []
  const disturbed: Latencies[] = []
  for (let night = 0; night <= (options.quick ? 3 : NIGHTS); night += 1) {
    bench.progress(`nights: ${compacts ? 'with' : 'without'} compact, ${night}`)
    if (night > 0) written(file, rows + night * daily, daily)
    disturbed.push(await purgedBeside(bench, copy, RETENTION_MS - night * DAY))
    if (night === 0 && compacts)
      await promisify(execFile)(process.execPath, [COMMAND, 'compact', '--offline'], { env: { DATABASE_URL: copy.url } })
    sizes.push((await stat(file)).size)
  }
  return { sizes, disturbed }
}

async function purgedBeside(bench: Bench, copy: Copy, retentionMs: number): Promise<Latencies> {
  const { workspace, engine } = bench
  await using writer = startChild(workspace, WRITER)
  await writer.ask({ ask: 'begin', url: copy.url, perSecond: WRITES_PER_SECOND[engine.name] } satisfies Question)
  const begunMs = sharedMs()
  while (sharedMs() - begunMs < LEAD_MS) await new Promise((resolve) => setTimeout(resolve, LEAD_MS))
  const trial = await purgedAtNight(workspace, copy.url, retentionMs, bench.limitMs(copy.rows))
  const writes = await writer.ask<Write[]>({ ask: 'end' } satisfies Question)
  return latencies(writes, trial.startedMs, trial.endedMs)
}

/** A day's rows, written now: they stay young while the benchmark runs. */
function written(file: string, from: number, rows: number): void {
  const database = new BetterSqlite3(file)
  try {
    const insert = database.prepare(`INSERT INTO audit_logs (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})`)
    const now = Date.now()
    database.transaction(() => {
      for (let n = from; n < from + rows; n += 1) insert.run(...valuesOf(auditRow(n), now))
    })()
  } finally {
    database.close()
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6)
}

const BARS = '▁▂▃▄▅▆▇█'

/** A column a night, the highest as high as the largest file. */
function chart(sizes: readonly number[]): string {
  const most = Math.max(...sizes)
  return sizes.map((bytes) => BARS[Math.max(0, Math.ceil((BARS.length * bytes) / most) - 1)]).join('')
}
