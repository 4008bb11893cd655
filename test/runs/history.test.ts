import assert from 'node:assert/strict'
import { test } from 'node:test'
import { doneUntil } from '../../src/runs/last-run.ts'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { AUDIT_LOGS, auditLogs, count, expiredSessions, intercepted, migrated, opened, run, SESSIONS, stored } from './support.ts'

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: every run is recorded with what it did, even one that deleted nothing`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 5, 91)
    const before = Date.now()
    await run(fixture.database, { job: AUDIT_LOGS, trigger: 'catch-up', slot: before - DAY })
    await run(fixture.database)
    const [purged, idle] = await fixture.outside.sql('SELECT * FROM maintenance_runs ORDER BY id')
    const { id: _, started_at: started, finished_at: finished, cutoff, batches, ...rest } = purged!
    assert.deepEqual(rest, {
      job: 'purge-audit-logs',
      outcome: 'succeeded',
      trigger: 'catch-up',
      worker: 'host-a:1',
      version: '1.2.3',
      retention: 90 * DAY,
      rows_deleted: 5,
      undated: 0,
      unreadable: 0,
      locked: 0,
      error: null,
    })
    // The first row goes by itself.
    assert.ok(Number(batches) > 1 && Number(batches) <= 5)
    assert.equal(cutoff, Number(started) - 90 * DAY)
    assert.ok(Math.abs(Number(started) - before) < 30_000 && Number(finished) >= Number(started))
    assert.deepEqual([idle!['outcome'], idle!['rows_deleted'], idle!['retention']], ['succeeded', 0, null])
  })

  test(`${engine.name}: maintenance_history shows the runs newest first, with times that people read`, async () => {
    await using fixture = await migrated(engine)
    for (const [job, at] of [
      ['older', 1_700_000_000_000],
      ['newer', 1_700_000_000_123],
    ] as const) {
      await fixture.outside.sql(
        `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, cutoff) VALUES ($1, 'schedule', 'w', '1', $2, $3)`,
        [job, at, 1_600_000_000_000],
      )
    }
    const text = (column: string): string =>
      engine.name === 'sqlite' ? column : `to_char(${column}, 'YYYY-MM-DD HH24:MI:SS.MS') AS ${column}`
    assert.deepEqual(
      await fixture.outside.sql(`SELECT job, ${text('started_at')}, ${text('cutoff')}, finished_at, outcome FROM maintenance_history`),
      [
        { job: 'newer', started_at: '2023-11-14 22:13:20.123', cutoff: '2020-09-13 12:26:40.000', finished_at: null, outcome: null },
        { job: 'older', started_at: '2023-11-14 22:13:20.000', cutoff: '2020-09-13 12:26:40.000', finished_at: null, outcome: null },
      ],
    )
  })

  test(`${engine.name}: runs of more than 400 days ago are deleted with the audit logs, and are not counted`, async () => {
    await using fixture = await migrated(engine)
    const rows = engine.name === 'sqlite' ? 'json_each($2)' : 'json_array_elements_text($2::json) AS j (value)'
    await fixture.outside.sql(
      `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, outcome)
       SELECT 'purge-sessions', 'schedule', 'w', '1', CAST($1 AS BIGINT) - CAST(value AS BIGINT) * 86400000, 'succeeded' FROM ${rows}`,
      [Date.now(), JSON.stringify([...Array.from({ length: 1_200 }, () => 401), 402, 399, 10])],
    )
    await run(fixture.database)
    assert.equal(await count(fixture.outside, 'maintenance_runs'), 1_204)
    await auditLogs(fixture.outside, engine, 3, 91)
    const result = await run(fixture.database, { job: AUDIT_LOGS })
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 3])
    assert.equal(await count(fixture.outside, 'maintenance_runs'), 4)
    assert.equal((await stored(fixture.outside)).at(-1)!.rows_deleted, 3)
  })

  test(`${engine.name}: a batch adds to what the record holds, also if a crash of the server took an earlier batch back with its count`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await expiredSessions(outside, engine, 40)
    let batches = 0
    const counted = intercepted(database, async (_, transact) => {
      const done = await transact()
      // As if the first batch had not been on the disk: its row is there again, and the record is what it was.
      if (typeof done === 'object' && done !== null && 'affected' in done && (batches += 1) === 1) {
        await expiredSessions(outside, engine, 1, 'again')
        await outside.sql('UPDATE maintenance_runs SET rows_deleted = 0, batches = 0')
      }
      return done
    })
    const { outcome, deleted } = await run(counted, { job: SESSIONS })
    assert.deepEqual([outcome, deleted, await count(outside, 'sessions')], ['succeeded', 40, 0])
    assert.ok(batches > 1)
  })

  test(`${engine.name}: a run that is asked to stop is recorded as interrupted, with what it did`, async () => {
    await using fixture = await migrated(engine)
    await expiredSessions(fixture.outside, engine, 4_000)
    const stopping = new AbortController()
    const stopped = intercepted(fixture.database, (number, transact) => {
      if (number === 3) stopping.abort('SIGTERM')
      return transact()
    })
    const result = await run(stopped, { stopping: stopping.signal })
    assert.equal(result.outcome, 'interrupted')
    const [row] = await stored(fixture.outside)
    assert.deepEqual([row?.outcome, row?.rows_deleted], ['interrupted', result.deleted])
    assert.ok(result.deleted > 0 && result.deleted < 4_000)
    assert.deepEqual(await fixture.outside.sql('SELECT expires_at FROM maintenance_leases'), [{ expires_at: 0 }])
  })

  test(`${engine.name}: a job whose table is missing is skipped and recorded, and a dry run is not recorded`, async () => {
    await using fixture = await migrated(engine)
    await run(fixture.database, { dryRun: true })
    assert.deepEqual(await stored(fixture.outside), [])
    assert.deepEqual(await fixture.outside.sql('SELECT * FROM maintenance_leases'), [])
    await fixture.outside.sql('DROP TABLE sessions')
    assert.equal((await run(fixture.database)).outcome, 'skipped')
    const [row] = await stored(fixture.outside)
    assert.equal(row?.outcome, 'skipped')
    assert.match(String(row.error), /sessions/)
  })

  test(`${engine.name}: jobs run even without the maintenance tables`, async () => {
    await using outside = await engine.fresh()
    const at = engine.name === 'sqlite' ? 'TEXT' : 'TIMESTAMP'
    await outside.sql(`CREATE TABLE sessions (id INTEGER PRIMARY KEY, session_token TEXT, user_identifier TEXT, expires_at ${at})`)
    await outside.sql(`INSERT INTO sessions (id, expires_at) VALUES (1, ${engine.moment(-60)}), (2, ${engine.moment(60)})`)
    await using database = await opened(outside.url)
    const result = await run(database, {}, { recorded: false })
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 1])
  })

  test(`${engine.name}: slots count from the last run, or from the first migration before any run, and skipped or stopped runs do not count`, async () => {
    await using fixture = await migrated(engine)
    const clock = hostClock()
    const until = (): Promise<number | undefined> => doneUntil(fixture.database, clock, SESSIONS.name)
    const [first] = await fixture.outside.sql<{ at: number }>('SELECT min(applied_at) AS at FROM maintenance_migrations')
    assert.ok(Math.abs((await until())! - first!.at) < 1_000)
    for (const [outcome, ago] of [
      ['skipped', 1],
      ['stopped', 2],
      ['failed', 3],
      ['succeeded', 4],
    ] as const) {
      await fixture.outside.sql(
        `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, outcome) VALUES ('purge-sessions', 'schedule', 'w', '1', $1, $2)`,
        [Date.now() - ago * DAY, outcome],
      )
    }
    assert.ok(Math.abs((await until())! - (Date.now() - 3 * DAY)) < 5_000)
  })
}
