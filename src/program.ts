import type { Database } from './database/database.ts'
import { openDatabase } from './database/open.ts'
import { loadSettings, type Settings } from './config/load.ts'
import { exitCodeOf, type ExitCode } from './errors.ts'
import { readMigrationFiles, type MigrationFile } from './migrations/files.ts'
import { openEvents, type Events } from './observe/events.ts'
import { openLog } from './observe/log.ts'
import type { Shutdown } from './shutdown.ts'
import type { Clock } from './time.ts'

/** What the program takes from the process it runs in; handed in once, by `main.ts`. */
export interface Host {
  readonly arguments: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly workingDirectory: string
  /** Where package.json, `migrations/` and `config/` are. */
  readonly packageRoot: string
  readonly version: string
  readonly uid: number | undefined
  /** Whether standard output and standard error are terminals. */
  readonly terminal: { readonly output: boolean; readonly error: boolean }
  readonly clock: Clock
  /** `host:process`, by which other workers and people know this one. */
  readonly worker: string
  /** From 0 to below 1. */
  readonly random: () => number
  print(text: string): void
  printError(text: string): void
}

export interface Program {
  readonly host: Host
  readonly settings: Settings
  readonly events: Events
  readonly database: Database
  readonly migrationFiles: readonly MigrationFile[]
  readonly shutdown: Shutdown
}

export interface ProgramOptions {
  readonly host: Host
  readonly shutdown: Shutdown
  readonly configFile: string | undefined
  /** `read`: nothing is changed, whatever is asked. */
  readonly access: 'write' | 'read'
  /** Whether a database that is lost in mid-work is waited for as long as it takes, or as long as at the start. */
  readonly lasting: boolean
  /** Present where a person or a program waits for an answer: standard output carries that alone, the log goes to standard error. */
  readonly answer?: object
}

/** The composition root: configuration → log → migration files → database, given back in reverse whatever happens. */
export async function withProgram(options: ProgramOptions, work: (program: Program) => Promise<ExitCode>): Promise<ExitCode> {
  const { host, shutdown, access, lasting, answer } = options
  const settings = settingsOf(host, options.configFile)
  const events = openEvents(
    await openLog({
      ...settings.log,
      ...(answer === undefined
        ? { descriptor: STANDARD_OUTPUT, terminal: host.terminal.output }
        : { descriptor: STANDARD_ERROR, terminal: host.terminal.error }),
      clock: host.clock,
      secrets: settings.secrets,
    }),
  )
  try {
    for (const note of settings.notes) events.note(note)
    const migrationFiles = await readMigrationFiles(host.packageRoot)
    await using database = await openDatabase({
      ...settings.database,
      ...(lasting ? {} : { reconnectTimeoutMs: settings.database.connectTimeoutMs }),
      access,
      applicationName: `mcp-gateway-maintenance ${host.version}`,
      clock: host.clock,
      user: { uid: host.uid },
      listener: events,
      signal: shutdown.stopping,
    })
    const cut = (): void => void database[Symbol.asyncDispose]()
    shutdown.abandon.addEventListener('abort', cut, { once: true })
    return await work({ host, settings, events, database, migrationFiles, shutdown })
  } catch (error) {
    // What breaks while the program is told to stop is part of the ending.
    if (shutdown.stopping.aborted) return 0
    events.failed(error)
    return exitCodeOf(error)
  }
}

const STANDARD_OUTPUT = 1
const STANDARD_ERROR = 2

export function settingsOf(host: Host, configFile: string | undefined): Settings {
  const { packageRoot, workingDirectory, env } = host
  return loadSettings({ packageRoot, workingDirectory, env, ...(configFile === undefined ? {} : { configFile }) })
}
