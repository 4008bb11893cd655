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

/** Where each row lies and which transactions have written or locked it: another version of a row has another place. */
async function writtenTo(outside: TestDatabase): Promise<readonly string[]> {
  if (isSqlite(outside)) return []
  const tables = await outside.sql<{ name: string }>(`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
  const rows = await Promise.all(tables.map(({ name }) => outside.sql(`SELECT ctid::text, xmin::text, xmax::text FROM ${name} ORDER BY 1`)))
  return rows.map((each, at) => `${tables[at]!.name} ${JSON.stringify(each)}`)
}
