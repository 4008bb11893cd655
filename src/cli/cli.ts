import { parseArgs } from 'node:util'
import { JOBS } from '../catalogue.ts'
import { isArchiveCommand, parseArchiveCommand, type ArchiveCommand } from '../commands/archive/archive-arguments.ts'
import type { HistoryRequest } from '../commands/history.ts'
import { MaintenanceError, messageOf } from '../errors.ts'
import type { Host, ProgramOptions } from '../program.ts'
import { ACCEPTABLE, type Acceptance, type Accepted } from '../purge/safety.ts'
import { withoutCredentials } from '../secrets/foreign-text.ts'
import { listenForSignals } from '../shutdown.ts'
import { parseDuration } from '../time/clock.ts'

/** What a command line asks for. */
export type Command =
  | { readonly kind: 'help' | 'version' }
  | ArchiveCommand
  | { readonly kind: 'config'; readonly json: boolean; readonly configFile: string | undefined }
  | { readonly kind: 'status'; readonly json: boolean; readonly check: boolean; readonly configFile: string | undefined }
  | ({ readonly kind: 'history'; readonly configFile: string | undefined } & HistoryRequest)
  | { readonly kind: 'worker'; readonly configFile: string | undefined }
  | { readonly kind: 'migrate'; readonly dryRun: boolean; readonly configFile: string | undefined }
  | {
      readonly kind: 'run-now'
      readonly jobs: readonly string[]
      readonly dryRun: boolean
      readonly quiet: boolean
      readonly accepted: Accepted
      readonly configFile: string | undefined
    }

/**
 * Does what the command line says and answers with the exit code. Rejects with usage and configuration errors only. Each form loads what it
 * needs and no more: loading is most of what a short run takes, and what is loaded stays in memory.
 */
export async function run(host: Host): Promise<number> {
  const command = parseCommand(host.arguments)
  switch (command.kind) {
    case 'help':
      host.print((await import('../commands/help.ts')).helpText())
      return 0
    case 'version':
      host.print(`${host.version}\n`)
      return 0
    case 'config':
      return (await import('../commands/config.ts')).showConfig(host, command.configFile, command.json)
    case 'archive':
      return await archive(host, command)
    case 'status':
    case 'history':
      return await answer(host, command)
    case 'worker':
    case 'migrate':
    case 'run-now':
      return await perform(host, command)
  }
}

type Answered = Extract<Command, { kind: 'status' | 'history' }>

async function answer(host: Host, command: Answered): Promise<number> {
  using shutdown = listenForSignals()
  const options = { host, shutdown, configFile: command.configFile }
  const code =
    command.kind === 'status'
      ? await (await import('../commands/status.ts')).showStatus(options, command)
      : await (await import('../commands/history.ts')).showHistory(options, command)
  return shutdown.exitCode ?? code
}

async function archive(host: Host, command: ArchiveCommand): Promise<number> {
  using shutdown = listenForSignals()
  const code = await (
    await import('../commands/archive/run-archive.ts')
  ).runArchive({ host, shutdown, configFile: command.configFile }, command)
  return shutdown.exitCode ?? code
}

type Performed = Extract<Command, { kind: 'worker' | 'migrate' | 'run-now' }>

/** How others read what a form did; a dry run did nothing. */
const METRICS = { worker: 'served', 'run-now': 'written', migrate: undefined } as const

async function perform(host: Host, command: Performed): Promise<number> {
  using shutdown = listenForSignals()
  const access = command.kind !== 'worker' && command.dryRun ? 'read' : 'write'
  const quiet = command.kind === 'run-now' && command.quiet
  const metrics = access === 'write' ? METRICS[command.kind] : undefined
  const { withProgram } = await import('../program.ts')
  const lasting = command.kind === 'worker'
  const code = await withProgram(
    { host, shutdown, configFile: command.configFile, access, lasting, quiet, view: viewOf(host, command), metrics },
    async (program) => {
      switch (command.kind) {
        case 'worker':
          return (await import('../commands/worker.ts')).runWorker(program)
        case 'migrate':
          return (await import('../commands/migrate.ts')).runMigrate(program, command.dryRun)
        case 'run-now':
          return (await import('../commands/run-now.ts')).runNow(program, command)
      }
    },
  )
  // A worker that is told to stop has done its work; the other forms have not.
  return command.kind === 'worker' ? code : (shutdown.exitCode ?? code)
}

/** A run that a person watches; a log that is asked for as JSON has the terminal for itself. */
function viewOf(host: Host, command: Performed): ProgramOptions['view'] {
  if (command.kind !== 'run-now' || command.quiet || !host.terminal.output) return undefined
  return async ({ log }) =>
    log.format === 'json' ? undefined : (await import('../terminal/run-view.ts')).openRunView(host, command.dryRun)
}

type AcceptOption = `accept-${Acceptance}`

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `Object.keys` forgets the names
const ACCEPTANCES = Object.keys(ACCEPTABLE) as Acceptance[]

function acceptOption(acceptance: Acceptance): AcceptOption {
  return `accept-${acceptance}`
}

