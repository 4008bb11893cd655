import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { copyFile, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { freshFolder, purged } from '../archive/support.ts'
import { isSqlite, pictureOf } from '../migrations/support.ts'
import { auditLogs, applyMigrations, migrated, opened } from '../runs/support.ts'
import { ENGINES, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { GRANTED, login } from './logins.ts'
import { diagnosed, type Asked } from './support.ts'

/** Names, bytes, modes and times of everything below a folder. */
async function filesIn(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder, { recursive: true })).toSorted()
  return Promise.all(
    names.map(async (name) => {
      const path = join(folder, name)
      const stats = await stat(path)
      const content = stats.isFile()
        ? createHash('sha256')
            .update(await readFile(path))
            .digest('hex')
        : ''
      return [name, stats.size, stats.mode, stats.uid, stats.isFile() ? stats.mtimeMs : '', content].join(' ')
    }),
  )
}

/** Who reads is noted in the shared memory, which is nobody's data. */
async function withoutShared(folder: string): Promise<readonly string[]> {
  return (await filesIn(folder)).filter((each) => !/^\S+-shm /.test(each))
}

const ALL: Asked = { plan: { thorough: true } }

describe('doctor leaves no trace of a file', () => {
  it('with a rollback journal, with a write-ahead log, and of a file that does not exist', async () => {
    for (const mode of ['DELETE', 'WAL']) {
      await using outside = await sqliteDatabase()
      await applyMigrations(outside.url)
      await outside.sql(`PRAGMA journal_mode = ${mode}`)
      const before = await filesIn(outside.folder)
      assert.deepEqual(before.length, 1)
      await diagnosed(outside.url, ALL)
      assert.deepEqual(await filesIn(outside.folder), before, mode)
    }
    await using nothing = await sqliteDatabase()
    const { unseen, findings } = await diagnosed(nothing.url, ALL)
    assert.deepEqual(await filesIn(nothing.folder), [])
    assert.match(unseen.join(), /does not exist yet/)
    assert.ok(findings.every(({ level }) => level === 'advice'))
  })

  it('that a gateway has open, or that one has left with a log: neither is moved into the database', async () => {
    await using outside = await sqliteDatabase()
    await applyMigrations(outside.url)
    const gateway = new BetterSqlite3(outside.file)
    gateway.pragma('journal_mode = WAL')
    gateway.exec(`INSERT INTO tools (name, description, path, permissions) VALUES ('a', 'd', 'p', '')`)
    const before = await withoutShared(outside.folder)
    assert.equal(before.length, 2)
    await diagnosed(outside.url, ALL)
    assert.deepEqual(await withoutShared(outside.folder), before)

    // As a killed one leaves it.
    await using left = await sqliteDatabase()
    for (const end of ['', '-wal', '-shm']) await copyFile(outside.file + end, left.file + end)
    gateway.close()
    const killed = await withoutShared(left.folder)
    await diagnosed(left.url, ALL)
    assert.deepEqual(await withoutShared(left.folder), killed)
    assert.equal((await readdir(left.folder)).length, 3)
  })
})

it('without a write-ahead log pages are read only for as long as nobody notices, and what was not read is said', async () => {
  await using outside = await sqliteDatabase()
  await applyMigrations(outside.url)
  const asked: Asked = { plan: { thorough: true }, limits: { longestLockMs: 0 } }
  await outside.sql(
    `INSERT INTO tools (name, description, path, permissions) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT i, 'd', 'p', 'x' FROM n`,
  )
  const { unseen, findings } = await diagnosed(outside.url, asked)
  assert.match(unseen.join('\n'), /^the pages of .*gateway\.db: .*without a write-ahead log/m)
  assert.ok(!findings.some(({ code }) => code === 'database-damaged'))
  await outside.sql('PRAGMA journal_mode = WAL')
  assert.deepEqual((await diagnosed(outside.url, asked)).unseen, [])
})

for (const engine of ENGINES)
  it(`${engine.name}: doctor changes neither an object nor a row, nor the archive, and leaves no transaction behind`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside } = fixture
    await auditLogs(outside, engine, 20, 100)
    await using worker = await opened(outside.url)
    await purged(worker, folder.path)
    await auditLogs(outside, engine, 20, 100)
    const before = [await pictureOf(outside), await filesIn(folder.path), await writtenTo(outside)]
    const archive = { enabled: true, directory: folder.path, uid: process.getuid?.(), keptMs: undefined }
    await diagnosed(outside.url, { plan: { archive, thorough: true } })
    assert.deepEqual([await pictureOf(outside), await filesIn(folder.path), await writtenTo(outside)], before)
  })

/**
 * What the server keeps of this database: its objects, their rights and settings, and how often somebody wrote, analysed or vacuumed. How often tables were read is
 * counted by any reading.
 */
async function keptOf(outside: TestDatabase): Promise<readonly unknown[]> {
  const catalogues = [
    `SELECT oid, relname, relnamespace, relkind, relpersistence, relowner, relfilenode, relacl, reloptions, reltoastrelid FROM pg_class`,
    ...['pg_namespace', 'pg_proc', 'pg_attribute', 'pg_constraint', 'pg_trigger', 'pg_statistic_ext', 'pg_description', 'pg_depend'].map(
      (name) => `SELECT * FROM ${name}`,
    ),
    `SELECT relid, n_tup_ins, n_tup_upd, n_tup_del, analyze_count, vacuum_count FROM pg_stat_user_tables`,
    `SELECT tup_inserted, tup_updated, tup_deleted, temp_files FROM pg_stat_database WHERE datname = current_database()`,
    'SELECT * FROM pg_db_role_setting',
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name = 'doctor tests'`,
    `SELECT locktype, mode, objid FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  ]
  const kept: unknown[] = []
  for (const each of catalogues) {
    const [row] = await outside.sql(`SELECT md5(string_agg(x::text, ' ' ORDER BY x::text)) AS all FROM (${each}) AS x`)
    kept.push([each, row])
  }
  return kept
}

for (const engine of ENGINES.slice(1))
  it(`${engine.name}: whoever asks, doctor leaves nothing in the catalogue, no temporary objects, no statistics and no session`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    // Autovacuum would write, too.
    await outside.sql('ALTER TABLE audit_logs SET (autovacuum_enabled = off)')
    await auditLogs(outside, engine, 20, 100)
    await using purge = await login(outside, GRANTED)
    await using stranger = await login(outside, new Map())
    // What a session has counted is written when it ends, and of one that goes on after a second.
    await fixture.database[Symbol.asyncDispose]()
    await outside.sql('SELECT pg_sleep(1.5)')
    const before = await keptOf(outside)
    for (const url of [outside.url, purge.url, stranger.url]) await diagnosed(url, { ...ALL, plan: { migrationsEnabled: false } })
    await outside.sql('SELECT pg_sleep(1.5)')
    assert.deepEqual(await keptOf(outside), before)
  })

/** Where each row lies and which transactions have written or locked it: another version of a row has another place. */
async function writtenTo(outside: TestDatabase): Promise<readonly string[]> {
  if (isSqlite(outside)) return []
  const tables = await outside.sql<{ name: string }>(`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
  const written: string[] = []
  for (const { name } of tables)
    written.push(`${name} ${JSON.stringify(await outside.sql(`SELECT ctid::text, xmin::text, xmax::text FROM ${name} ORDER BY 1`))}`)
  return written
}
