import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import BetterSqlite3 from 'better-sqlite3'
import { retentionOf, JOBS } from '../../../src/catalogue.ts'
import type { Database } from '../../../src/database/database.ts'
import { migrate } from '../../../src/migrations/apply-migrations.ts'
import { readMigrationFiles } from '../../../src/migrations/migration-files.ts'
import { readStatus } from '../../../src/status/read-status.ts'
import { DAY, hostClock, SECOND } from '../../../src/time/clock.ts'
import { freshFolder, purged, restored, verified } from '../../archive/support.ts'
import { opened, run } from '../../runs/support.ts'
import { freshSqliteFile } from '../../support/databases.ts'

/** What can be in the way in a file: functions and operators cannot be, since SQLite keeps none in it. */
type Plant = (gateway: BetterSqlite3.Database, database: Database, names: Names) => Promise<number> | number

interface Names {
  /** Every word and every quoted name of every statement that was prepared, in lower case. */
  readonly used: readonly string[]
  /** Those that the file has objects of. */
  readonly taken: ReadonlySet<string>
}

const files = await readMigrationFiles(fileURLToPath(new URL('../../..', import.meta.url)))
const KEPT = [1, 2, 3]
const EXPIRED = [4, 5, 6, 7]

describe('whatever lies in a file by the names that our statements use', { concurrency: false }, () => {
  const reference = recorded(() => life())

  const plants: readonly (readonly [what: string, when: 'before migrations' | 'after', plant: Plant])[] = [
    ['tables', 'before migrations', tables],
    ['views', 'before migrations', views],
    ['columns of every table', 'after', columns],
    ['temporary tables in the place of every table', 'after', temporaries],
  ]
  for (const [what, when, plant] of plants) {
    it(`everything goes as it does without: ${what}`, async (t) => {
      const { result, names } = await reference
      const hostile = await life({ when, plant, names })
      t.diagnostic(`${hostile.planted} ${what} planted, of ${names.used.length} names in our statements; ${hostile.result.hits} effects`)
      assert.ok(hostile.planted >= (what.startsWith('temporary') ? 10 : 150), String(hostile.planted))
      assert.deepEqual(hostile.result, result)
    })
  }
})

interface Result {
  readonly jobs: readonly string[]
  readonly left: readonly unknown[]
  readonly archive: unknown
  readonly status: unknown
  readonly hits: number
}

/** From a new file to the last command: migrations, every job, the archive, its expiry, what is told and what is restored. */
async function life(given?: {
  when: string
  plant: Plant
  names: Names
}): Promise<{ result: Result; planted: number; taken: ReadonlySet<string> }> {
  await using fresh = await freshSqliteFile()
  await using folder = await freshFolder()
  await using database = await opened(`sqlite:///${fresh.file}`)
  const gateway = new BetterSqlite3(fresh.file)
  gateway.exec('CREATE TABLE seen_by_traps (what TEXT)')
  let planted = 0
  try {
    if (given?.when === 'before migrations') planted = await together(gateway, () => given.plant(gateway, database, given.names))
    await migrateAll(database)
    await together(gateway, () => fill(gateway))
    if (given?.when === 'after') planted = await together(gateway, () => given.plant(gateway, database, given.names))
    await migrateAll(database)
    const jobs: string[] = []
    const accepted = new Set(['empty-table'] as const)
    for (const job of JOBS.filter((each) => each.archived !== true)) {
      const { outcome, deleted, error } = await run(database, { job, accepted })
      jobs.push(`${job.name}: ${outcome} ${deleted} ${String(error)}`)
    }
    const first = await purged(database, folder.path)
    jobs.push(`archived: ${first.outcome} ${first.deleted} ${first.archived?.rows} ${String(first.error)}`)
    const checked = await verified(database, folder.path)
    const back = await restored(database, folder.path)
    const expiry = await purged(database, folder.path, { keptMs: 91 * DAY })
    jobs.push(`expiry: ${expiry.outcome} ${String(expiry.error)}`)
    const status = await readStatus(database, {
      version: '1.2.3',
      migrationsEnabled: true,
      files,
      jobs: JOBS.map((job) => ({ job, enabled: true, schedule: job.schedule, retentionMs: retentionOf(job)?.defaultMs, graceMs: 0 })),
      archive: { enabled: true, directory: folder.path, uid: process.getuid?.(), keptMs: 365 * DAY },
      partitionsEnabled: true,
      scheduleTimeZone: 'UTC',
      clock: hostClock(),
    })
    const rows = (sql: string): unknown[] => gateway.prepare(sql).pluck().all()
    const taken = new Set(gateway.prepare<[], string>('SELECT lower(name) FROM main.sqlite_schema').pluck().all())
    return {
      planted,
      taken,
      result: {
        jobs,
        left: ['audit_logs', 'sessions', 'policy_decisions', 'tools', 'api_keys', 'mcp_servers'].map((table) =>
          rows(`SELECT id FROM main.${table} ORDER BY id`),
        ),
        archive: { rows: checked.rows, problems: checked.problems, inserted: back.inserted, present: back.present },
        status: {
          migrations: status.migrations?.pending,
          jobs: status.jobs.map(({ lastRun, problems, backlog }) => [lastRun?.outcome, lastRun?.deleted, problems, backlog?.rows]),
          archive: status.archive.problems,
        },
        hits: rows('SELECT what FROM main.seen_by_traps').length,
      },
    }
  } finally {
    gateway.close()
  }
}

