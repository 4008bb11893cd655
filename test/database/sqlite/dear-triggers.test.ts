import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import type { Database, OpenOptions } from '../../../src/database/database.ts'
import { messageOf } from '../../../src/errors.ts'
import { hostClock } from '../../../src/time/clock.ts'
import { count, expiredSessions, migratedIn, opened, run, SESSIONS, stored } from '../../runs/support.ts'
import { start, type Running } from '../../support/command.ts'
import { BOTH_ENGINES, sqliteDatabase } from '../../support/engines.ts'

const SQLITE = BOTH_ENGINES[0]!
const JOURNALS = ['wal', 'delete'] as const
const ROWS = 30
const PROMISED_MS = 8_000
/** Many times what is promised: the machine may be busy. */
const GENEROUS_MS = 3_000

const ENDLESS = 'SELECT count(*) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n);'
/** Looks at ten thousand million pairs. */
const LONG = 'SELECT count(*) FROM big AS a, big AS b;'
/** Writes more than SQLite keeps in memory, so that pages of the file itself are overwritten before the end. */
const WRITING = `UPDATE big SET filling = replace(filling, 'x', 'y'); ${ENDLESS}`

type Outside = Awaited<ReturnType<typeof sqliteDatabase>>

/** Expired sessions, and a large table of somebody's own. */
async function withSessions(journal: (typeof JOURNALS)[number]): Promise<{ outside: Outside; database: Database } & AsyncDisposable> {
  const outside = await sqliteDatabase()
  await outside.sql(`PRAGMA journal_mode = ${journal}`)
  const fixture = await migratedIn(outside)
  await expiredSessions(outside, SQLITE, ROWS)
  await outside.sql('CREATE TABLE big (id INTEGER PRIMARY KEY, filling TEXT)')
  await outside.sql(
    `INSERT INTO big (filling) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
      SELECT printf('%.*c', 100, 'x') FROM n`,
  )
  await outside.sql('CREATE TABLE noted (what TEXT)')
  return { outside, database: fixture.database, [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose]() }
}

