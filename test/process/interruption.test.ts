import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { command, start, type Running } from '../support/command.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'

/** `npm run test:long` has a million. */
const ROWS = Number(process.env['INTERRUPTED_ROWS'] ?? 150_000)
/** With fewer than ten the purge would stop, as it would all but empty the table. */
const KEPT = 20
const BULK = '{"query":"select 1","output":"some text of a usual length"}'

/** So many audit logs, all of them expired, a few to be kept. */
async function withBacklog(engine: TestEngine, rows: number): Promise<TestDatabase> {
  const database = await engine.fresh()
  await command(['migrate'], { env: { DATABASE_URL: database.url } })
  const numbers = 'WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1) '
  const columns = '(tool_name, "user", action, status, parameters, timestamp)'
  const values = `SELECT 'tool' || (n % 20), 'user' || (n % 500), 'invoke', 'success', $2, `
  const at = engine.momentOf('- 100 * 86400 - n')
  await database.sql(`INSERT INTO audit_logs ${columns} ${numbers} ${values} ${at} FROM numbers`, [rows, BULK])
  for (let row = 0; row < KEPT; row += 1)
    await database.sql(`INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('t', 'u', 'invoke', 'success')`)
  return database
}

async function left(database: TestDatabase): Promise<number> {
  return (await database.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs'))[0]!.n
}

/** Waits until the purge has begun to delete, and says how many rows are left. */
async function inTheMiddle(database: TestDatabase, running: Running): Promise<number> {
  let over = false
  void running.ended.then(() => (over = true))
  for (;;) {
    const rows = await left(database)
    if (rows < ROWS + KEPT) return rows
    assert.ok(!over, 'the process ended before it deleted anything')
    await sleep(5)
  }
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: --run-now told to stop in the middle exits 143 within two seconds, and the next run finishes the work`, async () => {
    await using database = await withBacklog(engine, ROWS)
    const running = start(['--run-now', '--job', 'purge-audit-logs'], { env: { DATABASE_URL: database.url } })
    await inTheMiddle(database, running)
    const toldAt = performance.now()
    running.kill('SIGTERM')
    const ended = await running.ended
    assert.ok(performance.now() - toldAt < 2_000)
    assert.equal(ended.code, 143, ended.stdout + ended.stderr)
    const after = await left(database)
    const finished = ended.lines.at(-1)!
    assert.deepEqual([finished['event'], finished['outcome'], finished['deleted']], ['job.finished', 'interrupted', ROWS + KEPT - after])
    assert.ok(after > KEPT, 'nothing was left to interrupt')

    const next = await command(['--run-now', '--job', 'purge-audit-logs'], { env: { DATABASE_URL: database.url } })
    assert.equal(next.code, 0)
    assert.equal(next.lines.at(-1)!['deleted'], after - KEPT)
    assert.equal(await left(database), KEPT)
  })

  test(`${engine.name}: the worker told to stop in the middle of a purge exits 0 within two seconds`, async () => {
    await using database = await withBacklog(engine, ROWS)
    const running = start([], { env: { DATABASE_URL: database.url, PURGE_AUDIT_LOGS_SCHEDULE: '* * * * * *' } })
    await inTheMiddle(database, running)
    const toldAt = performance.now()
    running.kill('SIGTERM')
    const ended = await running.ended
    assert.ok(performance.now() - toldAt < 2_000)
    assert.equal(ended.code, 0, ended.stdout + ended.stderr)
    assert.equal(ended.lines.at(-1)!['event'], 'worker.stopped')
    assert.equal(ended.lines.at(-2)!['outcome'], 'interrupted')
    assert.equal(ended.lines.at(-2)!['deleted'], ROWS + KEPT - (await left(database)))
  })
}
