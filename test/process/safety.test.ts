import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filesIn, freshFolder } from '../archive/support.ts'
import { fakeTimeLibrary } from '../faults/fake-time.ts'
import { auditLogs, count, expiredSessions, timeGoesBy } from '../runs/support.ts'
import { command, events, start, type Ended } from '../support/command.ts'
import { BOTH_ENGINES, ENGINES } from '../support/engines.ts'

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a lowered retention exits 5 and changes no row, the schedule stops too, and the way on works`, async () => {
    await using database = await engine.fresh()
    const runNow = (retention: string, ...words: string[]): Promise<Ended> =>
      command(['--run-now', '--job', 'purge-audit-logs', ...words], {
        env: { DATABASE_URL: database.url, AUDIT_LOGS_RETENTION: retention },
      })
    assert.equal((await runNow('90d')).code, 0)
    await auditLogs(database, engine, 50, 1)
    await auditLogs(database, engine, 50, 20)
    const stopped = await runNow('9d')
    assert.equal(stopped.code, 5, stopped.stdout)
    const [line] = events(stopped, 'job.finished')
    assert.deepEqual([line!['outcome'], line!['deleted'], line!['level']], ['stopped', 0, 'error'])
    assert.match(String(line!['msg']), /--run-now --job purge-audit-logs --accept-shorter-retention/)
    assert.deepEqual(Object.keys(line!['err'] as object), ['code', 'message'])

    const env = { DATABASE_URL: database.url, AUDIT_LOGS_RETENTION: '9d', PURGE_AUDIT_LOGS_SCHEDULE: '* * * * * *' }
    const worker = start([], { env })
    let stops = 0
    await worker.line((each) => each['event'] === 'job.finished' && each['outcome'] === 'stopped' && (stops += 1) > 0)
    worker.kill('SIGTERM')
    assert.equal((await worker.ended).code, 0)
    assert.equal(await count(database, 'audit_logs'), 100)

    assert.equal((await runNow('9d', '--accept-shorter-retention')).code, 0)
    assert.equal(await count(database, 'audit_logs'), 50)
    assert.equal((await runNow('9d')).code, 0)
  })

  test(`${engine.name}: a clock that jumped exits 5 and changes no row, the schedule stops too, and the way on works`, async () => {
    await using database = await engine.fresh()
    const runNow = (...words: string[]): Promise<Ended> =>
      command(['--run-now', '--job', 'purge-audit-logs', ...words], { env: { DATABASE_URL: database.url } })
    assert.equal((await command(['migrate'], { env: { DATABASE_URL: database.url } })).code, 0)
    await auditLogs(database, engine, 100, 1)
    assert.equal((await runNow()).code, 0)
    await timeGoesBy(database, engine, 730)
    await auditLogs(database, engine, 1, 0)
    const stopped = await runNow()
    assert.equal(stopped.code, 5, stopped.stdout)
    const [line] = events(stopped, 'job.finished')
    assert.deepEqual([line!['outcome'], line!['deleted'], line!['level']], ['stopped', 0, 'error'])
    assert.match(String(line!['msg']), /--run-now --job purge-audit-logs --accept-clock/)
    const dry = await runNow('--dry-run')
    assert.deepEqual([dry.code, events(dry, 'job.finished')[0]!['expired']], [0, 100])
    assert.match(String(events(dry, 'job.warning')[0]!['msg']), /a run would be stopped: Two runs of purge-audit-logs are dated/)

    const worker = start([], { env: { DATABASE_URL: database.url, PURGE_AUDIT_LOGS_SCHEDULE: '* * * * * *' } })
    await worker.line((each) => each['event'] === 'job.finished' && each['outcome'] === 'stopped')
    worker.kill('SIGTERM')
    assert.equal((await worker.ended).code, 0)
    assert.equal(await count(database, 'audit_logs'), 101)

    assert.equal((await runNow('--accept-clock')).code, 0)
    assert.equal(await count(database, 'audit_logs'), 1)
  })

  test(`${engine.name}: a lowered archive retention exits 5 and removes no file, the purge goes on, and the way on works; so it is with an archive that is turned off`, async () => {
    await using database = await engine.fresh()
    await using folder = await freshFolder()
    const env = { DATABASE_URL: database.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path }
    const runNow = (retention: string, ...words: string[]): Promise<Ended> =>
      command(['--run-now', '--job', 'purge-audit-logs', ...words], { env: { ...env, ARCHIVE_RETENTION: retention } })
    assert.equal((await command(['migrate'], { env })).code, 0)
    // Archived as usual, soon after they had expired: rows that come late stay for 30 days.
    await auditLogs(database, engine, 5, 200)
    const earlier = await command(['--run-now', '--job', 'purge-audit-logs'], {
      env: { ...env, AUDIT_LOGS_RETENTION: '199d', ARCHIVE_RETENTION: '365d' },
    })
    assert.equal(earlier.code, 0, earlier.stdout)
    await auditLogs(database, engine, 5, 100)
    assert.equal((await runNow('365d', '--accept-shorter-retention')).code, 0)
    const files = await filesIn(folder.path)
    await auditLogs(database, engine, 5, 91)
    const stopped = await runNow('150d')
    assert.equal(stopped.code, 5, stopped.stdout)
    const [line] = events(stopped, 'job.finished')
    assert.deepEqual(
      [line!['outcome'], line!['deleted'], line!['archivedRows'], line!['archiveRemovedFiles'], line!['level']],
      ['stopped', 5, 5, 0, 'error'],
    )
    assert.match(String(line!['msg']), /--run-now --job purge-audit-logs --accept-shorter-archive-retention/)
    const kept = await filesIn(folder.path)
    assert.deepEqual(
      files.filter((each) => !kept.includes(each)),
      [],
    )
    const status = await command(['status', '--json'], { env })
    assert.match((JSON.parse(status.stdout) as { attention: string[] }).attention.join(), /was stopped: The archive of audit_logs/)

    const accepted = await runNow('150d', '--accept-shorter-archive-retention')
    assert.equal(accepted.code, 0, accepted.stdout)
    assert.equal(events(accepted, 'job.finished')[0]!['archiveRemovedRows'], 5)
    const history = await command(['history', '--json'], { env })
    const { runs } = JSON.parse(history.stdout) as { runs: { removedFromArchive: { rows: number } | null }[] }
    assert.deepEqual(
      runs.map((run) => run.removedFromArchive?.rows),
      [undefined, undefined, undefined, 5],
    )
    assert.match((await command(['history'], { env })).stdout, /left the archive/)

    // Without the archive rows would be deleted that no file has.
    await auditLogs(database, engine, 5, 91)
    const off = { ...env, ARCHIVE_ENABLED: '' }
    const without = await command(['--run-now', '--job', 'purge-audit-logs'], { env: off })
    assert.equal(without.code, 5, without.stdout)
    assert.match(String(events(without, 'job.finished')[0]!['msg']), /--run-now --job purge-audit-logs --accept-no-archive$/)
    assert.equal(await count(database, 'audit_logs'), 5)
    const given = await command(['--run-now', '--job', 'purge-audit-logs', '--accept-no-archive'], { env: off })
    assert.deepEqual([given.code, events(given, 'job.finished')[0]!['deleted']], [0, 5])
  })

  test(`${engine.name}: a worker that is killed in mid-run leaves true counts, and the next one closes its run and goes on within 15 s`, async () => {
    await using database = await engine.fresh()
    // The jobs beside it run meanwhile, as they do where their slot comes in these seconds.
    const everySecond = '* * * * * *'
    const env = {
      DATABASE_URL: database.url,
      PURGE_SESSIONS_SCHEDULE: everySecond,
      PURGE_POLICY_DECISIONS_SCHEDULE: everySecond,
      LOG_LEVEL: 'info',
    }
    assert.equal((await command(['migrate'], { env })).code, 0)
    await expiredSessions(database, engine, 100_000)
    const killed = start(['--run-now', '--job', 'purge-sessions'], { env })
    let done = 0
    while (done === 0) {
      const [row] = await database.sql<{ n: number }>('SELECT coalesce(max(rows_deleted), 0) AS n FROM maintenance_runs')
      done = row!.n
    }
    killed.kill('SIGKILL')
    await killed.ended
    const [open] = await database.sql<{ outcome: string | null; rows_deleted: number }>(
      'SELECT outcome, rows_deleted FROM maintenance_runs',
    )
    assert.equal(open!.outcome, null)
    assert.equal(await count(database, 'sessions'), 100_000 - open!.rows_deleted)

    const next = start([], { env })
    const since = Date.now()
    const line = await next.line(
      (each) => each['event'] === 'job.finished' && each['outcome'] === 'succeeded' && each['job'] === 'purge-sessions',
    )
    assert.ok(Date.now() - since < 30_000)
    next.kill('SIGTERM')
    await next.ended
    assert.equal(line['deleted'], 100_000 - open!.rows_deleted)
    const [first, second] = await database.sql<{ outcome: string; started_at: number; finished_at: number }>(
      "SELECT outcome, started_at, finished_at FROM maintenance_runs WHERE job = 'purge-sessions' ORDER BY id LIMIT 2",
    )
    assert.deepEqual([first!.outcome, second!.outcome], ['interrupted', 'succeeded'])
    assert.ok(first!.finished_at <= second!.started_at)
  })
}

test("sqlite: the host's clock jumps by two years, and back: a stop, and then all goes on", async (context) => {
  const library = fakeTimeLibrary()
  if (library === undefined) return context.skip('libfaketime is not here: apt-get install faketime')
  const engine = ENGINES[0]!
  await using database = await engine.fresh()
  const env = { DATABASE_URL: database.url }
  const moved = { ...env, LD_PRELOAD: library, FAKETIME: '+730d', FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' }
  assert.equal((await command(['migrate'], { env })).code, 0)
  await auditLogs(database, engine, 100, 1)
  await auditLogs(database, engine, 5, 91)
  assert.equal((await command(['--run-now'], { env })).code, 0)
  await auditLogs(database, engine, 1, -730)
  for (const _ of ['once', 'and again']) assert.equal((await command(['--run-now'], { env: moved })).code, 5)
  assert.equal(await count(database, 'audit_logs'), 101)
  await auditLogs(database, engine, 5, 91)
  const back = await command(['--run-now'], { env })
  assert.deepEqual([back.code, events(back, 'job.finished')[0]!['deleted']], [0, 5])
  const { attention } = JSON.parse((await command(['status', '--json'], { env })).stdout) as { attention: string[] }
  assert.doesNotMatch(attention.join('\n'), /stopped|is late/)
})

test('where the tables are missing the worker says so once and works', async () => {
  await using database = await ENGINES[0]!.fresh()
  await database.sql('CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TEXT)')
  await database.sql("INSERT INTO sessions (expires_at) VALUES ('2020-01-01 00:00:00')")
  const ended = await command(['--run-now'], { env: { DATABASE_URL: database.url, MIGRATIONS_ENABLED: 'false' } })
  assert.equal(ended.code, 0, ended.stdout)
  assert.equal(ended.lines.filter((line) => /runs are not recorded/.test(String(line['msg']))).length, 1)
  assert.equal(events(ended, 'job.finished').find((line) => line['job'] === 'purge-sessions')!['deleted'], 1)
})
