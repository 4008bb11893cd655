import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../../src/database/database.ts'
import { hostClock } from '../../../src/time/clock.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { NOON, opened, slicesOf } from './opening.ts'

const SESSIONS = { table: 'sessions', column: 'expires_at' }
const READY = { kind: 'ready', warnings: [], lasting: [] }

describe('inspecting a SQLite table', () => {
  const refusals: readonly (readonly [name: string, sql: string, message: RegExp])[] = [
    ['a view', "CREATE VIEW sessions AS SELECT 1 AS id, '2026-01-01' AS expires_at", /sessions is a view/],
    ['a virtual table', 'CREATE VIRTUAL TABLE sessions USING fts5(expires_at)', /sessions is a virtual/],
    [
      'a table without the column',
      'CREATE TABLE sessions (id INTEGER PRIMARY KEY, expiry TEXT)',
      /no column "expires_at"; it has id, expiry/,
    ],
    ['a table without row numbers', 'CREATE TABLE sessions (id TEXT PRIMARY KEY, expires_at TEXT) WITHOUT ROWID', /WITHOUT ROWID/],
    ['a table that hides its row numbers', 'CREATE TABLE sessions (rowid TEXT, oid TEXT, _rowid_ TEXT, expires_at TEXT)', /row numbers/],
  ]
  for (const [name, sql, message] of refusals) {
    it(`refuses ${name}`, async () => {
      await using fresh = await freshSqliteFile()
      await using open = await opened(fresh.file)
      await open.database.query(sql)
      await assert.rejects(open.database.inspect(SESSIONS), { kind: 'failed', message })
    })
  }

  it('names are matched as in SQLite, and row numbers are read by whichever name is free', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await database.query(
      'CREATE TABLE "Sessions" ("ROWID" TEXT, oid TEXT, "Expires_At" TIMESTAMP); CREATE INDEX x ON sessions (expires_at)',
    )
    await database.query("INSERT INTO sessions VALUES ('b', 'a', '2026-01-01'), ('a', 'b', '2026-01-01'), ('c', 'c', '2027-01-01')")
    assert.deepEqual(await database.inspect(SESSIONS), READY)
    const slices = await slicesOf(database.expired(SESSIONS, NOON), 1)
    for (const slice of slices) assert.deepEqual(await database.transaction((tx) => slice.remove(tx, [])), { affected: 1, locked: 0 })
    assert.equal(slices.length, 2)
  })

  it('up to 50,000 rows are walked without an index, and beyond that the message has the index to create', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await database.query('CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP)')
    await fill(database, 50_000)
    assert.deepEqual(await database.inspect(SESSIONS), READY)
    assert.equal((await slicesOf(database.expired(SESSIONS, NOON), 20_000)).length, 3)
    await fill(database, 1)
    await assert.rejects(database.inspect(SESSIONS), {
      kind: 'failed',
      message: /more than 50,000 rows .* CREATE INDEX idx_sessions_expires_at ON "sessions" \("expires_at"\);$/,
    })
    await database.query('CREATE INDEX idx_sessions_expires_at ON "sessions" ("expires_at")')
    assert.deepEqual(await database.inspect(SESSIONS), READY)
  })

  it('a column with the time of writing that is ahead of the clock causes a warning, and no other does', async () => {
    await using fresh = await freshSqliteFile()
    const clock = { ...hostClock(), now: () => NOON }
    await using open = await opened(fresh.file, { clock })
    const { database } = open
    await database.query(
      'CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP); CREATE INDEX x ON sessions (expires_at DESC)',
    )
    await database.query("INSERT INTO sessions VALUES (1, '2026-11-23T20:59:58Z'), (2, 'zzz'), (3, 4000000000), (4, '2026-11-23 11:00:00')")
    const audited = { ...SESSIONS, keep: { from: 'written' } as const }
    assert.deepEqual(await database.inspect(audited), READY)
    await database.query("INSERT INTO sessions VALUES (5, '2026-11-23 20:59:58.5')")
    assert.deepEqual(await database.inspect(SESSIONS), READY)
    const inspection = await database.inspect(audited)
    assert.equal(inspection.kind, 'ready')
    assert.match(
      'warnings' in inspection ? inspection.warnings.join() : '',
      /^The newest row of sessions is 9 h ahead of the clock when "expires_at" is read in time zone UTC: .*DATABASE_TIME_ZONE/,
    )
    await using tokyo = await opened(fresh.file, { clock, timeZone: 'Asia/Tokyo' })
    assert.deepEqual(await tokyo.database.inspect(audited), READY)
  })
})

async function fill(database: Database, rows: number): Promise<void> {
  await database.query(
    "WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < $1) INSERT INTO sessions (expires_at) SELECT '2026-01-01' FROM counter",
    [rows],
  )
}
