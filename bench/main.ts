import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Engine, EngineName } from './engines/engine.ts'
import { postgresEngine } from './engines/postgres.ts'
import { sqliteEngine } from './engines/sqlite.ts'
import { summaryOf, type Figure } from './figure.ts'
import { machine, type Machine } from './machine.ts'
import { optionsFrom, usage, UsageError, type Options } from './options.ts'
import { alone } from './scenarios/alone.ts'
import { archive } from './scenarios/archive.ts'
import { conversion } from './scenarios/conversion.ts'
import { gateway, gatewayBusy, gatewayLean, gatewaySlowDisk, rollback } from './scenarios/gateway.ts'
import { growth } from './scenarios/growth.ts'
import { held } from './scenarios/held.ts'
import { health } from './scenarios/health.ts'
import { memory } from './scenarios/memory.ts'
import { nights } from './scenarios/nights.ts'
import { nothing } from './scenarios/nothing.ts'
import { objectStorage } from './scenarios/object-storage.ts'
import { page } from './scenarios/page.ts'
import { partitions } from './scenarios/partitions.ts'
import { processes } from './scenarios/process.ts'
import { bench, type Scenario } from './scenarios/scenario.ts'
import { tablesOf } from './table.ts'
import { bytesNeeded, openWorkspace, type Workspace } from './workspace.ts'

const SCENARIOS: readonly Scenario[] = [
  alone,
  gateway,
  gatewayLean,
  gatewayBusy,
  gatewaySlowDisk,
  rollback,
  growth,
  nothing,
  memory,
  archive,
  objectStorage,
  nights,
  held,
  health,
  page,
  conversion,
  partitions,
  processes,
]

const NAMES = SCENARIOS.map((scenario) => scenario.name)

/** Filled during the run, so that the measurements are reported even if a later part fails. */
interface Results {
  readonly figures: Figure[]
  readonly notes: string[]
  readonly engines: string[]
}

async function main(words: readonly string[]): Promise<void> {
  const command = ['npm run bench', ...(words.length === 0 ? [] : ['--', ...words])].join(' ')
  const options = optionsFrom(words, NAMES)
  if (options === undefined) {
    process.stdout.write(usage(NAMES))
    return
  }
  const before = machine()
  const startedMs = performance.now()
  const results: Results = { figures: [], notes: [], engines: [] }
  const workspace = await openWorkspace(options.directory, bytesNeeded(options.sizes))
  let complete = false
  try {
    await Promise.race([measureAll(workspace, options, results), interrupted()])
    complete = true
  } finally {
    await workspace[Symbol.asyncDispose]()
    const seconds = Math.round((performance.now() - startedMs) / 1_000)
    if (results.figures.length > 0) await report(results, { machine: before, command, options, seconds, complete })
  }
}

async function measureAll(workspace: Workspace, options: Options, { figures, notes, engines }: Results): Promise<void> {
  const startedMs = performance.now()
  for (const name of options.engines) {
    const chosen = SCENARIOS.filter(
      (scenario) => scenario.engines.includes(name) && (options.scenarios.length === 0 || options.scenarios.includes(scenario.name)),
    )
    if (chosen.length === 0) continue
    const progress = (step: string): void =>
      void process.stderr.write(`${String(Math.round((performance.now() - startedMs) / 1_000)).padStart(5)} s  ${name}: ${step}\n`)
    await using engine = await openEngine(name, workspace, options, progress)
    engines.push(engine.version)
    for (const scenario of chosen) await scenario.measure(bench({ workspace, engine, options, progress }, figures, notes))
  }
}

async function openEngine(
  name: EngineName,
  { folder }: Workspace,
  { postgres }: Options,
  progress: (step: string) => void,
): Promise<Engine> {
  switch (name) {
    case 'sqlite':
      return sqliteEngine(folder, progress)
    case 'postgres':
      return await postgresEngine(folder, postgres, progress)
    default:
      return name satisfies never
  }
}

interface Run {
  /** As it was before the run. */
  readonly machine: Machine
  /** As it was typed. */
  readonly command: string
  readonly options: Options
  readonly seconds: number
  readonly complete: boolean
}

async function report({ figures, notes, engines }: Results, run: Run): Promise<void> {
  const { command, seconds, complete } = run
  const { sizes, repeats, quick, json } = run.options
  const { cores, processor, memoryGB, kernel, node, loadBefore } = run.machine
  const heading = [`${cores} cores (${processor})`, `${memoryGB} GB`, kernel, `Node ${node}`, ...engines, `load before ${loadBefore}`]
  const worth = quick ? '; --quick: too small for the targets, which are stated for a million rows' : ''
  const about = `${heading.join(', ')}; ${repeats} repeats, ${seconds} s${worth}${complete ? '' : '; incomplete'}`
  process.stdout.write(`${[about, tablesOf(figures), ...notes.map((note) => `- ${note}`)].join('\n\n')}\n`)
  const judged = figures.map((figure) => ({ ...figure, ...summaryOf(figure) }))
  const results = { complete, command, machine: run.machine, engines, sizes, repeats, quick, seconds, notes, figures: judged }
  await mkdir(dirname(json), { recursive: true })
  await writeFile(json, `${JSON.stringify(results, null, 2)}\n`)
}

class Interruption extends Error {
  override readonly name = 'Interruption'
}

function interrupted(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => reject(new Interruption(signal)))
  })
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (error instanceof UsageError) process.stderr.write(`${error.message}\n${usage(NAMES)}`)
  else if (!(error instanceof Interruption))
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  // What an interrupted run leaves behind does not end by itself.
  process.exit(error instanceof UsageError ? 2 : error instanceof Interruption ? 130 : 1)
}
