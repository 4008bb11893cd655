import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { DAY, HOUR, MINUTE } from '../../src/time/clock.ts'
import { freshFolder, purged } from '../archive/support.ts'
import { BOTH_ENGINES, ENGINES, type TestDatabase } from '../support/engines.ts'
import { ahead, AUDIT_LOGS, auditLogs, count, expiredSessions, migrated, opened, run, stored, timeGoesBy, type Told } from './support.ts'

function purgeAuditLogs(
  database: Database,
  days: number,
  request: Parameters<typeof run>[1] = {},
  options: Parameters<typeof run>[2] = {},
) {
  return run(database, { job: AUDIT_LOGS, retentionMs: days * DAY, ...request }, options)
}

const SHORTER = new Set(['shorter-retention'] as const)
const EMPTY = new Set(['empty-table'] as const)
const CLOCK = new Set(['clock'] as const)
const NO_ARCHIVE = new Set(['no-archive'] as const)

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a retention lowered from 90d to 9d stops every scheduled run until a person accepts it, and is then the schedule's`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 50, 1)
    await auditLogs(fixture.outside, engine, 50, 20)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'succeeded')
    for (let slot = 1; slot <= 3; slot += 1) {
      const stopped = await purgeAuditLogs(fixture.database, 9, { trigger: 'schedule', slot: Date.now() + slot * MINUTE })
      assert.equal(stopped.outcome, 'stopped')
      assert.equal(stopped.exitCode, 5)
      assert.match(
        String(stopped.error),
        /purge-audit-logs is 9d, but the last run used 90d.*100 rows of audit_logs.*--accept-shorter-retention/,
      )
      assert.equal(await count(fixture.outside, 'audit_logs'), 100)
    }
    assert.deepEqual(
      (await stored(fixture.outside)).map((row) => [row.outcome, row.retention]),
      [['succeeded', 90 * DAY], ...Array.from({ length: 3 }, () => ['stopped', null])],
    )
    const accepted = await purgeAuditLogs(fixture.database, 9, { accepted: SHORTER })
    assert.deepEqual([accepted.outcome, accepted.deleted], ['succeeded', 50])
    await auditLogs(fixture.outside, engine, 50, 20)
    const next = await purgeAuditLogs(fixture.database, 9, { trigger: 'schedule', slot: Date.now() + MINUTE })
    assert.deepEqual([next.outcome, next.deleted], ['succeeded', 50])
  })

  test(`${engine.name}: a shorter retention that deletes at most a tenth needs no acceptance, and neither does a longer one`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 90, 1)
    await auditLogs(fixture.outside, engine, 10, 20)
    await purgeAuditLogs(fixture.database, 90)
    assert.equal((await purgeAuditLogs(fixture.database, 100)).outcome, 'succeeded')
    const tenth = await purgeAuditLogs(fixture.database, 9)
    assert.deepEqual([tenth.outcome, tenth.deleted], ['succeeded', 10])
  })

  test(`${engine.name}: a run that was accepted and then interrupted counts as accepted; a dry run, a stopped or a skipped one does not`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 50, 1)
    await auditLogs(fixture.outside, engine, 50, 20)
    await purgeAuditLogs(fixture.database, 90)
    const told: Told = { warnings: [] }
    const dry = await purgeAuditLogs(fixture.database, 9, { dryRun: true }, { told })
    assert.deepEqual([dry.outcome, dry.expired], ['succeeded', 50])
    assert.match(told.warnings.join('\n'), /a run would be stopped: .*--accept-shorter-retention/)
    assert.equal((await purgeAuditLogs(fixture.database, 9)).outcome, 'stopped')
    await fixture.outside.sql('UPDATE maintenance_runs SET outcome = $1 WHERE retention IS NOT NULL', ['interrupted'])
    assert.equal((await purgeAuditLogs(fixture.database, 9)).outcome, 'stopped')
    await fixture.outside.sql('UPDATE maintenance_runs SET retention = $1 WHERE retention IS NOT NULL', [9 * DAY])
    assert.equal((await purgeAuditLogs(fixture.database, 9)).outcome, 'succeeded')
  })

  test(`${engine.name}: a purge that would leave none of more than a thousand audit logs is stopped until it is accepted`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 1_001, 91)
    const stopped = await purgeAuditLogs(fixture.database, 90)
    assert.deepEqual([stopped.outcome, stopped.exitCode, stopped.deleted], ['stopped', 5, 0])
    assert.match(String(stopped.error), /--run-now --job purge-audit-logs --accept-empty-table/)
    assert.equal(await count(fixture.outside, 'audit_logs'), 1_001)
    const accepted = await purgeAuditLogs(fixture.database, 90, { accepted: EMPTY })
    assert.deepEqual([accepted.outcome, accepted.deleted], ['succeeded', 1_001])
  })

  test(`${engine.name}: with ten rows to keep, or at most a thousand to delete, no acceptance is needed`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 1_000, 91)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 1_000)
    await auditLogs(fixture.outside, engine, 2_000, 91)
    await auditLogs(fixture.outside, engine, 10, 89)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 2_000)
    await expiredSessions(fixture.outside, engine, 1_500)
    assert.equal((await run(fixture.database)).deleted, 1_500)
  })

  test(`${engine.name}: neither rows in the future nor a few recent ones prove that a table is not emptied`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 1_001, 91)
    await auditLogs(fixture.outside, engine, 50, -400)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'stopped')
    await auditLogs(fixture.outside, engine, 9, 0)
    const stopped = await purgeAuditLogs(fixture.database, 90)
    assert.equal(stopped.outcome, 'stopped')
    assert.match(String(stopped.error), /fewer than 10 of the newest 100 \(ignoring times in the future\) would stay/)
    assert.equal(await count(fixture.outside, 'audit_logs'), 1_060)
    await auditLogs(fixture.outside, engine, 1, 0)
    const [went] = [await purgeAuditLogs(fixture.database, 90)]
    assert.deepEqual([went.outcome, went.deleted], ['succeeded', 1_001])
  })

  test(`${engine.name}: where rows were archived, none is deleted without the archive until a person accepts it, and then no run is stopped for that`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 5, 100)
    assert.equal((await purged(database, folder.path)).archived?.rows, 5)
    assert.equal((await purgeAuditLogs(database, 90)).outcome, 'succeeded', 'nothing has expired')
    await auditLogs(outside, engine, 3, 95)
    for (const _ of ['once', 'and again']) {
      const stopped = await purgeAuditLogs(database, 90)
      assert.deepEqual([stopped.outcome, stopped.exitCode, stopped.deleted], ['stopped', 5, 0])
      assert.match(
        String(stopped.error),
        /^MaintenanceError: Rows of audit_logs were archived before .*ARCHIVE_ENABLED=true.*: --run-now --job purge-audit-logs --accept-no-archive$/,
      )
    }
    const told: Told = { warnings: [] }
    assert.equal((await purgeAuditLogs(database, 90, { dryRun: true }, { told })).expired, 3)
    assert.match(told.warnings.join('\n'), /a run would be stopped: Rows of audit_logs were archived before/)
    assert.equal(await count(outside, 'audit_logs'), 3)

    assert.equal((await purgeAuditLogs(database, 90, { accepted: NO_ARCHIVE })).deleted, 3)
    await auditLogs(outside, engine, 3, 95)
    assert.equal((await purgeAuditLogs(database, 90)).deleted, 3)
    await auditLogs(outside, engine, 3, 95)
    assert.equal((await purged(database, folder.path)).archived?.rows, 3)
    await auditLogs(outside, engine, 3, 95)
    assert.equal((await purgeAuditLogs(database, 90)).outcome, 'stopped', 'the archive was on again')
    await outside.sql('DELETE FROM maintenance_runs')
    assert.equal((await purgeAuditLogs(database, 90)).outcome, 'stopped', 'no run is on record')
  })

  test(`${engine.name}: a clock that jumped by two years stops every run until it is accepted, even with one row written under it`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 100, 1)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'succeeded')
    await timeGoesBy(fixture.outside, engine, 730)
    await auditLogs(fixture.outside, engine, 1, 0)
    for (const _ of ['once', 'and again']) {
      const stopped = await purgeAuditLogs(fixture.database, 90)
      assert.deepEqual([stopped.outcome, stopped.exitCode, stopped.deleted], ['stopped', 5, 0])
      assert.match(
        String(stopped.error),
        /nothing was written for 730 d, and more than a tenth of the 101 rows of audit_logs would be deleted.*--run-now --job purge-audit-logs --accept-clock/,
      )
    }
    const told: Told = { warnings: [] }
    const dry = await purgeAuditLogs(fixture.database, 90, { dryRun: true }, { told })
    assert.deepEqual([dry.outcome, dry.expired], ['succeeded', 100])
    assert.match(told.warnings.join('\n'), /a run would be stopped: Two runs of purge-audit-logs are dated/)
    const accepted = await purgeAuditLogs(fixture.database, 90, { accepted: CLOCK })
    assert.deepEqual([accepted.outcome, accepted.deleted], ['succeeded', 100])
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'succeeded')
  })

  test(`${engine.name}: a gap of eight days on a busy table is a jump, and one of six days and 23 hours, or one that deletes a hundredth, is not`, async () => {
    await using fixture = await migrated(engine)
    const busy = async (rows: number): Promise<void> => {
      await fixture.outside.sql('DELETE FROM audit_logs')
      await fixture.outside.sql('DELETE FROM maintenance_runs')
      // Up to a moment after the run before the jump.
      await auditLogs(fixture.outside, engine, rows, 0)
      await auditLogs(fixture.outside, engine, 20, 89)
      assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 0)
    }
    await busy(80)
    await timeGoesBy(fixture.outside, engine, 8)
    await auditLogs(fixture.outside, engine, 3, 0)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'stopped')
    // Weeks of rows under the wrong clock do not make it right.
    await timeGoesBy(fixture.outside, engine, 20)
    for (let day = 1; day < 20; day += 1) await auditLogs(fixture.outside, engine, 1, day)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'stopped')
    await busy(80)
    await timeGoesBy(fixture.outside, engine, 6.96)
    const shorter = await purgeAuditLogs(fixture.database, 90)
    assert.deepEqual([shorter.outcome, shorter.deleted], ['succeeded', 20])
    await busy(180)
    await timeGoesBy(fixture.outside, engine, 30)
    const tenth = await purgeAuditLogs(fixture.database, 90)
    assert.deepEqual([tenth.outcome, tenth.deleted], ['succeeded', 20])
  })

  test(`${engine.name}: a gap with rows on a tenth of its days is not a jump, and neither is a first run`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 100, 1)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'succeeded')
    await timeGoesBy(fixture.outside, engine, 100)
    for (const day of [2, 12, 22, 32, 42, 52, 62, 72, 82]) await auditLogs(fixture.outside, engine, 1, day)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'stopped')
    await auditLogs(fixture.outside, engine, 1, 92)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 101)

    await fixture.outside.sql('DELETE FROM maintenance_runs')
    await auditLogs(fixture.outside, engine, 100, 700)
    const first = await purgeAuditLogs(fixture.database, 90)
    assert.deepEqual([first.outcome, first.deleted], ['succeeded', 100])
  })

  test(`${engine.name}: once a clock that jumped is set back, runs go on, whatever was recorded under it`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 100, 1)
    await auditLogs(fixture.outside, engine, 5, 91)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 5)
    await timeGoesBy(fixture.outside, engine, 730)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'stopped')
    await timeGoesBy(fixture.outside, engine, -730)
    await auditLogs(fixture.outside, engine, 50, 91)
    const back = await purgeAuditLogs(fixture.database, 90)
    assert.deepEqual([back.outcome, back.deleted], ['succeeded', 50])
    // A run that was allowed under the wrong clock is of the future too, and the next jump is one all the same.
    await fixture.outside.sql(`UPDATE maintenance_runs SET started_at = started_at + $1 WHERE outcome = 'succeeded'`, [730 * DAY])
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'succeeded')
    await timeGoesBy(fixture.outside, engine, 740)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'stopped')
  })

  test(`${engine.name}: sessions that expire while nothing is written are deleted without acceptance`, async () => {
    await using fixture = await migrated(engine)
    assert.equal((await run(fixture.database)).outcome, 'succeeded')
    await timeGoesBy(fixture.outside, engine, 30)
    await expiredSessions(fixture.outside, engine, 1_500)
    assert.equal((await run(fixture.database)).deleted, 1_500)
  })

  if (engine.name === 'sqlite') continue
  test(`${engine.name}: clocks more than an hour apart stop every job, more than five minutes are one warning`, async () => {
    await using fixture = await migrated(engine)
    await expiredSessions(fixture.outside, engine, 10)
    for (const apart of [-2 * HOUR, 2 * HOUR]) {
      const stopped = await run(fixture.database, {}, { clock: ahead(apart) })
      assert.deepEqual([stopped.outcome, stopped.exitCode, stopped.deleted], ['stopped', 5, 0])
      assert.match(String(stopped.error), apart > 0 ? /2 h ahead of the database's/ : /2 h behind the database's/)
    }
    assert.equal(await count(fixture.outside, 'sessions'), 10)
    const told: Told = { warnings: [] }
    const warned = await run(fixture.database, {}, { clock: ahead(10 * MINUTE), told })
    assert.deepEqual([warned.outcome, warned.deleted], ['succeeded', 10])
    assert.equal(told.warnings.length, 1)
    assert.match(told.warnings[0]!, /(?:10 min|10 min 1 s|9 min 59 s) ahead/)
    assert.ok(Math.abs(warned.cutoff! - Date.now()) < MINUTE)
  })
}

