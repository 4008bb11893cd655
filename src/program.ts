import { join, resolve } from 'node:path'
import { locationText, type ArchiveLocation, type ArchivePlace } from './archive/archive-location.ts'
import { readUrlAgain, type Settings } from './config/load.ts'
import type { Access, Database } from './database/database.ts'
import { labelOf, openDatabase } from './database/open.ts'
import { exitCodeOf, type ExitCode } from './errors.ts'
import type { Site } from './http/routes.ts'
import { readMigrationFiles, type MigrationFile } from './migrations/migration-files.ts'
import { takesControlCharacters } from './observe/control-characters.ts'
import { openEvents, type Events } from './observe/events.ts'
import { fanOut } from './observe/fan-out.ts'
import { openLog, type Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import type { View } from './observe/view.ts'
import { columnsOf } from './observe/width.ts'
import type { Shutdown } from './shutdown.ts'
import type { ArchivePlan } from './status/archive-status.ts'
import { SECOND, type Clock } from './time/clock.ts'

/** What the program takes from its process; passed in once, by `main.ts`. */
export interface Host {
  readonly arguments: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly workingDirectory: string
  /** The Node that runs this program, for starting other processes. */
  readonly node: string
  /** Where package.json, `migrations/` and `config/` are. */
  readonly packageRoot: string
  readonly version: string
  readonly uid: number | undefined
  /** Whether standard output and standard error are terminals. */
  readonly terminal: { readonly output: boolean; readonly error: boolean; columns(): number | undefined }
  readonly clock: Clock
  /** `host:process`, by which other workers and people know this one. */
  readonly worker: string
  /** Who runs this program, on which machine: `alice@host`. */
  readonly operator: string
  /** From 0 to below 1. */
  readonly random: () => number
  /** For people: on a terminal, no line is wider than the terminal. */
  print(text: string): void
  printError(text: string): void
  /** Writes to standard output unchanged: for programs, and for control sequences that move the cursor. */
  write(text: string): void
}

/** What every command starts from. */
export interface Start {
  readonly host: Host
  readonly settings: Settings
  readonly shutdown: Shutdown
}

/** What exists before there is a database. */
export interface Foundation extends Start {
  readonly events: Events
  readonly migrationFiles: readonly MigrationFile[]
  /** `undefined`: nobody reads them. */
  readonly metrics: Metrics | undefined
  /** `undefined`: nothing is served over HTTP. */
  readonly site: Site | undefined
}

export interface Program extends Foundation {
  readonly database: Database
}

export interface FoundationOptions {
  /**
   * Where the log goes. `error`: to standard error, because standard output is for the command's answer. `plain output`: to standard output, without colours,
   * whatever the terminal supports. A view prints the log above what it shows.
   */
  readonly log: 'output' | 'plain output' | 'error' | View
  /** How metrics are read, if the settings enable them. */
  readonly metrics: 'served' | 'written' | 'none'
}

export interface DatabaseOptions {
  /** `read`: nothing is ever changed. `existing`: no database is created. */
  readonly access: Access
  /**
   * How long to wait for a database that does not answer. `run`: as long as the settings say, at the start and when the connection is lost later. `worker`:
   * as long as the settings say at the start, then for ever. `answer`: like `run`, but only a few seconds at the start, because somebody is waiting.
   */
  readonly patience: 'worker' | 'run' | 'answer'
}

/** Keeps health checks answered in time while the worker purges. */
const LONGEST_BLOCK_MS = 35

/** The longest that a command waits for the database while somebody is waiting for its answer. */
const MOST_CONNECT_MS = 5 * SECOND

/** The composition root: log → metrics → HTTP → migration files → database, disposed of in reverse order whatever happens. */
export function withProgram(
  start: Start,
  options: FoundationOptions & DatabaseOptions,
  work: (program: Program) => Promise<ExitCode>,
): Promise<ExitCode> {
  return withFoundation(start, options, async (foundation) => {
    await using database = await connect(foundation, options)
    return await work({ ...foundation, database })
  })
}

/** Everything but the database. What `work` rejects with is logged, and becomes the exit code. */
export async function withFoundation(
  { host, settings, shutdown }: Start,
  options: FoundationOptions,
  work: (foundation: Foundation) => Promise<ExitCode>,
): Promise<ExitCode> {
  const logged = openEvents(await logOf(host, settings, options.log))
  const metrics = areRead(options.metrics, settings) ? await metricsOf(host, settings) : undefined
  const site = metrics !== undefined && options.metrics === 'served' ? await siteOf(host, metrics, settings) : undefined
  const view = viewOf(options.log)
  const events = fanOut(logged, ...[metrics, site, view].flatMap((each) => (each === undefined ? [] : [each.listener])))
  try {
    for (const warning of settings.warnings) events.warning(warning)
    for (const note of settings.notes) events.note(note)
    await using server = await site?.serve(settings.http, events)
    if (server !== undefined) events.listening(server.url)
    const migrationFiles = await readMigrationFiles(host.packageRoot)
    return await work({ host, settings, shutdown, events, migrationFiles, metrics, site })
  } catch (error) {
    // Errors during shutdown are part of stopping.
    if (shutdown.stopping.aborted) return 0
    events.failed(error)
    return exitCodeOf(error)
  }
}

/** Rejects with a `DatabaseError`. The connection is cut when the program has to end. */
export async function connect(
  { host, settings, shutdown, events, site }: Foundation,
  { access, patience }: DatabaseOptions,
): Promise<Database> {
  const { connectTimeoutMs } = settings.database
  let connected: Database | undefined
  // Between runs nothing else would reconnect, and the page would be out of date until the next run.
  const regain = (): void => void connected?.reconnected(shutdown.stopping).catch(() => undefined)
  const database = await openDatabase({
    ...settings.database,
    connectTimeoutMs: patience === 'answer' ? Math.min(connectTimeoutMs, MOST_CONNECT_MS) : connectTimeoutMs,
    ...(site === undefined ? {} : { longestBlockMs: LONGEST_BLOCK_MS }),
    ...(patience === 'worker' ? {} : { reconnectTimeoutMs: connectTimeoutMs }),
    access,
    readUrlAgain: () => readUrlAgain(host),
    random: host.random,
    applicationName: `mcp-gateway-maintenance ${host.version}`,
    clock: host.clock,
    node: host.node,
    user: { uid: host.uid },
    listener: patience === 'worker' ? fanOut(events, { lost: regain }) : events,
    signal: shutdown.stopping,
  })
  connected = database
  const cut = (): void => void database[Symbol.asyncDispose]()
  shutdown.abandon.addEventListener('abort', cut, { once: true })
  return database
}

const STANDARD_OUTPUT = 1
const STANDARD_ERROR = 2

function logOf({ terminal, env, clock }: Host, settings: Settings, where: FoundationOptions['log']): Promise<Log> {
  return openLog({
    ...settings.log,
    view: viewOf(where),
    ...(where === 'error'
      ? { descriptor: STANDARD_ERROR, terminal: terminal.error, columns: () => columnsOf(terminal, 'error') }
      : { descriptor: STANDARD_OUTPUT, terminal: terminal.output, columns: () => columnsOf(terminal, 'output') }),
    coloured: where !== 'plain output' && takesControlCharacters(env),
    clock,
  })
}

function viewOf(where: FoundationOptions['log']): View | undefined {
  return typeof where === 'string' ? undefined : where
}

function areRead(how: FoundationOptions['metrics'], { http, metrics }: Settings): boolean {
  switch (how) {
    case 'served':
      return http.enabled
    case 'written':
      return metrics.textfile !== undefined
    case 'none':
      return false
  }
}

async function metricsOf({ version, clock }: Host, { jobs, archive }: Settings): Promise<Metrics> {
  const enabled = jobs.flatMap((each) => (each.enabled ? [each.job] : []))
  const archiving = enabled.flatMap((job) => (archive.enabled && job.archived === true ? [job.name] : []))
  const { openMetrics } = await import('./observe/metrics.ts')
  return openMetrics({ version, clock, jobs: enabled.map(({ name }) => name), archiving })
}

async function siteOf(host: Host, metrics: Metrics, settings: Settings): Promise<Site> {
  const { database, jobs, schedule, partitions } = settings
  const { openSite } = await import('./http/routes.ts')
  const { statusWithout } = await import('./status/read-status.ts')
  const label = await labelOf(database.url)
  const { version, clock } = host
  const context = {
    version,
    clock,
    jobs,
    scheduleTimeZone: schedule.timeZone,
    archive: archivePlanOf({ host, settings }),
    partitionsEnabled: partitions.enabled,
  }
  return openSite({ metrics, clock, without: (problem) => statusWithout(label, problem, context) })
}

/** The archive that the settings describe. */
export function archivePlanOf({ host, settings }: Pick<Program, 'host' | 'settings'>): ArchivePlan {
  const { enabled, retentionMs, location } = settings.archive
  return { ...archivePlaceOf({ host, settings }, location), enabled, keptMs: retentionMs }
}

/** A place, with what the settings say of buckets. */
export function archivePlaceOf(
  { host, settings: { archive } }: Pick<Program, 'host' | 'settings'>,
  location: ArchiveLocation,
): ArchivePlace {
  const { uid } = host
  if (location.kind === 'folder') return { directory: resolve(host.workingDirectory, location.path), uid }
  const { s3, spool } = archive
  // As on every system, and not in a name that two users share.
  const temporary = join(host.env['TMPDIR'] ?? '/tmp', `mcp-gateway-maintenance-${uid ?? 'spool'}`)
  const bucket = { ...location, ...s3, spool: resolve(host.workingDirectory, spool ?? temporary), spoolChosen: spool !== undefined }
  return { directory: locationText(location), bucket, uid }
}
