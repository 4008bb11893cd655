import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { expiredOf } from '../audit-rows.ts'
import type { Copy } from '../engines/engine.ts'
import { sharedMs } from '../processes/child.ts'
import { quantile, ratios } from '../statistics.ts'
import { compiled } from './compiled.ts'
import { alternated, counted, type Bench, type Scenario } from './scenario.ts'

const EVERY_MS = 10

/** What a liveness probe notices of a purge, and what answering in time costs the purge. */
export const health: Scenario = {
  name: 'health',
  engines: ['sqlite', 'postgres'],
  async measure(bench) {
    const { options, workspace, engine } = bench
    const rows = options.sizes.reference
    bench.progress('health: compiling')
    const { program } = await compiled(`${workspace.folder}/health-${engine.name}`)
    const trials = await alternated(['served', 'silent'], options.repeats, async (name, repeat) => {
      bench.progress(`health: ${name} ${repeat + 1}/${options.repeats}`)
      await using copy = await engine.copy(rows)
      return await purgedByWorker(bench, program, copy, name === 'served')
    })
    const { add } = bench.sheet(`The worker, probed every ${EVERY_MS} ms: ${counted(expiredOf(rows))} of ${counted(rows)} rows`, true)
    const served = trials.served.map(({ answersMs }) => answersMs)
    add(
      'health.p99',
      "p99 of /healthz' answers while it purges",
      'ms',
      served.map((each) => quantile(each, 0.99)),
    )
    add(
      'health.most',
      'the longest',
      'ms',
      served.map((each) => Math.max(...each)),
    )
    add('health.time', 'wall time / the worker without HTTP', '×', ratios(times(trials.served), times(trials.silent)))
  },
}

function times(trials: readonly Purged[]): number[] {
  return trials.map(({ durationMs }) => durationMs)
}

interface Purged {
  readonly durationMs: number
  readonly answersMs: readonly number[]
}

async function purgedByWorker({ workspace }: Bench, program: string, copy: Copy, serves: boolean): Promise<Purged> {
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL: copy.url,
    LOG_FORMAT: 'json',
    PURGE_AUDIT_LOGS_SCHEDULE: '* * * * * *',
    HTTP_ENABLED: String(serves),
    HTTP_PORT: '0',
  }
  const worker = spawn(process.execPath, [program], { cwd: workspace.folder, env, stdio: ['ignore', 'pipe', 'inherit'] })
  workspace.children.add(worker)
  const over = new AbortController()
  let answers: Promise<Answer[]> | undefined
  try {
    for await (const text of createInterface(worker.stdout)) {
      const line = JSON.parse(text) as Readonly<Record<string, unknown>>
      if (line['event'] === 'http.listening') answers = probed(String(line['url']), over.signal)
      if (line['event'] !== 'job.finished' || line['job'] !== 'purge-audit-logs') continue
      const endedMs = sharedMs()
      over.abort()
      if (line['deleted'] !== expiredOf(copy.rows)) throw new Error(`the worker deleted other rows than it should have: ${text}`)
      const durationMs = Number(line['durationMs'])
      const during = ((await answers) ?? []).filter((answer) => answer.endedMs >= endedMs - durationMs)
      return { durationMs, answersMs: during.map((answer) => answer.endedMs - answer.startedMs) }
    }
    throw new Error('the worker ended before it had purged')
  } finally {
    over.abort()
    await ended(worker)
    workspace.children.delete(worker)
  }
}

interface Answer {
  readonly startedMs: number
  readonly endedMs: number
}

/** One request at a time: the next is sent at the first beat after the answer. */
async function probed(url: string, over: AbortSignal): Promise<Answer[]> {
  const agent = new Agent({ keepAlive: true })
  const answers: Answer[] = []
  while (!over.aborted) {
    const startedMs = sharedMs()
    await answered(`${url}/healthz`, agent)
    const endedMs = sharedMs()
    answers.push({ startedMs, endedMs })
    await setTimeout(EVERY_MS - ((endedMs - startedMs) % EVERY_MS))
  }
  agent.destroy()
  return answers
}

async function answered(url: string, agent: Agent): Promise<void> {
  const sent = request(url, { agent }).end()
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  if (answer.statusCode !== 200) throw new Error(`/healthz answered ${answer.statusCode}`)
  answer.resume()
  await once(answer, 'end')
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  await exit
}
