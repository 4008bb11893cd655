// `npm run test:power-cuts`: what a power cut leaves of the database and the archive. Runs are recorded by strace; from each recording come the states that
// a disk could be left in, and each state is judged by one more run. test/README.md says what is covered.
import { execFile, fork, type ChildProcess } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { optionsFrom, usage, UsageError, type Options } from './options.ts'
import { needsStrace, TASK_NAMES, type Report } from './tasks.ts'

const LANE = fileURLToPath(new URL('lane.ts', import.meta.url))
const lanes = new Set<ChildProcess>()

async function main(words: readonly string[]): Promise<number> {
  const options = optionsFrom(words, TASK_NAMES)
  if (options === undefined) {
    process.stdout.write(usage(TASK_NAMES))
    return 0
  }
  const wanted = TASK_NAMES.filter((name) => options.only.length === 0 || options.only.some((part) => name.includes(part)))
  const missing = await straceIsMissing()
  if (missing !== undefined)
    process.stdout.write(`skipped, all but PostgreSQL: strace cannot be used here (${missing}); Debian's package is strace\n`)
  process.stdout.write(`power cuts, ${options.full ? 'full' : 'some'}, seed ${options.seed}\n`)
  return await carryOutAll(
    wanted.filter((name) => missing === undefined || !needsStrace(name)),
    options,
  )
}

async function carryOutAll(names: readonly string[], { seed, full }: Options): Promise<number> {
  const startedMs = performance.now()
  const seconds = (): number => Math.round((performance.now() - startedMs) / 1_000)
  const waiting = [...names]
  const reports: Report[] = []
  const lane = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const report = await inProcess({ name, seed, full })
      reports.push(report)
      process.stdout.write(`${String(seconds()).padStart(5)} s  ${name}\n${report.lines.map((line) => `         ${line}\n`).join('')}`)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, lane))
  const sum = (of: (report: Report) => number): number => reports.reduce((total, report) => total + of(report), 0)
  const violations = reports.flatMap((report) => report.violations)
  const count = (violation: string): number => violations.filter((each) => each === violation).length
  const needless = reports.flatMap((report) => report.needless)
  process.stdout.write(
    `seed ${seed}: ${sum(({ states }) => states)} states, ${sum(({ crashes }) => crashes)} crashes; lost ${count('lost')}, double ${count('double')}, ` +
      `needs a person ${count('needs a person')}, damaged ${count('damaged')}, not done ${count('not done')}; ` +
      `${sum(({ dropped }) => dropped)} kinds of syncs dropped in turn, ${needless.length} not missed; ${seconds()} s\n`,
  )
  return violations.length + needless.length === 0 ? 0 : 1
}

function inProcess(task: { readonly name: string; readonly seed: number; readonly full: boolean }): Promise<Report> {
  const child = fork(LANE, { stdio: 'inherit' })
  lanes.add(child)
  child.send(task)
  return new Promise((resolve, reject) => {
    let report: Report | undefined
    child.once('message', (answer: Report) => (report = answer))
    child.once('error', reject)
    child.once('exit', (code) => {
      lanes.delete(child)
      if (report === undefined) reject(new Error(`${task.name} ended with ${code}, without a report`))
      else resolve(report)
    })
  })
}

/** Where it is installed, tracing may be forbidden, as in a container. */
async function straceIsMissing(): Promise<string | undefined> {
  try {
    await promisify(execFile)('strace', ['-f', '--seccomp-bpf', '-o', '/dev/null', 'true'])
    return undefined
  } catch (error) {
    return (error instanceof Error ? error.message : String(error)).split('\n').at(-1)
  }
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  for (const child of lanes) child.kill('SIGTERM')
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n${usage(TASK_NAMES)}`)
  process.exitCode = 2
}
