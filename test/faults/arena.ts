import { setTimeout as sleep } from 'node:timers/promises'
import { TERM_MS } from '../../src/runs/lease.ts'
import { events, start, type CommandOptions, type Ended, type Running } from '../support/command.ts'
import type { TestDatabase, TestEngine } from '../support/engines.ts'
import { isSqlite } from './dialect.ts'
import { APPLICATIONS, OWN_MIGRATIONS, ROWS_OF_A_MIGRATION, type TestedProgram } from './program.ts'
import type { Subject } from './subjects.ts'
import type { Tally } from './tally.ts'
import { Truth } from './truth.ts'
import { must, mustNot } from './violation.ts'

export interface ArenaOptions {
  /** Instead of a new database on the engine's common ground. */
  readonly database?: TestDatabase
  /** Leaves the database empty: migrations are what is tested. */
  readonly empty?: boolean
}

/** No scheduled run comes by itself. */
export const NO_SCHEDULE: Readonly<Record<string, string>> = {
  PURGE_AUDIT_LOGS_SCHEDULE: '0 0 29 2 *',
  PURGE_POLICY_DECISIONS_SCHEDULE: '0 0 29 2 *',
  PURGE_SESSIONS_SCHEDULE: '0 0 29 2 *',
  SCHEDULE_CATCH_UP: 'false',
}

export const EVERY_SECOND: Readonly<Record<string, string>> = {
  PURGE_AUDIT_LOGS_SCHEDULE: '* * * * * *',
  PURGE_POLICY_DECISIONS_SCHEDULE: '* * * * * *',
  PURGE_SESSIONS_SCHEDULE: '* * * * * *',
}

const LONGEST_PROCESS_MS = 200_000
/** The promise is 15 s; a lease is taken a moment before its holder is killed, and a process needs a moment to ask. */
const FREE_AFTER_MS = TERM_MS + 250

/** One database under fault: the truth about its rows, and every process that worked on it. */
export class Arena implements AsyncDisposable {
  readonly engine: TestEngine
  readonly database: TestDatabase
  readonly truth: Truth
  readonly #program: TestedProgram
  readonly #tally: Tally
  /** The database has lost commits in a failover: what a process has told may have been undone, and done again. */
  commitsLost = false
  readonly #processes: Started[] = []
  #heldUntilMs = 0

  constructor(engine: TestEngine, database: TestDatabase, program: TestedProgram, tally: Tally) {
    this.engine = engine
    this.database = database
    this.truth = new Truth(engine, database)
    this.#program = program
    this.#tally = tally
  }

  async migrate(): Promise<void> {
    const ended = await this.run(['migrate'])
    must(ended.code === 0, `migrate on an undisturbed database exits ${ended.code}`)
    await this.truth.watch()
  }

  start(words: readonly string[], options: CommandOptions = {}): Running {
    const { packageRoot } = this.#program
    const env = { DATABASE_URL: this.database.url, ...options.env }
    const running = start(words, { packageRoot, timeoutMs: LONGEST_PROCESS_MS, ...options, env })
    const started: Started = { words, running, ended: undefined }
    this.#processes.push(started)
    void running.ended.then((ended) => (started.ended = ended))
    return running
  }

  run(words: readonly string[], options: CommandOptions = {}): Promise<Ended> {
    return this.start(words, options).ended
  }

  runJob({ job }: Subject, options: CommandOptions = {}): Running {
    return this.start(['--run-now', '--job', job.name], options)
  }

  /** True: it was alive until now. Whatever lease it held is not given back. */
  async kill(running: Running): Promise<boolean> {
    running.kill('SIGKILL')
    const { signal } = await running.ended
    if (signal === 'SIGKILL') this.#heldUntilMs = Date.now() + FREE_AFTER_MS
    return signal === 'SIGKILL'
  }

  /** Until the lease of whoever was killed last is free, without looking into the database: the next worker shall be the first who does. */
  async leasesFree(): Promise<void> {
    await sleep(Math.max(0, this.#heldUntilMs - Date.now()))
  }

  /** The undisturbed run after the faults, and then the whole truth. */
  async settle(options: CommandOptions = {}): Promise<void> {
    await this.leasesFree()
    const ended = await this.run(['--run-now'], options)
    must(ended.code === 0, `the undisturbed run after the faults exits ${ended.code}`)
    for (const line of events(ended, 'job.finished'))
      must(
        line['outcome'] === 'succeeded' || !/running it/.test(String(line['reason'])),
        `${String(line['job'])} is still held: ${String(line['reason'])}`,
      )
    await this.check({ settled: true })
  }

  async check(options: { readonly settled: boolean }): Promise<void> {
    await this.checkMigrations()
    this.#tally.rowsDeleted += await this.truth.check(options)
    for (const { go, stay } of this.truth.written.values()) this.#tally.rowsWritten += go + stay
    if (!isSqlite(this.engine)) return
    const [row] = await this.database.sql<{ integrity_check: string }>('PRAGMA integrity_check')
    must(row?.integrity_check === 'ok', `the file is damaged: ${row?.integrity_check}`)
  }

  /** Each once: by the ledger, by the rows that each of ours writes without asking, and by what all processes told. */
  async checkMigrations(): Promise<void> {
    const ledger = await this.database.sql<{ version: number }>('SELECT version FROM maintenance_migrations')
    const versions = new Set(ledger.map((row) => row.version))
    mustNot('migrations applied twice', ledger.length - versions.size, 'by the ledger')
    must(versions.size === this.#program.migrations, `${versions.size} of ${this.#program.migrations} migrations are in the ledger`)
    const applications = await this.database.sql<{ migration: number; n: number }>(
      `SELECT migration, count(*) AS n FROM ${APPLICATIONS} GROUP BY migration`,
    )
    for (const { migration, n } of applications) {
      mustNot('migrations applied twice', Math.max(0, n / ROWS_OF_A_MIGRATION - 1), `counted ${migration} wrote ${n} rows`)
      must(n === ROWS_OF_A_MIGRATION, `migration counted ${migration} is half there: ${n} of ${ROWS_OF_A_MIGRATION} rows`)
    }
    must(applications.length === OWN_MIGRATIONS, `${applications.length} of ${OWN_MIGRATIONS} counted migrations were applied`)
    const told = this.#processes.flatMap(({ ended }) => (ended === undefined ? [] : events(ended, 'migration.applied')))
    const twice = this.commitsLost ? 0 : told.length - new Set(told.map((line) => line['version'])).size
    mustNot('migrations applied twice', twice, 'by what the processes told')
    this.#tally.migrationsApplied += versions.size
  }

  /** The end of what each process said, for whoever has to understand a violation. */
  lastWords(): string {
    return this.#processes
      .map(({ words, ended }) => {
        const lines = (ended === undefined ? '(still running)' : ended.stdout + ended.stderr).trimEnd().split('\n').slice(-LAST_LINES)
        const end = ended === undefined ? '' : `, ${ended.signal ?? `exit ${ended.code}`}`
        return [`--- ${words.join(' ') || 'worker'}${end}`, ...lines].join('\n')
      })
      .join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { running, ended } of this.#processes) if (ended === undefined) running.kill('SIGKILL')
    await Promise.all(this.#processes.map(({ running }) => running.ended))
    await this.database[Symbol.asyncDispose]()
  }
}

interface Started {
  readonly words: readonly string[]
  readonly running: Running
  ended: Ended | undefined
}

const LAST_LINES = 12