/** One transaction: a thousand of them would take minutes. */
async function together<T>(gateway: BetterSqlite3.Database, work: () => T | Promise<T>): Promise<T> {
  gateway.exec('BEGIN')
  const done = await work()
  gateway.exec('COMMIT')
  return done
}

function nothing(): void {}

function migrateAll(database: Database): Promise<unknown> {
  return migrate({
    database,
    files,
    appVersion: '1.2.3',
    lockTimeoutMs: 20 * SECOND,
    signal: new AbortController().signal,
    clock: hostClock(),
    listener: {
      applied: nothing,
      current: nothing,
      waiting: nothing,
      blocked: nothing,
      healed: nothing,
      slowIndex: nothing,
      granting: nothing,
    },
  })
}

function fill(gateway: BetterSqlite3.Database): void {
  const times = [...KEPT.map((id) => [id, "'+1 day'"]), ...EXPIRED.map((id) => [id, "'-200 days'"])]
  for (const [id, days] of times) {
    const time = `datetime('now', ${days})`
    gateway.exec(`
      INSERT INTO audit_logs (id, tool_name, "user", action, status, timestamp) VALUES (${id}, 't', 'u', 'invoke', 'success', min(${time}, datetime('now', '-1 hour')));
      INSERT INTO sessions (id, session_token, user_identifier, expires_at) VALUES (${id}, 's${id}', 'u', ${time});
      INSERT INTO policy_decisions (id, user_identifier, resource, action, decision, expires_at) VALUES (${id}, 'u', 'r', 'a', 'deny', ${time});
      INSERT INTO rate_limits (subject, resource, window_start, window_seconds, expires_at) VALUES ('u', 'r${id}', ${time}, 60, ${time});
      INSERT INTO tools (id, name, description, path, permissions) VALUES (${id}, 't${id}', 'd', 'p', '[]')`)
  }
}

/** What is prepared and executed meanwhile, by anybody, taken apart into names. */
async function recorded(work: () => ReturnType<typeof life>): Promise<{ result: Result; names: Names }> {
  const statements: string[] = []
  const own = { ...BetterSqlite3.prototype }
  Object.assign(BetterSqlite3.prototype, {
    prepare(this: BetterSqlite3.Database, sql: string) {
      statements.push(sql)
      return own.prepare.call(this, sql)
    },
    exec(this: BetterSqlite3.Database, sql: string) {
      statements.push(sql)
      return own.exec.call(this, sql)
    },
  })
  try {
    const { result, taken } = await work()
    const used = new Set(statements.flatMap(namesIn))
    for (const name of ['json_each', 'pragma_table_xinfo', 'pragma_index_list', 'maintenance_leases', 'chosen', 'value'])
      assert.ok(used.has(name), name)
    return { result, names: { used: [...used].toSorted((a, b) => (a < b ? -1 : 1)), taken } }
  } finally {
    Object.assign(BetterSqlite3.prototype, own)
  }
}

