import { fileURLToPath } from 'node:url'
import { COUNTED_RUNS } from '../../src/archive/tables.ts'
import { retentionOf, JOBS, type Job } from '../../src/catalogue.ts'
import type { Database, OpenOptions } from '../../src/database/database.ts'
import { openDatabase } from '../../src/database/open.ts'
import type { Transaction } from '../../src/database/query.ts'
import { parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { NOTHING_ACCEPTED } from '../../src/purge/safety.ts'
import { Turns } from '../../src/purge/turns.ts'
import { RUN_POLICIES } from '../../src/runs/policy-tables.ts'
import { RECEIPTS } from '../../src/runs/receipt-tables.ts'
import type { RunResult } from '../../src/runs/result.ts'
import type { RunListener, RunContext, RunRequest } from '../../src/runs/run-context.ts'
import { runJob } from '../../src/runs/run-job.ts'
import { DAY, hostClock, SECOND, type Clock } from '../../src/time/clock.ts'
import type { TestDatabase, TestEngine } from '../support/engines.ts'

const PACKAGE_ROOT = fileURLToPath(new URL('../..', import.meta.url))

export const [AUDIT_LOGS, , SESSIONS] = JOBS as [Job, Job, Job]

/** The host's clock, so much ahead. */
export function ahead(ms: number): Clock {
  const clock = hostClock()
  return { ...clock, now: () => clock.now() + ms }
}

export function opened(url: string, clock: Clock = hostClock(), changes: Partial<Omit<OpenOptions, 'url'>> = {}): Promise<Database> {
  return openDatabase({
    url: parseDatabaseUrl(url),
    schema: 'public',
    timeZone: 'UTC',
    connectTimeoutMs: 10 * SECOND,
    access: 'write',
    readUrlAgain: () => undefined,
    random: Math.random,
    applicationName: 'job tests',
    clock,
    node: process.execPath,
    user: { uid: process.getuid?.() },
    listener: { created: () => {}, warning: () => {}, note: () => {}, lost: () => {}, awaiting: () => {}, regained: () => {} },
    signal: new AbortController().signal,
    ...changes,
  })
}

export interface Fixture extends AsyncDisposable {
  readonly outside: TestDatabase
  readonly database: Database
}

/** A new database with every migration, as if they had been applied just now. */
export async function migrated(engine: TestEngine): Promise<Fixture> {
  const outside = await engine.copied(applyMigrations)
  await outside.sql('UPDATE maintenance_migrations SET applied_at = $1', [Date.now()])
  return fixtureOf(outside)
}

/** Applies every migration to this database, which goes with the fixture. */
export async function migratedIn(outside: TestDatabase): Promise<Fixture> {
  await applyMigrations(outside.url)
  return fixtureOf(outside)
}

async function fixtureOf(outside: TestDatabase): Promise<Fixture> {
  const database = await opened(outside.url)
  return {
    outside,
    database,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await outside[Symbol.asyncDispose]()
    },
  }
}

export async function applyMigrations(url: string, schema = 'public'): Promise<void> {
  await using database = await opened(url, undefined, { schema })
  await migrate({
    database,
    files: await readMigrationFiles(PACKAGE_ROOT),
    appVersion: '1.2.3',
    lockTimeoutMs: 20 * SECOND,
    signal: new AbortController().signal,
    clock: hostClock(),
    listener: {
      applied: () => {},
      current: () => {},
      waiting: () => {},
      blocked: () => {},
      healed: () => {},
      slowIndex: () => {},
      granting: () => {},
    },
  })
}

export const QUIET: RunListener = { jobStarted: () => {}, jobWarning: () => {}, jobBatch: () => {}, jobPaused: () => {} }

export interface Told {
  readonly warnings: string[]
}

