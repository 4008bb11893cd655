import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DAY } from '../../src/time/clock.ts'
import { placedHold } from './keeping.ts'
import { A_DAY, exists, names, partitionOf, POLICY, POSTGRES, prepared, rowsBefore } from './partitioned-rows.ts'
import { count, run, stored, type Told } from './support.ts'

for (const engine of POSTGRES) {
  describe(`whole partitions, on ${engine.name}`, () => {
    it('what has expired as a whole is dropped, the day of the cutoff goes row by row, and a dry run counts the same', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const told: Told = { warnings: [] }
      const before = await count(outside, 'audit_logs')
      const dry = await run(database, { ...POLICY, dryRun: true }, { partitions: true })
      const result = await run(database, POLICY, { partitions: true, told })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.deepEqual(told.warnings, [])
      assert.equal(result.deleted, dry.expired)
      assert.equal(before - (await count(outside, 'audit_logs')), result.deleted)
      const [kept] = await outside.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs WHERE "timestamp" < $1::timestamp', [
        new Date(result.cutoff!).toISOString().slice(0, -1),
      ])
      assert.equal(kept!.n, 0)
      const left = await names(outside)
      assert.ok(!left.includes('audit_logs_legacy') && !left.includes(partitionOf(-6)), String(left))
      assert.ok(left.includes(partitionOf(-5)) && left.includes(partitionOf(-4)), String(left))
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
      assert.equal(await count(outside, 'maintenance_detached'), 0)
      const [row] = await stored(outside)
      assert.deepEqual([row!.rows_deleted, row!.batches], [result.deleted, result.batches])
    })

    it('without PARTITIONS_ENABLED nothing is dropped', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const before = await names(outside)
      const result = await run(database, POLICY)
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.deepEqual(await names(outside), before)
    })

    it('a hold keeps its rows where everybody sees them, few of them in DEFAULT, and the rest of their partition goes', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      await placedHold(outside, 'case-1', { user: ['alice'] })
      const held = await rowsBefore(outside, 'alice')
      const result = await run(database, POLICY, { partitions: true })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(await rowsBefore(outside, 'alice'), held)
      assert.equal(await rowsBefore(outside, 'bob'), 0)
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
      assert.equal(await count(outside, 'audit_logs_default'), held)
    })

    it('what a rule keeps stays in its partition, the others go row by row, and the partition goes once it is empty', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const rules = [{ name: 'security', match: { user: ['alice'] }, retentionMs: 7 * DAY }]
      const result = await run(database, { ...POLICY, rules }, { partitions: true })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      const left = await names(outside)
      assert.ok(!left.includes(partitionOf(-9)) && left.includes(partitionOf(-6)), String(left))
      assert.equal(await count(outside, partitionOf(-6)), A_DAY / 2)
      assert.equal(await rowsBefore(outside, 'bob'), 0)
      assert.equal(await count(outside, 'audit_logs_default'), 0)
    })
  })
}
