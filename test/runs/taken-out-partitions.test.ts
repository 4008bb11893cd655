import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DatabaseError } from '../../src/database/database-error.ts'
import type { Database } from '../../src/database/database.ts'
import { command } from '../support/command.ts'
import type { TestDatabase } from '../support/engines.ts'
import { placedHold } from './keeping.ts'
import { A_DAY, BOUND, dayAt, exists, names, OLDEST, partitionOf, POLICY, POSTGRES, prepared, rowsBefore } from './partitioned-rows.ts'
import { count, intercepted, QUIET, run, stored, type Told } from './support.ts'

const LEGACY = 'audit_logs_legacy'
const LEGACY_ROWS = (BOUND - OLDEST) * A_DAY

/** Takes the oldest partition out, and ends before it is dropped, as a worker that is killed there. */
async function takenOut(database: Database): Promise<void> {
  const stopping = new AbortController()
  const listener = { ...QUIET, jobBatch: () => stopping.abort() }
  const result = await run(database, { ...POLICY, stopping: stopping.signal }, { partitions: true, listener })
  assert.deepEqual([result.outcome, result.deleted], ['interrupted', 0], String(result.error))
}

async function tables(outside: TestDatabase): Promise<readonly string[]> {
  return (
    await outside.sql<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY 1`,
    )
  ).map(({ name }) => name)
}

for (const engine of POSTGRES) {
  describe(`partitions that were taken out, on ${engine.name}`, () => {
    it('another run drops what was taken out, and only that counts its rows', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const all = await count(outside, 'audit_logs')
      await takenOut(database)
      assert.ok(!(await names(outside)).includes(LEGACY) && (await exists(outside, LEGACY)))
      assert.equal(await count(outside, 'audit_logs'), all - LEGACY_ROWS)
      const result = await run(database, POLICY, { partitions: true, worker: 'host-b:2' })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(all - (await count(outside, 'audit_logs')), result.deleted)
      assert.equal(await exists(outside, LEGACY), false)
      const counts = (await stored(outside)).map(({ rows_deleted: rows }) => rows)
      assert.deepEqual(counts, [0, result.deleted])
    })

    it('a hold that is placed in between brings the table back, with each row once', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const held = await rowsBefore(outside, 'alice')
      await takenOut(database)
      assert.equal(await rowsBefore(outside, 'alice'), held - LEGACY_ROWS / 2)
      await placedHold(outside, 'case-1', { user: ['alice'] })
      const result = await run(database, POLICY, { partitions: true })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(await rowsBefore(outside, 'alice'), held)
      assert.ok((await names(outside)).includes(LEGACY))
      // The run had looked for free rows before the table came back.
      await run(database, POLICY, { partitions: true })
      assert.equal(await rowsBefore(outside, 'alice'), held)
      assert.equal(await rowsBefore(outside, 'bob'), 0)
      assert.equal(await count(outside, 'maintenance_detached'), 0)
    })

    it('where rows came late meanwhile, so that it cannot come back, its held rows are moved, and it goes', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const held = await rowsBefore(outside, 'alice')
      await takenOut(database)
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'late', 'invoke', 'success', to_timestamp($1) AT TIME ZONE 'UTC')`,
        [dayAt(OLDEST + 1) / 1_000],
      )
      await placedHold(outside, 'case-1', { user: ['alice'] })
      const ids = await outside.sql(
        `SELECT id FROM audit_logs WHERE "user" = 'alice' UNION ALL SELECT id FROM ${LEGACY} WHERE "user" = 'alice' ORDER BY id`,
      )
      const result = await run(database, POLICY, { partitions: true })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(await rowsBefore(outside, 'alice'), held)
      assert.deepEqual(await outside.sql(`SELECT id FROM audit_logs WHERE "user" = 'alice' ORDER BY id`), ids)
      assert.equal((await rowsBefore(outside, 'bob')) + (await rowsBefore(outside, 'late')), 0)
      assert.equal(await exists(outside, LEGACY), false)
    })

    it('hold place counts its rows, and the next run puts them back', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const held = await rowsBefore(outside, 'alice', dayAt(1))
      await takenOut(database)
      const words = ['hold', 'place', 'case-1', '--user', 'Alice', '--reason', 'a letter']
      const done = await command(words, { env: { DATABASE_URL: outside.url } })
      assert.equal(done.code, 0, done.stderr)
      assert.match(done.stdout, new RegExp(`rows +${held} match in audit_logs now`))
      assert.match(
        done.stdout,
        new RegExp(
          `taken out +${LEGACY_ROWS / 2} of these are in partitions that were taken out of audit_logs to be dropped; the next run puts them back`,
        ),
      )
      await run(database, POLICY, { partitions: true })
      assert.equal(await rowsBefore(outside, 'alice', dayAt(1)), held)
    })

    it('a longer retention brings it back, too', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const all = await count(outside, 'audit_logs')
      await takenOut(database)
      const result = await run(database, { ...POLICY, retentionMs: 4 * POLICY.retentionMs }, { partitions: true })
      assert.deepEqual([result.outcome, result.deleted], ['succeeded', 0], String(result.error))
      assert.equal(await count(outside, 'audit_logs'), all)
      assert.ok((await names(outside)).includes(LEGACY))
    })

    for (const [what, change, reason] of [
      ['a table without our mark', `COMMENT ON TABLE ${LEGACY} IS 'mine'`, /has not the comment/],
      ['one with another column', `ALTER TABLE ${LEGACY} ADD note text`, /its columns are not those/],
      ['one that is the parent of another', `CREATE TABLE child () INHERITS (${LEGACY})`, /no plain table by itself/],
      ['one whose record was changed', `UPDATE maintenance_detached SET upper_bound = '2020-01-01 00:00:00'`, /do not agree/],
    ] as const)
      it(`${what} is left alone, and the run says so`, async () => {
        await using fixture = await prepared(engine)
        const { database, outside } = fixture
        const told: Told = { warnings: [] }
        await takenOut(database)
        await outside.sql(change)
        const result = await run(database, POLICY, { partitions: true, told })
        assert.equal(result.outcome, 'succeeded', String(result.error))
        assert.match(told.warnings.join('\n'), reason)
        assert.equal(told.warnings.length, 1)
        assert.equal(await count(outside, LEGACY), LEGACY_ROWS)
      })

    it('one that somebody has dropped or attached by hand is taken off the record', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      await takenOut(database)
      await outside.sql(`DROP TABLE ${LEGACY}`)
      const told: Told = { warnings: [] }
      const result = await run(database, POLICY, { partitions: true, told })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.match(
        told.warnings.join('\n'),
        /^"audit_logs_legacy", which is on record as taken out of audit_logs .* is not there: somebody else has dropped or renamed it/,
      )
      assert.equal(await count(outside, 'maintenance_detached'), 0)
      assert.equal(await rowsBefore(outside, 'bob'), 0)
    })

    it('a row of the record that the worker never writes drops nothing, and the run says so', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const told: Told = { warnings: [] }
      const expected = await tables(outside)
      for (const [name, upper] of [
        ['tools', '2020-01-02 00:00:00'],
        ['sessions', 'now'],
        ['x'.repeat(100_000), '2020-01-02 00:00:00'],
        [`other.audit_logs_p20200101`, '2020-01-02 00:00:00'],
      ] as const)
        await outside.sql(`INSERT INTO maintenance_detached VALUES ($1, 'audit_logs', NULL, $2, 0)`, [name, upper])
      const result = await run(database, POLICY, { partitions: true, told })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      const warned = told.warnings.join('\n')
      assert.match(warned, /^public\.tools, which is on record .* was left as it is: it has not the comment/m)
      assert.match(warned, /never writes, with the name "sessions", so no table is dropped/)
      assert.match(warned, /never writes, with the name one that is too long, so no table is dropped/)
      assert.match(warned, /^"other\.audit_logs_p20200101", which is on record .* is not there/m)
      assert.equal(told.warnings.length, 4)
      const gone = expected.filter((each) => !each.startsWith('audit_logs'))
      assert.deepEqual(
        (await tables(outside)).filter((each) => !each.startsWith('audit_logs')),
        gone,
      )
      assert.equal(await count(outside, 'maintenance_detached'), 3)
    })

    it('one that something depends on by now becomes a partition again, and its rows go one by one', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const told: Told = { warnings: [] }
      await takenOut(database)
      await outside.sql(`CREATE VIEW old AS SELECT * FROM ${LEGACY}`)
      const result = await run(database, POLICY, { partitions: true, told })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.match(told.warnings.join('\n'), /audit_logs_legacy of audit_logs was not dropped: .*other objects depend on it/)
      assert.ok((await names(outside)).includes(LEGACY))
      assert.equal(await count(outside, LEGACY), 0)
      assert.ok(!(await names(outside)).includes(partitionOf(-8)))
    })

    it('an answer that is lost after a drop was committed counts its rows once', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const all = await count(outside, 'audit_logs')
      let lost = 0
      const flaky = intercepted(database, async (_, transact) => {
        const were = await exists(outside, LEGACY)
        const done = await transact()
        if (!were || (await exists(outside, LEGACY))) return done
        lost += 1
        throw new DatabaseError('lost', 'the answer was lost')
      })
      const result = await run(flaky, POLICY, { partitions: true })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(lost, 1)
      assert.equal(result.deleted, all - (await count(outside, 'audit_logs')))
    })
  })
}
