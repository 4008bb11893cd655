import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { JOBS } from '../../src/catalogue.ts'
import { archivedRows, freshFolder } from '../archive/support.ts'
import { command, events, start, type Ended, type Running } from '../support/command.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { causeOf, countsOf, described, furnish, insertion, keptOf, shapeOf, type Shape } from './shapes.ts'

/**
 * `SHAPES=20` draws so many for each engine, with more rows where a row is dear; `SHAPES_SEED` draws others; `SHAPES_ONLY` is the number of one alone. The
 * first of this seed are of nearly every kind.
 */
const SEED = Number(process.env['SHAPES_SEED'] ?? 596)
const SHAPES = Number(process.env['SHAPES'] ?? 3)
const ONLY = process.env['SHAPES_ONLY']
const BUDGET_MS = process.env['SHAPES'] === undefined ? 1_500 : 10_000

const LONGEST_RUN_MS = 120_000
const LONGEST_STOP_MS = 8_000
/**
 * What a writer may wait longer than it does by itself: the longest hold that is promised and, on SQLite, the step after which it tries again. Where it
 * runs among other tests, the machine may keep it waiting, too.
 */
const LONGEST_WAIT_MS = process.env['SHAPES'] === undefined ? { sqlite: 2_500, postgres: 2_500 } : { sqlite: 250, postgres: 150 }
/** How long the writer is alone, before. */
const ALONE_MS = 1_000
/** A run of which nothing can be deleted is told to stop after so long. */
const STOPPED_AFTER_MS = 3_000

for (const engine of BOTH_ENGINES)
  for (const number of ONLY === undefined ? Array.from({ length: SHAPES }, (_, at) => at + 1) : [Number(ONLY)]) {
    const shape = shapeOf({ seed: SEED, number, engine, budgetMs: BUDGET_MS })
    test(
      `${engine.name}: shape ${number} of seed ${SEED} is purged as far as it lets itself be, and a writer beside it is never kept waiting for long`,
      { timeout: 4 * LONGEST_RUN_MS },
      async (context) => {
        await using database = await engine.fresh()
        await using folder = await freshFolder()
        const told = await purgedBesideAWriter(database, engine, shape, folder.path)
        context.diagnostic(lineOf(engine, shape, told))
        mustBeTrue(engine, shape, told)
        if (shape.archived) assert.equal((await archivedRows(folder.path)).length, shape.old - told.after.left)
      },
    )
  }

interface State {
  readonly left: number
  readonly young: number
  readonly counted: number
}

interface Told {
  readonly first: Ended
  readonly second: Ended
  readonly between: State
  readonly after: State
  readonly tookMs: number
  /** From the signal to the end; `undefined`: none was sent, or the run was over before it. */
  readonly stopMs: number | undefined
  readonly alone: readonly number[]
  readonly beside: readonly number[]
  readonly refusals: readonly string[]
  /** How many rows of the writer there are, and how many there should be. */
  readonly written: readonly [stored: number, acknowledged: number]
}

async function purgedBesideAWriter(database: TestDatabase, engine: TestEngine, shape: Shape, folder: string): Promise<Told> {
  const env = environment(database, shape, folder)
  const migrated = await command(['migrate'], { env })
  assert.equal(migrated.code, 0, migrated.stdout)
  await furnish(database, engine, shape)
  const writer = await writing(database, insertion(engine, shape.written))
  await sleep(ALONE_MS)
  const [beganMs, began] = [Date.now(), performance.now()]
  const running = start(shape.stopped?.as === 'worker' ? [] : ['--run-now', '--job', shape.job.name], { env, timeoutMs: LONGEST_RUN_MS })
  const toldAt = await toldToStop(database, shape, running)
  const first = await running.ended
  const [ended, endedMs] = [performance.now(), Date.now()]
  const { writes, refusals } = await writer()
  const between = await stateOf(database, shape)
  const second = await command(['--run-now', '--job', shape.job.name], { env, timeoutMs: LONGEST_RUN_MS })
  const took = (from: number, to: number): number[] => writes.flatMap(([at, each]) => (at >= from && at < to ? [each] : []))
  return {
    first,
    second,
    between,
    after: await stateOf(database, shape),
    tookMs: ended - began,
    stopMs: toldAt === undefined ? undefined : ended - toldAt,
    alone: took(0, beganMs),
    beside: took(beganMs, endedMs),
    refusals,
    written: [(await countsOf(database, shape)).written, writes.length],
  }
}

function environment({ url }: TestDatabase, { job, archived }: Shape, folder: string): Record<string, string> {
  return {
    DATABASE_URL: url,
    ...Object.fromEntries(JOBS.map((each) => [`${each.environment}_ENABLED`, String(each === job)])),
    [`${job.environment}_SCHEDULE`]: '* * * * * *',
    ...(archived ? { ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder } : {}),
  }
}

interface Written {
  readonly writes: readonly (readonly [atMs: number, tookMs: number])[]
  readonly refusals: readonly string[]
}

/** Resolves once the writer writes, with what ends it. */
async function writing({ url }: TestDatabase, statement: string): Promise<() => Promise<Written>> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('shapes-writer.ts', import.meta.url)), url, statement], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const closed = once(child, 'close')
  while (!output.includes('begun')) await Promise.race([once(child.stdout, 'data'), closed.then(() => assert.fail('the writer ended'))])
  return async () => {
    child.stdin.end()
    await closed
    return JSON.parse(output.split('\n')[1]!) as Written
  }
}

