import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { messageOf } from '../../src/errors.ts'
import type { JobBatch, RunListener } from '../../src/runs/run-context.ts'
import { archivedRows, freshFolder, purged, verified } from '../archive/support.ts'
import { AUDIT_LOGS, auditLogs, count, expiredSessions, migrated, migratedIn, QUIET, run, type Fixture } from '../runs/support.ts'
import { BOTH_ENGINES, sqliteDatabase, type TestEngine } from '../support/engines.ts'

const [SQLITE, POSTGRES] = BOTH_ENGINES as [TestEngine, TestEngine]

interface Heard extends RunListener {
  readonly batches: JobBatch[]
  readonly pauses: number[]
  readonly warnings: string[]
}

function listening(): Heard {
  const [batches, pauses, warnings]: [JobBatch[], number[], string[]] = [[], [], []]
  return {
    ...QUIET,
    batches,
    pauses,
    warnings,
    jobBatch: (_, batch) => void batches.push(batch),
    jobPaused: (_, ms) => void pauses.push(ms),
    jobWarning: (_, message) => void warnings.push(message),
  }
}

/** A trigger sleeps for each session, or only for those that the condition on `old` picks. */
async function sleeping({ outside }: Fixture, seconds: number, condition = 'true'): Promise<void> {
  await outside.sql(
    `CREATE FUNCTION sleeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(${seconds}); RETURN old; END $$`,
  )
  await outside.sql(`CREATE TRIGGER sleeps BEFORE DELETE ON sessions FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION sleeps()`)
}

/** Notes that go with their audit log; to find them the whole table is read. */
async function notes({ outside }: Fixture, { name }: TestEngine, rows: number): Promise<void> {
  const series =
    name === 'sqlite'
      ? '(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < $1) SELECT n FROM s) AS s'
      : 'generate_series(1, $1::integer) AS s (n)'
  await outside.sql(
    `CREATE TABLE audit_note (audit_id ${name === 'sqlite' ? 'integer' : 'bigint'} REFERENCES audit_logs (id) ON DELETE CASCADE)`,
  )
  await outside.sql(`INSERT INTO audit_note SELECT 1 + n % 40 FROM ${series}`, [rows])
}

test(`${POSTGRES.name}: rows for which a trigger sleeps, too many for one statement, go one by one, and the log says once how long each takes`, async () => {
  await using fixture = await migrated(POSTGRES)
  await expiredSessions(fixture.outside, POSTGRES, 55)
  await sleeping(fixture, 0.1)
  const heard = listening()
  const result = await run(fixture.database, {}, { listener: heard })
  assert.deepEqual([result.outcome, result.deleted], ['succeeded', 55], messageOf(result.error))
  const sizes = heard.batches.map(({ affected }) => affected)
  assert.ok(Math.max(...sizes) <= 8 && sizes.filter((rows) => rows === 1).length > sizes.length / 2, JSON.stringify(sizes))
  assert.equal(heard.warnings.length, 1)
  assert.match(heard.warnings[0]!, /^deleting a row of sessions takes [\d.]+ m?s, so it is done a few rows at a time; look for a trigger/)
})

test(`${POSTGRES.name}: what was deleted before a row that takes longer than a statement may is kept; that row is left and named, and the others go`, async () => {
  await using fixture = await migrated(POSTGRES)
  const { outside, database } = fixture
  await expiredSessions(outside, POSTGRES, 100)
  await outside.sql(`UPDATE sessions SET expires_at = '2020-01-02 03:04:05.678' WHERE id = 1`)
  await sleeping(fixture, 60, 'old.id = 1')
  const result = await run(database)
  assert.deepEqual([result.outcome, result.deleted, result.exitCode], ['failed', 99, 1])
  assert.match(
    messageOf(result.error),
    /^1 expired row of sessions was not deleted because deleting one of them alone takes too long\. The first has "expires_at" = '2020-01-02T03:04:05\.678': PostgreSQL ended a statement because it took longer than 5 s\. Look for/,
  )
  assert.equal(await count(outside, 'sessions'), 1)
})

for (const engine of BOTH_ENGINES)
  for (const archived of [false, true])
    test(`${engine.name}: rows for each of which a table without an index is read go by few${archived ? ', with an archive' : ''}`, async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await auditLogs(outside, engine, 40, 100)
      await notes(fixture, engine, 90_000)
      const heard = listening()
      const result = archived
        ? await purged(database, folder.path, {}, { listener: heard })
        : await run(database, { job: AUDIT_LOGS }, { listener: heard })
      assert.deepEqual([result.outcome, result.deleted], ['succeeded', 40], messageOf(result.error))
      assert.equal(await count(outside, 'audit_note'), 0)
      assert.ok(
        heard.batches.every(({ affected }) => affected <= 32),
        JSON.stringify(heard.batches.map(({ affected }) => affected)),
      )
      if (!archived) return
      assert.equal((await archivedRows(folder.path)).length, 40)
      assert.deepEqual((await verified(database, folder.path)).problems, [])
    })

/** Writes again and again, as the gateway does, until its input ends. Prints how often it was refused. */
const WRITER = `
const BetterSqlite3 = require('better-sqlite3')
const database = new BetterSqlite3(process.argv[1], { timeout: 5000 })
const write = database.prepare("INSERT INTO rate_limits (subject, resource, window_start, window_seconds, expires_at) VALUES (?, 'r', '2099-01-01 00:00:00', 60, '2099-01-01 00:00:00')")
let [written, refused] = [0, 0]
const timer = setInterval(() => {
  try { write.run('k' + ++written) } catch { refused++ }
  if (written === 1) console.log('begun')
}, 20)
process.stdin.on('end', () => { clearInterval(timer); console.log(JSON.stringify({ written, refused })) }).resume()`

test('sqlite: beside rows for each of which a table is read a writer is never refused, and a run that is told to stop stops after the row at hand', async () => {
  await using outside = await sqliteDatabase()
  await using fixture = await migratedIn(outside)
  await auditLogs(outside, SQLITE, 900, 100)
  await notes(fixture, SQLITE, 90_000)
  const writer = spawn(process.execPath, ['-e', WRITER, outside.file], { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  writer.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  while (!output.includes('begun')) await once(writer.stdout, 'data')
  const stopping = new AbortController()
  const heard = listening()
  const listener: RunListener = {
    ...heard,
    jobBatch(job, batch) {
      heard.jobBatch(job, batch)
      if (heard.batches.length === 40) stopping.abort()
    },
  }
  const result = await run(fixture.database, { job: AUDIT_LOGS, stopping: stopping.signal }, { listener })
  writer.stdin.end()
  await once(writer, 'close')
  assert.equal(result.outcome, 'interrupted')
  assert.equal(heard.batches.length, 40)
  const { written, refused } = JSON.parse(output.split('\n')[1]!) as { written: number; refused: number }
  assert.ok(written > 0)
  assert.equal(refused, 0)
})