test('sqlite: rows with numbers as times count as rows that stay', async () => {
  const engine = ENGINES[0]!
  await using fixture = await migrated(engine)
  await auditLogs(fixture.outside, engine, 1_500, 91)
  for (const unit of [1, 1e3, 1e6, 1, 1e3, 1e6, 1, 1e3, 1e6, 1]) await numbered(fixture.outside, Math.floor(Date.now() / 1000) * unit)
  assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 1_500)
})

test('sqlite: without an index the rows that stay are found as well', async () => {
  const engine = ENGINES[0]!
  await using fixture = await migrated(engine)
  await fixture.outside.sql('DROP INDEX idx_audit_logs_timestamp')
  await auditLogs(fixture.outside, engine, 1_500, 91)
  assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'stopped')
  await auditLogs(fixture.outside, engine, 10, 1)
  assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 1_500)
})

test('sqlite: in a column that holds only text, numbers do not count as rows that stay', async () => {
  const engine = ENGINES[0]!
  await using outside = await engine.fresh()
  await outside.sql(
    'CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, tool_name TEXT, "user" TEXT, action TEXT, status TEXT, timestamp TEXT)',
  )
  await outside.sql('CREATE INDEX by_time ON audit_logs (timestamp)')
  await auditLogs(outside, engine, 1_001, 91)
  await using database = await opened(outside.url)
  assert.equal((await purgeAuditLogs(database, 90, {}, { recorded: false })).outcome, 'stopped')
})