async function nothingHappened(outside: Outside): Promise<void> {
  assert.deepEqual(await outside.sql('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
  assert.equal(await count(outside, 'sessions'), ROWS)
  assert.equal(await count(outside, 'big'), 100_000)
  assert.equal(await count(outside, "big WHERE filling LIKE '%y%'"), 0)
  assert.equal(await count(outside, 'noted'), 0)
  // Nobody holds the lock, and the file can be written to.
  await outside.sql(`INSERT INTO noted VALUES ('after')`)
  // One whose writer was killed before it touched the file means nothing, and lies there until the next write.
  assert.ok(!existsSync(`${outside.file}-journal`), 'a journal is left')
}

/** Writes every 10 ms, as a gateway does, until its input ends. Prints how often it was refused, and how long it waited at most. */
const WRITER = `
const BetterSqlite3 = require('better-sqlite3')
const database = new BetterSqlite3(process.argv[1], { timeout: 5000 })
const write = database.prepare("INSERT INTO rate_limits (subject, resource, window_start, window_seconds, expires_at) VALUES (?, 'r', '2099-01-01 00:00:00', 60, '2099-01-01 00:00:00')")
let [written, refused, longestMs] = [0, 0, 0]
const timer = setInterval(() => {
  const begun = performance.now()
  try { write.run('k' + ++written) } catch { refused++ }
  longestMs = Math.max(longestMs, performance.now() - begun)
  if (written === 1) console.log('begun')
}, 10)
process.stdin.on('end', () => { clearInterval(timer); console.log(JSON.stringify({ written, refused, longestMs })) }).resume()`

interface Written {
  readonly written: number
  readonly refused: number
  readonly longestMs: number
}

async function besideWriter(file: string, work: () => Promise<void>): Promise<Written> {
  const writer = spawn(process.execPath, ['-e', WRITER, file], { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  writer.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  while (!output.includes('begun')) await once(writer.stdout, 'data')
  await work()
  writer.stdin.end()
  await once(writer, 'close')
  return JSON.parse(output.split('\n')[1]!) as Written
}

for (const journal of JOURNALS) {
  for (const [name, body] of [
    ['looks at very many rows', LONG],
    ['writes a lot and never ends', WRITING],
  ] as const)
    test(`${journal}: a trigger that ${name} is found before anything is deleted, and beside it a writer is never refused`, async () => {
      await using fixture = await withSessions(journal)
      const { outside, database } = fixture
      await outside.sql(`CREATE TRIGGER dear BEFORE DELETE ON sessions BEGIN ${body} END`)
      // This process answers meanwhile.
      let turns = 0
      const ticking = setInterval(() => (turns += 1), 10)
      const written = await besideWriter(outside.file, async () => {
        const result = await run(database)
        assert.deepEqual([result.outcome, result.deleted, result.exitCode], ['failed', 0, 1])
        assert.match(
          messageOf(result.error),
          /deleting one row of sessions \(rowid 1\) takes longer than 150 ms, in which nobody else could write\. .*the trigger dear\. Nothing was deleted\. Make /,
        )
      })
      clearInterval(ticking)
      assert.ok(turns > 10, `${turns} turns`)
      assert.equal(written.refused, 0)
      assert.ok(written.written > 10 && written.longestMs < GENEROUS_MS, JSON.stringify(written))
      const [record] = await stored(outside)
      assert.deepEqual([record?.outcome, record?.rows_deleted, record?.batches], ['failed', 0, 0])
      await nothingHappened(outside)
    })

  test(`${journal}: a cheap trigger costs a trial, of which nothing is left, and every row goes`, async () => {
    await using fixture = await withSessions(journal)
    const { outside, database } = fixture
    await outside.sql(`CREATE TRIGGER cheap AFTER DELETE ON sessions BEGIN INSERT INTO noted VALUES (old.session_token); END`)
    const result = await run(database)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', ROWS], messageOf(result.error))
    assert.equal(await count(outside, 'noted'), ROWS)
    assert.equal(await count(outside, 'sessions'), 0)
  })
}

const REACHED: readonly (readonly [name: string, action: string, event: string])[] = [
  ['into which deletions cascade', 'CASCADE', 'DELETE'],
  ['whose reference is set to NULL', 'SET NULL', 'UPDATE OF session'],
]
for (const [name, action, event] of REACHED)
  test(`a trigger of a table ${name} is found, and so is one of a table that such a trigger writes to`, async () => {
    await using fixture = await withSessions('wal')
    const { outside, database } = fixture
    await outside.sql(`CREATE TABLE visits (session INTEGER REFERENCES sessions (id) ON DELETE ${action})`)
    await outside.sql('CREATE INDEX idx_visits_session ON visits (session)')
    await outside.sql('INSERT INTO visits SELECT id FROM sessions')
    await outside.sql(`CREATE TRIGGER visited AFTER ${event} ON visits BEGIN INSERT INTO noted VALUES ('v'); END`)
    await outside.sql(`CREATE TRIGGER noting AFTER INSERT ON noted WHEN new.what = 'v' BEGIN ${ENDLESS} END`)
    const result = await run(database)
    assert.deepEqual([result.outcome, result.deleted], ['failed', 0])
    assert.match(messageOf(result.error), /rowid 1\) takes longer than 150 ms, .* the triggers visited, noting\. Nothing was deleted/)
    assert.equal(await count(outside, 'visits WHERE session IS NOT NULL'), ROWS)
    await nothingHappened(outside)
  })

test('a refused row is no dear one: the batch that meets it tells why', async () => {
  await using fixture = await withSessions('wal')
  const { outside, database } = fixture
  await outside.sql(`CREATE TRIGGER refusing BEFORE DELETE ON sessions WHEN old.id = 1 BEGIN SELECT RAISE(ABORT, 'not this one'); END`)
  const result = await run(database)
  assert.deepEqual([result.outcome, result.deleted], ['failed', ROWS - 1])
  assert.match(messageOf(result.error), /prevented 1 expired row of sessions .*not this one/)
})

async function withoutProcesses(url: string, changes: Partial<Omit<OpenOptions, 'url'>> = {}): Promise<Database> {
  return opened(url, hostClock(), { node: '/nowhere/node', ...changes })
}

test('where no process can be started nothing is deleted; a table that runs no trigger, a dry run and a run with nothing to delete need none', async () => {
  await using fixture = await withSessions('wal')
  const { outside } = fixture
  await using database = await withoutProcesses(outside.url)
  // Of the same table, but not for what a purge does.
  await outside.sql(`CREATE TRIGGER other AFTER INSERT ON sessions BEGIN ${ENDLESS} END`)
  await outside.sql(`CREATE TRIGGER elsewhere AFTER DELETE ON noted BEGIN ${ENDLESS} END`)
  await outside.sql(`CREATE TRIGGER dear AFTER DELETE ON sessions BEGIN ${ENDLESS} END`)
  const refused = await run(database)
  assert.deepEqual([refused.outcome, refused.deleted], ['failed', 0])
  assert.match(
    messageOf(refused.error),
    /runs the trigger dear\. .* could not be used: spawn \/nowhere\/node ENOENT\. Nothing was deleted\. Let /,
  )
  {
    await using reading = await withoutProcesses(outside.url, { access: 'read' })
    const dry = await run(reading, { dryRun: true })
    assert.deepEqual([dry.outcome, dry.expired], ['succeeded', ROWS])
  }
  await nothingHappened(outside)
  await outside.sql('DROP TRIGGER dear')
  const free = await run(database)
  assert.deepEqual([free.outcome, free.deleted], ['succeeded', ROWS], messageOf(free.error))
  await outside.sql(`CREATE TRIGGER dear AFTER DELETE ON sessions BEGIN ${ENDLESS} END`)
  assert.equal((await run(database)).outcome, 'succeeded')
})

test('a lock that another process keeps is waited for as before a batch, and the run fails as busy', { timeout: 120_000 }, async () => {
  await using fixture = await withSessions('wal')
  const { outside, database } = fixture
  await outside.sql(`CREATE TRIGGER cheap AFTER DELETE ON sessions BEGIN INSERT INTO noted VALUES ('n'); END`)
  const other = new BetterSqlite3(outside.file)
  other.exec('BEGIN IMMEDIATE')
  const { signal } = new AbortController()
  await assert.rejects(database.rehearse(SESSIONS, Date.now(), [], signal), { kind: 'busy' })
  other.exec('ROLLBACK')
  other.close()
  await database.rehearse(SESSIONS, Date.now(), [], signal)
  await nothingHappened(outside)
})

/** Waits until the trial of a program holds the lock. */
async function inTheTrial(outside: Outside, running: Running): Promise<void> {
  await running.line(({ event }) => event === 'job.started')
  let ended = false
  void running.ended.then(() => (ended = true))
  using other = Object.assign(new BetterSqlite3(outside.file, { timeout: 0 }), {
    [Symbol.dispose]: () => void other.close(),
  }) as BetterSqlite3.Database & Disposable
  for (;;) {
    assert.ok(!ended, JSON.stringify(ended && (await running.ended)))
    try {
      other.exec('BEGIN IMMEDIATE; ROLLBACK')
    } catch {
      return
    }
    await sleep(2)
  }
}

for (const journal of JOURNALS) {
  const env = ({ url }: Outside): Record<string, string> => ({
    DATABASE_URL: url,
    LOG_LEVEL: 'debug',
    PURGE_SESSIONS_SCHEDULE: '* * * * * *',
  })

  test(`${journal}: SIGTERM during a trial ends the program in time, and nothing holds the lock`, async () => {
    await using fixture = await withSessions(journal)
    const { outside } = fixture
    await outside.sql(`CREATE TRIGGER dear BEFORE DELETE ON sessions BEGIN ${WRITING} END`)
    const running = start([], { env: env(outside) })
    await inTheTrial(outside, running)
    const toldAt = performance.now()
    running.kill('SIGTERM')
    const ended = await running.ended
    assert.ok(performance.now() - toldAt < PROMISED_MS)
    assert.equal(ended.code, 0, ended.stdout + ended.stderr)
    await nothingHappened(outside)
  })

  test(`${journal}: a program that is killed during a trial leaves no process that holds the lock`, async () => {
    await using fixture = await withSessions(journal)
    const { outside } = fixture
    await outside.sql(`CREATE TRIGGER dear BEFORE DELETE ON sessions BEGIN ${WRITING} END`)
    const running = start([], { env: env(outside) })
    await inTheTrial(outside, running)
    running.kill('SIGKILL')
    await running.ended
    // Whoever comes next waits for the lock as usual, and rolls back.
    const next = new BetterSqlite3(outside.file, { timeout: 5_000 })
    next.exec('BEGIN IMMEDIATE; ROLLBACK')
    next.close()
    await nothingHappened(outside)
  })
}
