import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { JOBS } from '../../src/catalogue.ts'
import { DAY } from '../../src/time/clock.ts'
import { sharedMs } from '../processes/child.ts'
import { opened } from '../processes/product.ts'
import { quantile } from '../statistics.ts'
import { compiled } from './compiled.ts'
import { counted, type Bench, type Scenario } from './scenario.ts'

const RUNS = 10_000
/** A status older than a second is read again in the background. */
const EVERY_MS = 1_050
/** After this time the old status may not be shown: the answer waits until it is read again. */
const QUIET_MS = 5_050
const FIRST_LOOKS = 5
/** After so many requests, the program is as warm as after a minute of being scraped. */
const WARMING = 5
/** One after another: the first request shows the previous status, and the others wait for the new one. */
const AGAIN = 10

/** How long a person waits for the page, with the recorded runs of ninety days. */
export const page: Scenario = {
  name: 'page',
  engines: ['sqlite', 'postgres'],
  async measure(bench) {
    const { options, workspace, engine } = bench
    bench.progress('page: compiling')
    const { program } = await compiled(`${workspace.folder}/page-${engine.name}`)
    await using copy = await engine.copy(options.sizes.small)
    await copy.deleteExpired()
    await runsOnRecord(copy.url)
    const visits: Visit[] = []
    for (let repeat = 0; repeat < options.repeats; repeat += 1) {
      bench.progress(`page: ${repeat + 1}/${options.repeats}`)
      visits.push(await visited(bench, program, copy.url, options.quick ? 5 : 40))
    }
    const { add } = bench.sheet(`The page, with ${counted(RUNS)} runs on record of 90 days`, true)
    const p99 = (values: (visit: Visit) => readonly number[]): number[] => visits.map((visit) => quantile(values(visit), 0.99))
    add(
      'page.p99',
      'p99 of its answers',
      'ms',
      p99(({ lookMs }) => lookMs),
    )
    add(
      'page.median',
      'their median',
      'ms',
      visits.map(({ lookMs }) => quantile(lookMs, 0.5)),
    )
    add(
      'page.first',
      'median of the first look after five quiet seconds',
      'ms',
      visits.map(({ firstMs }) => quantile(firstMs, 0.5)),
    )
  },
}

interface Visit {
  readonly lookMs: readonly number[]
  readonly firstMs: readonly number[]
}

async function visited({ workspace }: Bench, program: string, databaseUrl: string, times: number): Promise<Visit> {
  // Only the page is requested.
  const never = Object.fromEntries(JOBS.map((job) => [`${job.environment}_SCHEDULE`, '0 0 29 2 *']))
  const env = { PATH: process.env['PATH'], DATABASE_URL: databaseUrl, LOG_FORMAT: 'json', HTTP_ENABLED: 'true', HTTP_PORT: '0', ...never }
  const worker = spawn(process.execPath, [program], { cwd: workspace.folder, env, stdio: ['ignore', 'pipe', 'inherit'] })
  workspace.children.add(worker)
  const agent = new Agent({ keepAlive: true })
  try {
    const url = await listening(createInterface(worker.stdout))
    const lookMs: number[] = []
    for (let time = -WARMING; time < times; time += 1) {
      await setTimeout(EVERY_MS)
      for (let again = 0; again < AGAIN; again += 1) {
        const tookMs = await answered(url, agent)
        if (time >= 0) lookMs.push(tookMs)
      }
    }
    const firstMs: number[] = []
    for (let time = 0; time < FIRST_LOOKS; time += 1) {
      await setTimeout(QUIET_MS)
      firstMs.push(await answered(url, agent))
    }
    return { lookMs, firstMs }
  } finally {
    agent.destroy()
    const exit = once(worker, 'exit')
    worker.kill('SIGTERM')
    await exit
    workspace.children.delete(worker)
  }
}

/** Resolves once it is ready. */
async function listening(lines: AsyncIterable<string>): Promise<string> {
  let url = ''
  for await (const text of lines) {
    const line = JSON.parse(text) as Readonly<Record<string, unknown>>
    if (line['event'] === 'http.listening') url = `${String(line['url'])}/`
    if (line['event'] === 'migrations.current') return url
  }
  throw new Error('the worker ended before it was ready')
}

async function answered(url: string, agent: Agent): Promise<number> {
  const startedMs = sharedMs()
  const requested = request(url, { agent }).end()
  const [answer] = (await once(requested, 'response')) as [IncomingMessage]
  answer.resume()
  await once(answer, 'end')
  const tookMs = sharedMs() - startedMs
  if (answer.statusCode !== 200) throw new Error(`the page answered ${answer.statusCode}`)
  return tookMs
}

const ROWS_A_STATEMENT = 500

/** The runs are spread evenly over ninety days and over all jobs. */
async function runsOnRecord(url: string): Promise<void> {
  await using database = await opened(url)
  const now = await database.now()
  for (let first = 0; first < RUNS; first += ROWS_A_STATEMENT) {
    const runs = Array.from({ length: ROWS_A_STATEMENT }, (_, index) => first + index)
    const values = runs.flatMap((run) => [JOBS[run % JOBS.length]!.name, Math.round(now - (run / RUNS) * 90 * DAY), run * 7])
    const places = runs.map(
      (_, at) => `($${3 * at + 1}, 'succeeded', 'schedule', 'host:1', '0.1.0', $${3 * at + 2}, $${3 * at + 2}, $${3 * at + 3})`,
    )
    await database.transaction((tx) =>
      tx.query(
        `INSERT INTO ${database.named('maintenance_runs')} (job, outcome, "trigger", worker, version, started_at, finished_at, rows_deleted)
         VALUES ${places.join(', ')}`,
        values,
      ),
    )
  }
}