export async function run(
  database: Database,
  { job = SESSIONS, ...request }: Partial<RunRequest> = {},
  options: Partial<RunContext> & { readonly told?: Told } = {},
): Promise<RunResult> {
  return runJob(
    {
      database,
      clock: hostClock(),
      listener: { ...QUIET, jobWarning: (_, message) => void options.told?.warnings.push(message) },
      worker: 'host-a:1',
      version: '1.2.3',
      recorded: true,
      turns: new Turns(),
      countedRuns: [...(await database.tablesAmong([...COUNTED_RUNS, RUN_POLICIES, RECEIPTS]))],
      ...options,
    },
    {
      job,
      retentionMs: retentionOf(job)?.defaultMs,
      graceMs: 0,
      trigger: 'run-now',
      slot: undefined,
      dryRun: false,
      accepted: NOTHING_ACCEPTED,
      stopping: new AbortController().signal,
      ...request,
    },
  )
}

/** The same database; each transaction goes through `around`, which is told its number, from 1. */
export function intercepted(database: Database, around: (number: number, transact: () => Promise<unknown>) => Promise<unknown>): Database {
  let number = 0
  const transaction = (work: (tx: Transaction) => Promise<unknown>): Promise<unknown> =>
    around((number += 1), () => database.transaction(work))
  return new Proxy(database, { get: (target, name) => (name === 'transaction' ? transaction : Reflect.get(target, name)) as unknown })
}

/** So many sessions that have expired. */
export async function expiredSessions(database: TestDatabase, engine: TestEngine, rows: number, tokens = 'old'): Promise<void> {
  await database.sql(
    `INSERT INTO sessions (session_token, user_identifier, expires_at) SELECT '${tokens}' || n, 'u', ${engine.moment(-60)} FROM ${series(engine)}`,
    [rows],
  )
}

/**
 * So many audit rows, the newest so many days old, each a minute older than the one before. From 91 whole days on, where no cutoff is near, they are counted
 * back from noon: the archive has a file for each day, and at midnight 40 rows would be of two.
 */
export async function auditLogs(database: TestDatabase, engine: TestEngine, rows: number, days: number): Promise<void> {
  const noon = Number.isInteger(days) && days > 90
  const at =
    engine.name === 'sqlite'
      ? `datetime('now', '${-days} days', ${noon ? "'start of day', '12 hours', " : ''}(-n) || ' minutes')`
      : `${noon ? `date_trunc('day', now() AT TIME ZONE 'UTC') + interval '12 hours'` : `(now() AT TIME ZONE 'UTC')`} - interval '${days} days' - n * interval '1 minute'`
  await database.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) SELECT 't', 'u', 'invoke', 'success', ${at} FROM ${series(engine)}`,
    [rows],
  )
}

/** For runs and rows alike: the clocks of this host and of the database are where they were, and everything else lies further back. */
export async function timeGoesBy(outside: TestDatabase, engine: TestEngine, days: number): Promise<void> {
  await outside.sql('UPDATE maintenance_runs SET started_at = started_at - $1, finished_at = finished_at - $1', [days * DAY])
  await outside.sql(
    engine.name === 'sqlite'
      ? `UPDATE audit_logs SET timestamp = datetime(timestamp, '${-days} days')`
      : `UPDATE audit_logs SET timestamp = timestamp - interval '${days} days'`,
  )
}

function series({ name }: TestEngine): string {
  return name === 'sqlite'
    ? '(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < $1) SELECT n FROM s) AS s'
    : 'generate_series(1, $1::integer) AS s (n)'
}

export async function count(database: TestDatabase, table: string): Promise<number> {
  return (await database.sql<{ n: number }>(`SELECT count(*) AS n FROM ${table}`))[0]!.n
}

export interface StoredRun {
  readonly job: string
  readonly outcome: string | null
  readonly worker: string
  readonly started_at: number
  readonly finished_at: number | null
  readonly cutoff: number | null
  readonly retention: number | null
  readonly rows_deleted: number
  readonly batches: number
  readonly error: string | null
}

export function stored(database: TestDatabase): Promise<StoredRun[]> {
  return database.sql<StoredRun>('SELECT * FROM maintenance_runs ORDER BY id')
}