function acceptOptions(): Record<AcceptOption, { readonly type: 'boolean' }> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  return Object.fromEntries(ACCEPTANCES.map((each) => [acceptOption(each), { type: 'boolean' }])) as Record<
    AcceptOption,
    { readonly type: 'boolean' }
  >
}

/** Safety stops are theirs alone. */
const WITH_RETENTION = JOBS.filter(({ retention }) => retention !== undefined)
  .map(({ name }) => name)
  .join(' and ')

const OPTIONS = {
  'run-now': { type: 'boolean' },
  job: { type: 'string', multiple: true },
  'dry-run': { type: 'boolean' },
  ...acceptOptions(),
  quiet: { type: 'boolean' },
  since: { type: 'string' },
  json: { type: 'boolean' },
  check: { type: 'boolean' },
  config: { type: 'string' },
  help: { type: 'boolean' },
  version: { type: 'boolean' },
} as const

const COMMANDS = ['migrate', 'status', 'history', 'config'] as const

const RUN_NOW = '--run-now'

/** Which forms an option goes with; one that is not here goes with all. */
const GOES_WITH: readonly (readonly [option: keyof typeof OPTIONS, ...forms: readonly string[]])[] = [
  ['job', RUN_NOW, 'history'],
  ['dry-run', RUN_NOW, 'migrate'],
  ['quiet', RUN_NOW],
  ...ACCEPTANCES.map((each) => [acceptOption(each), RUN_NOW] as const),
  ['since', 'history'],
  ['json', 'status', 'history', 'config'],
  ['check', 'status'],
]

const DEFAULT_SINCE = '30d'

/** Reads a command line. Throws `USAGE` with every problem, one a line. */
export function parseCommand(words: readonly string[]): Command {
  if (isArchiveCommand(words) && !words.includes('--help')) return parseArchiveCommand(words)
  const { values, positionals } = parsed(words)
  if (values.help === true) return { kind: 'help' }
  if (values.version === true) return { kind: 'version' }

  const [name, ...more] = positionals
  const command = COMMANDS.find((each) => each === name)
  const runsNow = values['run-now'] === true
  const dryRun = values['dry-run'] === true
  const json = values.json === true
  const accepted: Accepted = new Set(ACCEPTANCES.filter((each) => values[acceptOption(each)] === true))
  const { job: jobs = [], since = DEFAULT_SINCE, config: configFile } = values
  const sinceMs = parseDuration(since)

  const form = runsNow ? RUN_NOW : command
  const misplaced = GOES_WITH.filter(([option, ...forms]) => values[option] !== undefined && !forms.some((each) => each === form))
  const problems = [
    ...(name !== undefined && command === undefined
      ? [`unknown command ${quoted(name)}; the commands are ${COMMANDS.join(', ')}, archive, or none`]
      : []),
    ...(more.length > 0 ? [`unexpected argument ${more.map(quoted).join(' ')}`] : []),
    ...(runsNow && command !== undefined ? [`--run-now does not go with ${command}`] : []),
    ...misplaced.map(([option, ...forms]) => `--${option} goes with ${forms.join(' or ')}`),
    ...(dryRun ? [...accepted].map((each) => `--${acceptOption(each)} goes with --run-now, not with --dry-run`) : []),
    ...(jobs.length > 0 && jobs.every((job) => JOBS.some((each) => each.name === job && each.retention === undefined))
      ? [...accepted].map((each) => `--${acceptOption(each)} goes with ${WITH_RETENTION}, which --job leaves out`)
      : []),
    ...jobs
      .filter((job) => !JOBS.some((each) => each.name === job))
      .map((job) => `unknown job ${quoted(job)}; the jobs are ${JOBS.map((each) => each.name).join(', ')}`),
    ...(sinceMs === undefined ? [`--since is ${quoted(since)}, and needs a length of time with its unit, such as 12h or 30d`] : []),
    ...(configFile === '' ? ['--config needs the name of a file'] : []),
  ]
  if (problems.length > 0) throw usage(problems)

  if (runsNow) return { kind: 'run-now', jobs, dryRun, quiet: values.quiet === true, accepted, configFile }
  switch (command) {
    case 'config':
      return { kind: command, json, configFile }
    case 'status':
      return { kind: command, json, check: values.check === true, configFile }
    case 'history':
      return { kind: command, jobs, sinceMs: sinceMs ?? 0, json, configFile }
    case 'migrate':
      return { kind: command, dryRun, configFile }
    case undefined:
      return { kind: 'worker', configFile }
  }
}

function parsed(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options: OPTIONS, allowPositionals: true, strict: true })
  } catch (error) {
    throw usage([firstSentence(messageOf(error))])
  }
}

/** Node adds advice about `--` that no option of ours needs. */
function firstSentence(message: string): string {
  return message.replace(/\. .*$/s, '').replace(/\n/g, ' ')
}

function usage(problems: readonly string[]): MaintenanceError {
  return new MaintenanceError('USAGE', [...problems, 'nothing was done; --help shows every form'])
}

/** A database URL may stand in the place of a command. */
function quoted(text: string): string {
  return JSON.stringify(withoutCredentials(text))
}
