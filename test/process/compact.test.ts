import assert from 'node:assert/strict'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import BetterSqlite3 from 'better-sqlite3'
import { command, start } from '../support/command.ts'
import { BOTH_ENGINES, sqliteDatabase } from '../support/engines.ts'

type File = Awaited<ReturnType<typeof sqliteDatabase>>

/** A migrated file of which nearly all is free: so many rows of a kilobyte came and went. */
async function mostlyFree(journal: 'wal' | 'delete', rows = 4_000): Promise<File> {
  const database = await sqliteDatabase()
  assert.equal((await command(['migrate'], { env: { DATABASE_URL: database.url } })).code, 0)
  const open = new BetterSqlite3(database.file)
  try {
    open.pragma(`journal_mode = ${journal}`)
    open.exec(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp, parameters)
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
      SELECT 't', 'u' || i, 'invoke', 'success', datetime('now'), json_quote(hex(randomblob(500))) FROM n`)
    open.exec('DELETE FROM audit_logs WHERE id > 50')
  } finally {
    open.close()
  }
  return database
}

async function contentOf(file: File): Promise<unknown> {
  return [await file.sql('SELECT * FROM audit_logs ORDER BY id'), await file.sql(`SELECT name, sql FROM sqlite_schema ORDER BY name`)]
}

for (const journal of ['wal', 'delete'] as const) {
  test(`compact gives free space back, changes no row, and turns on that later purges do so (${journal})`, async () => {
    await using database = await mostlyFree(journal)
    const env = { DATABASE_URL: database.url }
    const [before, content] = [(await stat(database.file)).size, await contentOf(database)]
    const dry = await command(['compact', '--dry-run'], { env })
    assert.equal(dry.code, 0, dry.stderr)
    assert.match(
      dry.stdout,
      /of which .* are free\. Giving them back takes about .*, during which nobody else can write to it, and up to .* of disk space in /,
    )
    assert.match(dry.stdout, /Nothing was changed: this is a dry run\.\n$/)
    assert.equal((await stat(database.file)).size, before)

    const done = await command(['compact', '--offline'], { env })
    assert.equal(done.code, 0, done.stderr)
    assert.match(done.stdout, /^Done in .*: .*\. From now on each purge gives free pages back in small steps\.$/m)
    assert.ok((await stat(database.file)).size < before / 4, `${before} bytes before`)
    assert.deepEqual(await contentOf(database), content)
    assert.deepEqual(await database.sql('PRAGMA auto_vacuum'), [{ auto_vacuum: 2 }])
    assert.deepEqual(await database.sql('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
    assert.deepEqual(await database.sql('PRAGMA journal_mode'), [{ journal_mode: journal }])
    assert.deepEqual(
      (await readdir(database.folder)).filter((name) => name.startsWith('etilqs_')),
      [],
    )
  })
}

test('compact --offline refuses a file that another process has open, and leaves it as it was', async () => {
  await using database = await mostlyFree('wal')
  using open = new Gateway(database.file)
  open.read()
  const before = (await stat(database.file)).size
  const refused = await command(['compact', '--offline'], { env: { DATABASE_URL: database.url } })
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /was not compacted: another process has it open\. Stop the gateway and the worker/)
  assert.equal((await stat(database.file)).size, before)
})

test('compact --within runs beside a gateway in its time of day, and not at another', async () => {
  await using database = await mostlyFree('wal')
  using open = new Gateway(database.file)
  open.read()
  const env = { DATABASE_URL: database.url, SCHEDULE_TIME_ZONE: 'UTC' }
  const refused = await command(['compact', '--within', `${hour(3)}-${hour(4)}`], { env })
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /was not compacted: it is now outside the time of --within, in the zone UTC\./)
  const done = await command(['compact', '--within', `${hour(-1)}-${hour(2)}`], { env })
  assert.equal(done.code, 0, done.stderr)
  open.write()
})

test('compact says what it was not told, and where it has nothing to do', async () => {
  await using database = await mostlyFree('wal', 100)
  const env = { DATABASE_URL: database.url }
  for (const words of [['compact'], ['compact', '--offline', '--within', '01:00-02:00'], ['compact', '--within', '1-2']])
    assert.equal((await command(words, { env })).code, 2, words.join(' '))
  await using postgres = await BOTH_ENGINES[1]!.fresh()
  const nothing = await command(['compact', '--offline'], { env: { DATABASE_URL: postgres.url } })
  assert.equal(nothing.code, 0)
  assert.match(nothing.stdout, /^Nothing to do: PostgreSQL /)
})

test('compact does not make Litestream copy everything again, unless that was allowed', async () => {
  await using database = await mostlyFree('wal', 500)
  const env = { DATABASE_URL: database.url }
  await mkdir(join(database.folder, `.${basename(database.file)}-litestream`))
  const refused = await command(['compact', '--offline'], { env })
  assert.equal(refused.code, 1)
  assert.match(
    refused.stderr,
    /Litestream replicates it, and would have to copy all of it again; if that is acceptable, add --replicated\./,
  )
  assert.equal((await command(['compact', '--offline', '--replicated'], { env })).code, 0)
})

test('SIGTERM ends compact at once, and leaves the database as it was', async () => {
  await using database = await mostlyFree('wal', 50)
  const open = new BetterSqlite3(database.file)
  // So that it takes a while.
  open.exec(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp, parameters)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 140000)
    SELECT 't', 'u' || i, 'invoke', 'success', datetime('now'), json_quote(hex(randomblob(500))) FROM n`)
  open.close()
  const count = await database.sql('SELECT count(*) AS n, sum(id) AS ids FROM audit_logs')
  const running = start(['compact', '--within', `${hour(-1)}-${hour(2)}`], {
    env: { DATABASE_URL: database.url, SCHEDULE_TIME_ZONE: 'UTC' },
  })
  // Its temporary file has no name. That the lock is held shows that it is at work.
  const over = new AbortController()
  void running.ended.then(() => over.abort())
  const other = new BetterSqlite3(database.file, { timeout: 0 })
  while (!over.signal.aborted && !isLocked(other)) await turn()
  other.close()
  assert.ok(!over.signal.aborted, JSON.stringify(over.signal.aborted && (await running.ended)))
  running.kill('SIGTERM')
  const ended = await running.ended
  assert.equal(ended.code, 143, ended.stderr)
  assert.deepEqual(await database.sql('SELECT count(*) AS n, sum(id) AS ids FROM audit_logs'), count)
  assert.deepEqual(await database.sql('PRAGMA auto_vacuum'), [{ auto_vacuum: 0 }])
  assert.deepEqual(await database.sql('PRAGMA quick_check'), [{ quick_check: 'ok' }])
})

function isLocked(database: BetterSqlite3.Database): boolean {
  try {
    database.exec('BEGIN IMMEDIATE; ROLLBACK')
    return false
  } catch {
    return true
  }
}

/** `03:00`, so many hours from now. */
function hour(ahead: number): string {
  return `${String((new Date().getUTCHours() + 24 + ahead) % 24).padStart(2, '0')}:00`
}

/** A connection of somebody else. */
class Gateway {
  readonly #database: BetterSqlite3.Database

  constructor(file: string) {
    this.#database = new BetterSqlite3(file)
  }

  read(): void {
    this.#database.prepare('SELECT count(*) FROM tools').get()
  }

  write(): void {
    this.#database.prepare(`INSERT INTO tools (name, description, path, permissions) VALUES ('t', 'd', 'p', '[]')`).run()
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }
}