test('sqlite: times in every form, with an index and without one, count as rows of their day', async () => {
  const engine = ENGINES[0]!
  for (const index of [true, false]) {
    await using fixture = await migrated(engine)
    if (!index) await fixture.outside.sql('DROP INDEX idx_audit_logs_timestamp')
    await auditLogs(fixture.outside, engine, 100, 1)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'succeeded')
    await timeGoesBy(fixture.outside, engine, 101)
    // Not one of them can be read.
    for (let ago = 2; ago < 90; ago += 1) await numbered(fixture.outside, `${new Date(daysAgo(ago)).toISOString().slice(0, 10)} sometime`)
    for (const time of [daysAgo(10) / 1e3, daysAgo(20), daysAgo(30) * 1e3, daysAgo(40) / 1e3].map(Math.floor))
      await numbered(fixture.outside, time)
    await numbered(fixture.outside, new Date(daysAgo(50)).toISOString())
    await numbered(fixture.outside, `${new Date(daysAgo(60)).toISOString().slice(0, 19)}+02:00`)
    for (const ago of [70, 71]) await numbered(fixture.outside, new Date(daysAgo(ago)).toISOString().slice(0, 10))
    await numbered(fixture.outside, new Date(daysAgo(71)).toISOString().slice(0, 10))
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'stopped')
    await auditLogs(fixture.outside, engine, 2, 80)
    await auditLogs(fixture.outside, engine, 1, 82)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'succeeded')
  }
})

function daysAgo(days: number): number {
  return Date.now() - days * DAY
}

async function numbered(outside: TestDatabase, time: number | string): Promise<void> {
  await outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'invoke', 'success', $1)`, [
    time,
  ])
}
