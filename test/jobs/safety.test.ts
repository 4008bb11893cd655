import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { NOTHING_ACCEPTED } from '../../src/jobs/safety-check.ts'
import { DAY, HOUR, MINUTE } from '../../src/time.ts'
import { ENGINES } from '../support/engines.ts'
import { ahead, AUDIT_LOGS, auditLogs, count, expiredSessions, migrated, run, stored, type Told } from './support.ts'

function purgeAuditLogs(
  database: Database,
  days: number,
  request: Parameters<typeof run>[1] = {},
  options: Parameters<typeof run>[2] = {},
) {
  return run(database, { job: AUDIT_LOGS, retentionMs: days * DAY, ...request }, options)
}

const SHORTER = { ...NOTHING_ACCEPTED, shorterRetention: true }
const EMPTY = { ...NOTHING_ACCEPTED, emptyTable: true }

for (const engine of ENGINES) {
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
        /purge-audit-logs is 9d, and the last run went by 90d.*100 rows of audit_logs.*--accept-shorter-retention/,
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

  test(`${engine.name}: a shorter retention that takes at most a tenth needs nobody, a longer one neither`, async () => {
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

  test(`${engine.name}: one row to be kept, or no more than a thousand to go, and nobody is asked`, async () => {
    await using fixture = await migrated(engine)
    await auditLogs(fixture.outside, engine, 1_000, 91)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 1_000)
    await auditLogs(fixture.outside, engine, 2_000, 91)
    await auditLogs(fixture.outside, engine, 1, 89)
    assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 2_000)
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
      assert.match(String(stopped.error), apart > 0 ? /2 hours ahead of the database's/ : /2 hours behind the database's/)
    }
    assert.equal(await count(fixture.outside, 'sessions'), 10)
    const told: Told = { warnings: [] }
    const warned = await run(fixture.database, {}, { clock: ahead(10 * MINUTE), told })
    assert.deepEqual([warned.outcome, warned.deleted], ['succeeded', 10])
    assert.equal(told.warnings.length, 1)
    assert.match(told.warnings[0]!, /10 minutes ahead/)
    assert.ok(Math.abs(warned.cutoff! - Date.now()) < MINUTE)
  })
}

test('sqlite: rows with numbers for times are known to stay', async () => {
  const engine = ENGINES[0]!
  await using fixture = await migrated(engine)
  await auditLogs(fixture.outside, engine, 1_500, 91)
  await fixture.outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'invoke', 'success', $1)`,
    [Math.floor(Date.now() / 1000)],
  )
  assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 1_500)
})

test('sqlite: without an index the rows that stay are found as well', async () => {
  const engine = ENGINES[0]!
  await using fixture = await migrated(engine)
  await fixture.outside.sql('DROP INDEX idx_audit_logs_timestamp')
  await auditLogs(fixture.outside, engine, 1_500, 91)
  assert.equal((await purgeAuditLogs(fixture.database, 90)).outcome, 'stopped')
  await auditLogs(fixture.outside, engine, 1, 1)
  assert.equal((await purgeAuditLogs(fixture.database, 90)).deleted, 1_500)
})
