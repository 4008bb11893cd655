import { resolve } from 'node:path'
import { loadSettings, type Settings } from './config/load.ts'
import { DatabaseError } from './database/database-error.ts'
import type { Access, Database } from './database/database.ts'
import { labelOf, openDatabase } from './database/open.ts'
import { exitCodeOf, type ExitCode } from './errors.ts'
import type { Site } from './http/routes.ts'
import { readMigrationFiles, type MigrationFile } from './migrations/migration-files.ts'
import { takesControlCharacters } from './observe/control-characters.ts'
import { openEvents, type Events } from './observe/events.ts'
import { fanOut } from './observe/fan-out.ts'
import { openLog } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import type { View } from './observe/view.ts'
import type { Shutdown } from './shutdown.ts'
import type { ArchivePlan } from './status/archive-status.ts'
import { SECOND, type Clock } from './time/clock.ts'

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
  readonly terminal: { readonly output: boolean; readonly error: boolean; columns(): number | undefined }
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
  /** What a terminal shows; `undefined`: there is none, or nobody wants to see it. */
  readonly view: View | undefined
  /** Where somebody reads them. */
  readonly metrics: Metrics | undefined
  /** Where it is served. */
  readonly site: Site | undefined
}

export interface ProgramOptions {
  readonly host: Host
  readonly shutdown: Shutdown
  readonly configFile: string | undefined
  /** `read`: nothing is changed, whatever is asked. `existing`: no database is made. */
  readonly access: Access
  /** Whether a database that is lost in mid-work is waited for as long as it takes, or as long as at the start. */
  readonly lasting: boolean
  /** Opened before the log, which goes through it. */
  readonly view?: ((settings: Settings) => Promise<View | undefined>) | undefined
  /** Neither colours nor cursor movements, whatever the terminal takes. */
  readonly quiet?: boolean
  /** Present where a person or a program waits for an answer: standard output carries that alone, the log goes to standard error. */
  readonly answer?: {
    /** What there is to say without a database. */
    readonly withoutDatabase?: (program: Omit<Program, 'database'>, error: DatabaseError) => Promise<ExitCode>
  }
  /** How its metrics are read, where the settings ask for it; absent: they are not. */
  readonly metrics?: 'served' | 'written' | undefined
}

/** Where the worker is asked for its health it answers in time, also while it purges. */
const LONGEST_BLOCK_MS = 35

/** Who waits for an answer does not wait as long for the database as a worker. */
const MOST_CONNECT_MS = 5 * SECOND

/** The composition root: configuration → log → metrics → HTTP → migration files → database, given back in reverse whatever happens. */
export async function withProgram(options: ProgramOptions, work: (program: Program) => Promise<ExitCode>): Promise<ExitCode> {
  const { host, shutdown, access, lasting, answer } = options
  const settings = await settingsOf(host, options.configFile)
  using view = await options.view?.(settings)
  const logged = openEvents(
    await openLog({
      ...settings.log,
      view,
      ...(answer === undefined
        ? { descriptor: STANDARD_OUTPUT, terminal: host.terminal.output }
        : { descriptor: STANDARD_ERROR, terminal: host.terminal.error }),
      coloured: options.quiet !== true && takesControlCharacters(host.env),
      clock: host.clock,
    }),
  )
  const metrics = areRead(options.metrics, settings) ? await metricsOf(host, settings) : undefined
  const site = metrics !== undefined && options.metrics === 'served' ? await siteOf(host, metrics, settings) : undefined
  const events = fanOut(logged, ...[metrics, site, view].flatMap((each) => (each === undefined ? [] : [each.listener])))
  try {
    for (const warning of settings.warnings) events.warning(warning)
    for (const note of settings.notes) events.note(note)
    await using server = await site?.serve(settings.http, events)
    if (server !== undefined) events.listening(server.url)
    const migrationFiles = await readMigrationFiles(host.packageRoot)
    const program = { host, settings, events, migrationFiles, shutdown, view, metrics, site }
    const { connectTimeoutMs } = settings.database
    let connected: Database | undefined
    // Between runs nobody else would connect again, and what the page says would be old news until the next.
    const regain = (): void => void connected?.reconnected(shutdown.stopping).catch(() => undefined)
    const opened = await openDatabase({
      ...settings.database,
      connectTimeoutMs: answer === undefined ? connectTimeoutMs : Math.min(connectTimeoutMs, MOST_CONNECT_MS),
      ...(site === undefined ? {} : { longestBlockMs: LONGEST_BLOCK_MS }),
      ...(lasting ? {} : { reconnectTimeoutMs: settings.database.connectTimeoutMs }),
      access,
      applicationName: `mcp-gateway-maintenance ${host.version}`,
      clock: host.clock,
      user: { uid: host.uid },
      listener: lasting ? fanOut(events, { lost: regain }) : events,
      signal: shutdown.stopping,
    }).catch((error: unknown) => {
      if (answer?.withoutDatabase === undefined || !(error instanceof DatabaseError)) throw error
      return answer.withoutDatabase(program, error)
    })
    if (typeof opened === 'number') return opened
    await using database = opened
    connected = database
    const cut = (): void => void database[Symbol.asyncDispose]()
    shutdown.abandon.addEventListener('abort', cut, { once: true })
    return await work({ ...program, database })
  } catch (error) {
    // What breaks while the program is told to stop is part of the ending.
    if (shutdown.stopping.aborted) return 0
    events.failed(error)
    return exitCodeOf(error)
  }
}

const STANDARD_OUTPUT = 1
const STANDARD_ERROR = 2

function areRead(how: ProgramOptions['metrics'], { http, metrics }: Settings): boolean {
  return how === 'served' ? http.enabled : how === 'written' && metrics.textfile !== undefined
}

async function metricsOf({ version, clock }: Host, { jobs, archive }: Settings): Promise<Metrics> {
  const enabled = jobs.flatMap((each) => (each.enabled ? [each.job] : []))
  const archiving = enabled.flatMap((job) => (archive.enabled && job.archived === true ? [job.name] : []))
  const { openMetrics } = await import('./observe/metrics.ts')
  return openMetrics({ version, clock, jobs: enabled.map(({ name }) => name), archiving })
}

async function siteOf(host: Host, metrics: Metrics, settings: Settings): Promise<Site> {
  const { database, jobs, schedule } = settings
  const { openSite } = await import('./http/routes.ts')
  const { statusWithout } = await import('./status/read-status.ts')
  const label = await labelOf(database.url)
  const { version, clock } = host
  const context = { version, clock, jobs, scheduleTimeZone: schedule.timeZone, archive: archivePlanOf({ host, settings }) }
  return openSite({ metrics, clock, without: (problem) => statusWithout(label, problem, context) })
}

/** The archive as the settings have it. */
export function archivePlanOf({ host, settings: { archive } }: Pick<Program, 'host' | 'settings'>): ArchivePlan {
  return {
    enabled: archive.enabled,
    directory: resolve(host.workingDirectory, archive.directory),
    uid: host.uid,
    keptMs: archive.retentionMs,
  }
}

export function settingsOf(host: Host, configFile: string | undefined): Promise<Settings> {
  const { packageRoot, workingDirectory, env } = host
  return loadSettings({ packageRoot, workingDirectory, env, configFile })
}
