import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { claimLease, releaseLease, renewLease } from '../../src/runs/lease.ts'
import { LEASES } from '../../src/runs/run-records.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { AUDIT_LOGS, auditLogs, count, intercepted, migrated, QUIET, run, SESSIONS } from './support.ts'

/** Rows that have expired, half of them Alice's and half of them Bob's. */
const ROWS = 600

async function filled(outside: TestDatabase, engine: TestEngine, rows = ROWS): Promise<void> {
  await auditLogs(outside, engine, 200, 1)
  await auditLogs(outside, engine, rows, 91)
  await outside.sql(`UPDATE audit_logs SET "user" = CASE WHEN id % 2 = 0 THEN 'Alice' ELSE 'bob' END`)
}

/** As `hold place` does. Returns the hold's number. */
async function hold(outside: TestDatabase, matches: string, name = 'case-1'): Promise<number> {
  await outside.sql(
    `INSERT INTO maintenance_leases AS l (job, holder, fence, expires_at) VALUES ('purge-audit-logs', '', 0, 0) ON CONFLICT (job) DO UPDATE SET fence = l.fence`,
  )
  const [row] = await outside.sql<{ id: number }>(
    `INSERT INTO maintenance_holds (name, job, matches, reason, placed_at, placed_by) VALUES ($1, 'purge-audit-logs', $2, 'a letter', 0, 'ana') RETURNING id`,
    [name, matches],
  )
  return row!.id
}

async function released(outside: TestDatabase, name = 'case-1'): Promise<void> {
  await outside.sql(
    `UPDATE maintenance_holds SET released_at = 1, released_by = 'ana', release_reason = 'over' WHERE name = $1 AND released_at IS NULL`,
    [name],
  )
}

const ALICE = '{"user":["alice"]}'

async function expired(outside: TestDatabase, engine: TestEngine, user: string): Promise<number> {
  const [row] = await outside.sql<{ n: number }>(
    `SELECT count(*) AS n FROM audit_logs WHERE "user" = $1 AND timestamp < ${engine.moment(-90 * 86_400)}`,
    [user],
  )
  return row!.n
}

/** Ended as failed, said all of this, and deleted nothing. */
async function refused(outside: TestDatabase, result: RunResult, rows: number, ...parts: RegExp[]): Promise<void> {
  assert.equal(result.outcome, 'failed', String(result.error))
  for (const part of parts) assert.match(String(result.error), part)
  assert.equal(result.deleted, 0)
  assert.equal(await count(outside, 'audit_logs'), rows)
}

function sum(days: ReadonlyMap<number, number> | undefined): number {
  return [...(days?.values() ?? [])].reduce((a, b) => a + b, 0)
}

/** Calls `meanwhile` once, before the transaction in which the run deletes after so many others. */
function midway(database: Database, number: number, meanwhile: () => Promise<void>): Database {
  return intercepted(database, async (at, transact) => {
    if (at === number) await meanwhile()
    return transact()
  })
}