function namesIn(sql: string): string[] {
  const bare = sql.replaceAll(/--[^\n]*/g, '').replaceAll(/'(?:[^']|'')*'/g, '')
  return [...bare.matchAll(/"((?:[^"]|"")+)"|[A-Za-z_][A-Za-z0-9_]*/g)].map(([word, between]) => (between ?? word).toLowerCase())
}

function free({ used, taken }: Names): string[] {
  return used.filter((name) => !taken.has(name) && !name.startsWith('sqlite_'))
}

/** Of SQLite's own table-valued functions and of the gateway's tables, so that whoever reads one of them here would not notice. */
const COLUMNS =
  `key value type atom parent fullkey path name pk hidden wr schema notnull dflt_value seqno cid desc coll unique origin partial table from to
  id timestamp expires_at job holder fence seq ncol strict`.split(/\s+/)

function tables(gateway: BetterSqlite3.Database, _database: Database, names: Names): number {
  const planted = free(names)
  for (const name of planted) {
    gateway.exec(`CREATE TABLE main.${quoted(name)} (${COLUMNS.map(quoted).join(', ')})`)
    // Whoever reads row numbers from it deletes what is to be kept.
    for (const id of KEPT)
      gateway
        .prepare(`INSERT INTO main.${quoted(name)} (value, id, timestamp, expires_at) VALUES (?, ?, '2000-01-01', '2000-01-01')`)
        .run(id, id)
    for (const event of ['INSERT', 'UPDATE', 'DELETE']) gateway.exec(trap(name, 'AFTER', event))
  }
  return planted.length
}

function views(gateway: BetterSqlite3.Database, _database: Database, names: Names): number {
  const planted = free(names)
  for (const name of planted) {
    const row = (id: number): string => `SELECT ${COLUMNS.map((column) => `${id} AS ${quoted(column)}`).join(', ')}`
    gateway.exec(`CREATE VIEW main.${quoted(name)} AS ${KEPT.map(row).join(' UNION ALL ')}`)
    for (const event of ['INSERT', 'UPDATE', 'DELETE']) gateway.exec(trap(name, 'INSTEAD OF', event))
  }
  return planted.length
}

function trap(name: string, when: string, event: string): string {
  return `CREATE TRIGGER main.${quoted(`trap ${event} ${name}`)} ${when} ${event} ON ${quoted(name)} BEGIN INSERT INTO seen_by_traps VALUES ('${event}'); END`
}

/** Each an old time, so that whoever takes it for the row's own deletes what is to be kept. */
function columns(gateway: BetterSqlite3.Database, _database: Database, names: Names): number {
  let planted = 0
  for (const table of ['audit_logs', 'sessions', 'policy_decisions', 'rate_limits']) {
    const there = new Set(gateway.prepare<[string], string>('SELECT lower(name) FROM pragma_table_xinfo(?)').pluck().all(table))
    for (const name of names.used) {
      // SQLite itself takes none of these behind a table that was made without it.
      if (there.has(name) || ['rowid', 'oid', '_rowid_'].includes(name)) continue
      gateway.exec(`ALTER TABLE ${table} ADD COLUMN ${quoted(name)} TEXT DEFAULT '2000-01-01'`)
      planted += 1
    }
  }
  return planted
}

/** On our own connection, where an unqualified name means them first. */
async function temporaries(gateway: BetterSqlite3.Database, database: Database): Promise<number> {
  const own = gateway
    .prepare<[], string>("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    .pluck()
    .all()
  for (const name of own) {
    const columnsOf = gateway.prepare<[string], string>('SELECT name FROM pragma_table_xinfo(?)').pluck().all(name)
    await database.query(`CREATE TEMP TABLE ${quoted(name)} (${columnsOf.map(quoted).join(', ')})`)
  }
  return own.length
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