/** Says when the signal was sent. */
async function toldToStop(database: TestDatabase, { old, stopped }: Shape, running: Running): Promise<number | undefined> {
  if (stopped === undefined) return undefined
  let over = false
  void running.ended.then(() => (over = true))
  await running.line(({ event }) => event === 'migrations.current')
  for (const until = performance.now() + STOPPED_AFTER_MS; performance.now() < until; await sleep(20)) {
    const rows = await countedRows(database)
    if (rows > 0 && rows >= stopped.share * old) break
    if (over) return undefined
  }
  if (over) return undefined
  running.kill('SIGTERM')
  return performance.now()
}

async function stateOf(database: TestDatabase, shape: Shape): Promise<State> {
  const { old, young } = await countsOf(database, shape)
  return { left: old, young, counted: await countedRows(database) }
}

async function countedRows(database: TestDatabase): Promise<number> {
  return (await database.sql<{ n: number }>('SELECT CAST(coalesce(sum(rows_deleted), 0) AS bigint) AS n FROM maintenance_runs'))[0]!.n
}

function mustBeTrue(engine: TestEngine, shape: Shape, told: Told): void {
  const { first, second, between, after, tookMs, stopMs, refusals, written } = told
  const kept = keptOf(shape)
  const isWhole = shape.stopped === undefined
  assert.ok(tookMs < LONGEST_RUN_MS, `the run took ${tookMs} ms`)
  if (isWhole) mustSayWhy(first, shape)
  else {
    assert.ok(stopMs === undefined || stopMs < LONGEST_STOP_MS, `it ended ${stopMs} ms after it was told to`)
    mustEndAsTold(first, shape, stopMs)
  }
  mustSayWhy(second, shape)
  for (const state of [between, after]) {
    assert.equal(state.young, shape.young, 'rows that have not expired')
    assert.equal(state.counted, shape.old - state.left, 'rows that are counted as deleted')
  }
  if (isWhole) assert.equal(between.left, tookTooLong(first) ? shape.old : kept, 'expired rows that are left by the first run')
  assert.equal(after.left, tookTooLong(second) ? between.left : kept, 'expired rows that are left')
  assert.equal(second.code, after.left > 0 ? 1 : 0, second.stdout)
  if (isWhole && !tookTooLong(first) && !tookTooLong(second)) assert.equal(first.code, second.code, 'the second run ends as the first')

  assert.deepEqual(refusals, [])
  assert.equal(written[0], written[1], 'rows of the writer')
  const [alone, beside] = [percentile(told.alone), percentile(told.beside)]
  assert.ok(beside <= alone + longestWaitMs(engine), `the writer's p99 was ${beside} ms beside the run, and ${alone} ms alone`)
}

/** Of a run that was not told to stop. */
function mustSayWhy(ended: Ended, shape: Shape): void {
  const { code, stdout, stderr } = ended
  assert.ok(code === 0 || code === 1 || code === 5, `exit ${code}: ${stdout}${stderr}`)
  mustShowNoStack(stdout, stderr)
  if (code === 0) return
  const { code: stable, message } = events(ended, 'job.finished')[0]!['err'] as { code: string; message: string }
  assert.ok(stable === (code === 5 ? 'SAFETY_STOP' : 'JOB_FAILED'), stdout)
  if (tookTooLong(ended)) return assert.ok(message.includes(`deleting one row of ${shape.job.table} `), message)
  // A whole sentence that names the table; the cause is in the words of the database.
  assert.match(message, new RegExp(`^[A-Z][^.]*\\b${shape.job.table}\\b[^.]*\\. `))
  assert.match(message, causeOf(shape))
}

/** On SQLite, with a trigger and a machine so busy that the first row took longer than is promised whenever it was tried: nothing is deleted then. */
function tookTooLong(ended: Ended): boolean {
  const { message = '' } = (events(ended, 'job.finished')[0]?.['err'] ?? {}) as { message?: string }
  return message.includes('takes longer than 150 ms, in which nobody else could write')
}

function mustEndAsTold(ended: Ended, shape: Shape, stopMs: number | undefined): void {
  const { code, signal, stdout, stderr } = ended
  mustShowNoStack(stdout, stderr)
  assert.equal(signal, null)
  if (shape.stopped?.as === 'worker') return assert.equal(code, 0, stdout)
  if (code === 143 && stopMs !== undefined) return
  mustSayWhy(ended, shape)
}

function mustShowNoStack(stdout: string, stderr: string): void {
  assert.doesNotMatch(stdout + stderr, /"stack":"[^"]|^\s+at /m)
}

function longestWaitMs({ name }: TestEngine): number {
  return name === 'sqlite' ? LONGEST_WAIT_MS.sqlite : LONGEST_WAIT_MS.postgres
}

function percentile(of: readonly number[]): number {
  return of.toSorted((a, b) => a - b)[Math.ceil(0.99 * of.length) - 1] ?? 0
}

function lineOf(
  { name }: TestEngine,
  shape: Shape,
  { first, second, between, after, tookMs, stopMs, alone, beside, refusals }: Told,
): string {
  return [
    `${name}, seed ${shape.seed}, shape ${shape.number}: ${described(shape)}`,
    `exit ${first.code} after ${ms(tookMs)}${stopMs === undefined ? '' : `, ${ms(stopMs)} after SIGTERM`}, then ${second.code}`,
    `${shape.old - between.left} deleted, ${between.left} left, then ${after.left} of ${keptOf(shape)} that are kept`,
    `p99 of a writer ${ms(percentile(alone))} alone, ${ms(percentile(beside))} beside, at most ${ms(Math.max(0, ...beside))}, ${beside.length} writes, ${refusals.length} refused`,
  ].join(' | ')
}

function ms(value: number): string {
  return `${Math.round(value)} ms`
}
