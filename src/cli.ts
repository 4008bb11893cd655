import { parseArgs } from 'node:util'
import { JOBS } from './catalogue.ts'
import { isArchiveCommand, parseArchiveCommand, type ArchiveCommand } from './commands/archive-arguments.ts'
import { MaintenanceError, messageOf } from './errors.ts'
import type { Accepted } from './jobs/safety-check.ts'
import type { Host } from './program.ts'
import { listenForSignals } from './shutdown.ts'

/** What a command line asks for. */
export type Command =
  | { readonly kind: 'help' | 'version' }
  | ArchiveCommand
  | { readonly kind: 'config'; readonly json: boolean; readonly configFile: string | undefined }
  | { readonly kind: 'worker'; readonly configFile: string | undefined }
  | { readonly kind: 'migrate'; readonly dryRun: boolean; readonly configFile: string | undefined }
  | {
      readonly kind: 'run-now'
      readonly jobs: readonly string[]
      readonly dryRun: boolean
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
      host.print((await import('./commands/help.ts')).helpText())
      return 0
    case 'version':
      host.print(`${host.version}\n`)
      return 0
    case 'config':
      return (await import('./commands/config.ts')).showConfig(host, command.configFile, command.json)
    case 'archive':
      return await archive(host, command)
    case 'worker':
    case 'migrate':
    case 'run-now':
      return await perform(host, command)
  }
}

async function archive(host: Host, command: ArchiveCommand): Promise<number> {
  using shutdown = listenForSignals()
  const code = await (await import('./commands/archive.ts')).runArchive({ host, shutdown, configFile: command.configFile }, command)
  return shutdown.exitCode ?? code
}

type Performed = Extract<Command, { kind: 'worker' | 'migrate' | 'run-now' }>

async function perform(host: Host, command: Performed): Promise<number> {
  using shutdown = listenForSignals()
  const access = command.kind !== 'worker' && command.dryRun ? 'read' : 'write'
  const { withProgram } = await import('./program.ts')
  const lasting = command.kind === 'worker'
  const code = await withProgram({ host, shutdown, configFile: command.configFile, access, lasting }, async (program) => {
    switch (command.kind) {
      case 'worker':
        return (await import('./commands/worker.ts')).runWorker(program)
      case 'migrate':
        return (await import('./commands/migrate.ts')).runMigrate(program, command.dryRun)
      case 'run-now':
        return (await import('./commands/run-now.ts')).runNow(program, command)
    }
  })
  // A worker that is told to stop has done its work; the other forms have not.
  return command.kind === 'worker' ? code : (shutdown.exitCode ?? code)
}

const OPTIONS = {
  'run-now': { type: 'boolean' },
  job: { type: 'string', multiple: true },
  'dry-run': { type: 'boolean' },
  'accept-shorter-retention': { type: 'boolean' },
  'accept-empty-table': { type: 'boolean' },
  json: { type: 'boolean' },
  config: { type: 'string' },
  help: { type: 'boolean' },
  version: { type: 'boolean' },
} as const

const ACCEPTING = ['accept-shorter-retention', 'accept-empty-table'] as const

const COMMANDS = ['migrate', 'config'] as const

/** Reads a command line. Throws `USAGE` with every problem, one a line. */
export function parseCommand(words: readonly string[]): Command {
  if (isArchiveCommand(words) && !words.includes('--help')) return parseArchiveCommand(words)
  const { values, positionals } = parsed(words)
  if (values.help === true) return { kind: 'help' }
  if (values.version === true) return { kind: 'version' }

  const problems: string[] = []
  const [name, ...more] = positionals
  const command = COMMANDS.find((each) => each === name)
  if (name !== undefined && command === undefined)
    problems.push(`unknown command ${quoted(name)}; the commands are ${COMMANDS.join(', ')}, archive, or none`)
  if (more.length > 0) problems.push(`unexpected argument ${more.map(quoted).join(' ')}`)
  const runsNow = values['run-now'] === true
  const dryRun = values['dry-run'] === true
  const jobs = values.job ?? []
  if (runsNow && command !== undefined) problems.push(`--run-now does not go with ${command}`)
  if (dryRun && !runsNow && command !== 'migrate') problems.push('--dry-run goes with --run-now or migrate')
  if (jobs.length > 0 && !runsNow) problems.push('--job goes with --run-now')
  for (const flag of ACCEPTING)
    if (values[flag] === true && (!runsNow || dryRun)) problems.push(`--${flag} goes with --run-now${dryRun ? ', not with --dry-run' : ''}`)
  if (values.json === true && command !== 'config') problems.push('--json goes with config')
  for (const job of jobs)
    if (!JOBS.some((each) => each.name === job))
      problems.push(`unknown job ${quoted(job)}; the jobs are ${JOBS.map((each) => each.name).join(', ')}`)
  if (values.config === '') problems.push('--config needs the name of a file')
  if (problems.length > 0) throw usage(problems)

  const configFile = values.config
  if (command === 'config') return { kind: 'config', json: values.json === true, configFile }
  if (command === 'migrate') return { kind: 'migrate', dryRun, configFile }
  const accepted = { shorterRetention: values['accept-shorter-retention'] === true, emptyTable: values['accept-empty-table'] === true }
  return runsNow ? { kind: 'run-now', jobs, dryRun, accepted, configFile } : { kind: 'worker', configFile }
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
  return new MaintenanceError('USAGE', [...problems, 'nothing was done; --help shows every form'].join('\n'))
}

function quoted(text: string): string {
  return JSON.stringify(text)
}