for (const engine of ENGINES) {
  describe(`holds, on ${engine.name}`, () => {
    it('the rows that match stay, the others go, and the run says and records how many', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine)
      const alice = await hold(outside, ALICE)
      const also = await hold(outside, '{"user":["ALI*"],"to":"2020-01-01"}', 'case-2')
      const result = await run(database, { job: AUDIT_LOGS })
      assert.deepEqual(
        [result.outcome, result.deleted, result.held, result.holds],
        ['succeeded', ROWS / 2, ROWS / 2, 2],
        String(result.error),
      )
      assert.equal(await expired(outside, engine, 'Alice'), ROWS / 2)
      assert.equal(await expired(outside, engine, 'bob'), 0)
      assert.deepEqual(await outside.sql('SELECT hold, "rows" FROM maintenance_run_holds ORDER BY hold'), [
        { hold: 0, rows: ROWS / 2 },
        { hold: alice, rows: ROWS / 2 },
        { hold: also, rows: 0 },
      ])
    })

    it('a hold that is placed in the middle of a run keeps every row that is still there', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine, 6_000)
      let left = -1
      const result = await run(
        midway(database, 6, async () => {
          await hold(outside, ALICE)
          left = await expired(outside, engine, 'Alice')
        }),
        { job: AUDIT_LOGS },
      )
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.ok(left > 0 && left < 3_000, `${left} rows were left`)
      assert.equal(await expired(outside, engine, 'Alice'), left)
      assert.equal(await expired(outside, engine, 'bob'), 0)
      assert.equal(result.held, left)
    })

    it('a hold on very many rows that comes before the first batch does not make the run creep: one batch meets it', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine, 6_000)
      const batches: number[] = []
      const result = await run(
        midway(database, 2, async () => void (await hold(outside, '{}'))),
        { job: AUDIT_LOGS },
        { listener: { ...QUIET, jobBatch: (_, { affected }) => void batches.push(affected) } },
      )
      assert.deepEqual([result.outcome, result.deleted, result.held], ['succeeded', 0, 6_000], String(result.error))
      assert.ok(batches.filter((affected) => affected === 0).length <= 2, batches.join(' '))
    })

    it('a hold that is released in the middle of a run counts to its end, and not in the next one', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine)
      await hold(outside, ALICE)
      const first = await run(
        midway(database, 3, () => released(outside)),
        { job: AUDIT_LOGS },
      )
      assert.deepEqual([first.outcome, first.deleted], ['succeeded', ROWS / 2], String(first.error))
      const second = await run(database, { job: AUDIT_LOGS })
      assert.deepEqual([second.outcome, second.deleted, second.holds], ['succeeded', ROWS / 2, 0], String(second.error))
    })

    for (const [what, matches, part] of [
      ['is no JSON', '{"user":', /is no JSON/],
      ['is no object', '["alice"]', /is no JSON object/],
      ['names a column that cannot be matched', '{"user_name":["alice"]}', /"user_name" is no column/],
      ['has no value', '{"user":[]}', /user has no value/],
      ['has a time that is none', '{"from":"yesterday"}', /from is no time/],
      ['is longer than anybody reads', `{"user":["${'x'.repeat(70_000)}"]}`, /at most 65536 bytes/],
    ] as const)
      it(`a hold that ${what} may mean any row, so nothing is deleted`, async () => {
        await using fixture = await migrated(engine)
        await filled(fixture.outside, engine)
        await hold(fixture.outside, matches)
        await refused(
          fixture.outside,
          await run(fixture.database, { job: AUDIT_LOGS }),
          ROWS + 200,
          /Hold "case-1" cannot be understood/,
          part,
        )
      })

    it('a hold by a column that the table lacks ends the run before it deletes', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine)
      for (const view of ['recent_audit_activity', 'policy_violations', 'tool_usage_stats']) await outside.sql(`DROP VIEW ${view}`)
      await outside.sql('DROP INDEX idx_audit_logs_action')
      await outside.sql('ALTER TABLE audit_logs DROP COLUMN action')
      await hold(outside, '{"action":["invoke"]}')
      await refused(outside, await run(database, { job: AUDIT_LOGS }), ROWS + 200, /action/)
    })

    it('a table of holds that is gone although a migration made it ends the run; one that was never made does not', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      await filled(outside, engine)
      for (const table of ['maintenance_holds', 'maintenance_run_holds', 'maintenance_held_files'])
        await outside.sql(`DROP TABLE ${table}${engine.name === 'sqlite' ? '' : ' CASCADE'}`)
      await refused(outside, await run(database, { job: AUDIT_LOGS }), ROWS + 200, /maintenance_holds is missing/)
      await outside.sql(`DELETE FROM maintenance_migrations WHERE name = 'add_holds'`)
      if (engine.name === 'sqlite')
        for (const trigger of ['taken', 'kept']) await outside.sql(`DROP TRIGGER maintenance_leases_${trigger}_know_holds`)
      else await outside.sql('DROP TRIGGER maintenance_leases_know_holds ON maintenance_leases')
      const without = await run(database, { job: AUDIT_LOGS })
      assert.deepEqual([without.outcome, without.deleted], ['succeeded', ROWS], String(without.error))
    })

    it('without the tables of leases nothing is deleted while there can be holds', async () => {
      await using fixture = await migrated(engine)
      await filled(fixture.outside, engine)
      const result = await run(fixture.database, { job: AUDIT_LOGS }, { recorded: false })
      await refused(fixture.outside, result, ROWS + 200, /maintenance_leases is missing/)
    })

    it('a dry run counts what holds keep, by day too', async () => {
      await using fixture = await migrated(engine)
      await filled(fixture.outside, engine)
      await hold(fixture.outside, ALICE)
      const result = await run(fixture.database, { job: AUDIT_LOGS, dryRun: true, byDay: true })
      assert.deepEqual([result.outcome, result.expired, result.held], ['succeeded', ROWS / 2, ROWS / 2], String(result.error))
      assert.deepEqual([sum(result.expiredByDay), sum(result.sparedByDay)], [ROWS / 2, ROWS / 2])
      assert.equal(await count(fixture.outside, 'maintenance_run_holds'), 0)
    })

    it('a worker that does not know holds can take, keep and give back the lease only while there is none', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      const leases = database.named(LEASES)
      const older = { job: 'purge-audit-logs', holder: 'host-a:1', knowsHolds: false }
      const take = (knowsHolds: boolean, job = older.job) =>
        database.transaction((tx) => claimLease(tx, leases, { ...older, job, knowsHolds, again: false }))
      const lease = (await take(false))!
      await database.transaction((tx) => renewLease(tx, leases, lease))
      await hold(outside, ALICE)
      await assert.rejects(
        database.transaction((tx) => renewLease(tx, leases, lease)),
        /does not know holds/,
      )
      assert.equal(await database.transaction((tx) => releaseLease(tx, leases, lease)), true)
      await assert.rejects(take(false), /does not know holds/)
      assert.ok(await take(false, 'purge-sessions'))
      const newer = (await take(true))!
      await database.transaction((tx) => renewLease(tx, leases, newer))
      await hold(outside, ALICE, 'case-2')
      await database.transaction((tx) => renewLease(tx, leases, newer))
      assert.equal(await database.transaction((tx) => releaseLease(tx, leases, newer)), true)
      await released(outside)
      await assert.rejects(take(false), /does not know holds/)
      await released(outside, 'case-2')
      assert.ok(await take(false))
    })

    it('rows that foreign keys would take along from the held table keep the other job from deleting, also when the hold comes in the middle', async () => {
      await using fixture = await migrated(engine)
      const { database, outside } = fixture
      const sessions = `INSERT INTO sessions (session_token, user_identifier, expires_at) SELECT 's' || id, 'u', ${engine.moment(-60)} FROM audit_logs`
      await filled(outside, engine)
      await outside.sql(sessions)
      await outside.sql('ALTER TABLE audit_logs ADD COLUMN session_id bigint REFERENCES sessions (id) ON DELETE CASCADE')
      await outside.sql(`UPDATE audit_logs SET session_id = (SELECT s.id FROM sessions AS s WHERE s.session_token = 's' || audit_logs.id)`)
      await outside.sql('CREATE INDEX idx_by_session ON audit_logs (session_id)')
      const request = { job: SESSIONS, cascade: ['audit_logs'] }
      const all = ROWS + 200
      let left = -1
      const broken = await run(
        midway(database, 4, async () => {
          left = await count(outside, 'audit_logs')
          await hold(outside, ALICE)
        }),
        request,
      )
      assert.equal(broken.outcome, 'failed')
      assert.match(String(broken.error), /A legal hold was placed on rows of audit_logs/)
      assert.ok(left > 0 && left < all)
      assert.equal(await count(outside, 'audit_logs'), left)
      await refused(outside, await run(database, request), left, /hold/, /audit_logs/)
      await released(outside)
      const after = await run(database, request)
      assert.deepEqual([after.outcome, await count(outside, 'audit_logs')], ['succeeded', 0], String(after.error))
    })
  })
}
