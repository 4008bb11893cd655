import { copyFile, rm } from 'node:fs/promises'
import BetterSqlite3 from 'better-sqlite3'
import { Client, types } from 'pg'
import type { ArchivePlace } from '../../src/archive/archive-location.ts'
import { Archive } from '../../src/archive/archive.ts'
import { reconcile, type Reconciliation } from '../../src/archive/reconcile/reconcile.ts'
import { draftsOf } from '../../src/archive/write/draft-names.ts'
import type { Database } from '../../src/database/database.ts'
import { hostClock } from '../../src/time/clock.ts'
import { applyMigrations, opened } from '../runs/support.ts'
import { copiedPostgres, POSTGRES_MAJORS } from '../support/databases.ts'
import { sqliteDatabase, type TestDatabase, type TestEngine } from '../support/engines.ts'

/** A database that is backed up and restored as a whole, while nobody is connected. */
export interface Restorable extends AsyncDisposable {
  readonly outside: TestDatabase
  /** Runs `work` with a connection of its own; times without a zone are read as in `timeZone`, or UTC. */
  with<T>(work: (database: Database) => Promise<T>, timeZone?: string): Promise<T>
  /** Returns a function that restores the backup. */
  backUp(): Promise<() => Promise<void>>
}

export async function restorable(engine: TestEngine): Promise<Restorable> {
  const { outside, copies } = engine.name === 'sqlite' ? await ofSqlite() : await ofPostgres(engine)
  return {
    outside,
    backUp: copies,
    async with(work, timeZone = 'UTC') {
      await using database = await opened(outside.url, hostClock(), { timeZone })
      return await work(database)
    },
    [Symbol.asyncDispose]: () => outside[Symbol.asyncDispose](),
  }
}

interface Copied {
  readonly outside: TestDatabase
  readonly copies: Restorable['backUp']
}

async function ofSqlite(): Promise<Copied> {
  const outside = await sqliteDatabase()
  await applyMigrations(outside.url)
  let backups = 0
  return {
    outside,
    async copies() {
      const copy = `${outside.file}.backup-${(backups += 1)}`
      const database = new BetterSqlite3(outside.file)
      try {
        database.prepare('VACUUM INTO ?').run(copy)
      } finally {
        database.close()
      }
      return async () => {
        for (const suffix of ['-wal', '-shm']) await rm(`${outside.file}${suffix}`, { force: true })
        await copyFile(copy, outside.file)
      }
    },
  }
}

async function ofPostgres({ name }: TestEngine): Promise<Copied> {
  const major = POSTGRES_MAJORS.find((each) => name.endsWith(` ${each}`))!
  const fresh = await copiedPostgres(major, applyMigrations)
  const as = (template: string): string => `TEMPLATE "${template}"${major < 15 ? '' : ' STRATEGY file_copy'}`
  const database = fresh.name
  // Nobody may be connected to a database that is copied.
  await fresh.admin.end()
  const admin = Object.assign(new URL(fresh.url), { pathname: '/postgres' }).href
  const made: string[] = []
  return {
    outside: {
      url: fresh.url,
      sql: <Row>(text: string, values?: readonly (string | number | null)[]) => once<Row>(fresh.url, text, values),
      async [Symbol.asyncDispose]() {
        for (const each of [database, ...made]) await once(admin, `DROP DATABASE "${each}" WITH (FORCE)`)
      },
    },
    async copies() {
      const copy = `${database}_backup_${made.length}`
      await once(admin, `CREATE DATABASE "${copy}" ${as(database)}`)
      made.push(copy)
      return async () => {
        await once(admin, `DROP DATABASE "${database}" WITH (FORCE)`)
        await once(admin, `CREATE DATABASE "${database}" ${as(copy)}`)
      }
    },
  }
}

/** Connects for one statement. */
async function once<Row>(url: string, text: string, values: readonly (string | number | null)[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url, types: { getTypeParser: integersAsNumbers } })
  await client.connect()
  try {
    return (await client.query(text, [...values])).rows as Row[]
  } finally {
    await client.end()
  }
}

const integersAsNumbers: typeof types.getTypeParser = (...asked: Parameters<typeof types.getTypeParser>) =>
  asked[0] === types.builtins.INT8 ? Number : types.getTypeParser(...asked)

/** Like the command, but without a lease. */
export async function reconciledAt(database: Database, place: ArchivePlace, dryRun = false): Promise<Reconciliation> {
  const archive = new Archive({
    database,
    place,
    table: 'audit_logs',
    timeColumn: 'timestamp',
    run: 0,
    drafts: await draftsOf(database),
    program: '1.2.3',
    now: Date.now(),
    cutoff: Date.now(),
    retentionMs: 0,
    underLease: (work) => database.transaction(work),
    stopping: new AbortController().signal,
  })
  return reconcile(archive, { dryRun })
}

export function reconciled(database: Database, directory: string, dryRun = false): Promise<Reconciliation> {
  return reconciledAt(database, { directory, uid: process.getuid?.() }, dryRun)
}
