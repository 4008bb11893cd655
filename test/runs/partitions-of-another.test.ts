import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { purgedByAnother, quoted, type PurgedByAnother } from '../database/postgres/partition-roles.ts'
import { POSTGRES_MAJORS } from '../support/databases.ts'
import { placedHold } from './keeping.ts'
import { A_DAY, BOUND, exists, filledWith, names, partitionOf, POLICY, rowsBefore } from './partitioned-rows.ts'
import { count, run, type Told } from './support.ts'

/** A role that may only purge, with the rights of deploy/postgres/purge-role.sql, also on the partitions. */
async function prepared(major: (typeof POSTGRES_MAJORS)[number], functions: boolean): Promise<PurgedByAnother> {
  const made = await purgedByAnother(major, { boundDay: BOUND, days: [BOUND, 3], functions })
  await filledWith(made.outside)
  await made.outside.sql(
    `GRANT SELECT, INSERT, UPDATE, DELETE ON maintenance_run_holds, maintenance_held_files, maintenance_policies, maintenance_run_policies, maintenance_archives, maintenance_archived TO ${quoted(made.purger)}`,
  )
  await made.outside.sql(`GRANT SELECT, INSERT ON maintenance_receipts TO ${quoted(made.purger)}`)
  for (const name of await names(made.outside)) await made.outside.sql(`GRANT SELECT, DELETE ON ${name} TO ${quoted(made.purger)}`)
  return made
}

for (const major of POSTGRES_MAJORS) {
  describe(`whole partitions by a role that does not own them, on PostgreSQL ${major}`, () => {
    it('the functions of partition start take them out and drop them', async () => {
      await using made = await prepared(major, true)
      const { database, outside } = made
      const all = await count(outside, 'audit_logs')
      const told: Told = { warnings: [] }
      const result = await run(database, POLICY, { partitions: true, told, countedRuns: [] })
      assert.deepEqual([result.outcome, told.warnings], ['succeeded', []], String(result.error))
      assert.equal(all - (await count(outside, 'audit_logs')), result.deleted)
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
      assert.ok(!(await names(outside)).includes(partitionOf(-6)))
    })

    it('which may not put rows back: with a hold the partition stays, and the other rows go in batches', async () => {
      await using made = await prepared(major, true)
      const { database, outside } = made
      await placedHold(outside, 'case-1', { user: ['alice'] })
      const held = await rowsBefore(outside, 'alice')
      const told: Told = { warnings: [] }
      const result = await run(database, POLICY, { partitions: true, told, countedRuns: [] })
      assert.deepEqual([result.outcome, told.warnings], ['succeeded', []], String(result.error))
      assert.equal(await rowsBefore(outside, 'alice'), held)
      assert.equal(await rowsBefore(outside, 'bob'), 0)
      assert.equal(await count(outside, partitionOf(-8)), A_DAY / 2)
    })

    it('without the functions every row goes in batches, and one warning says what to run', async () => {
      await using made = await prepared(major, false)
      const { database, outside } = made
      const before = await names(outside)
      const told: Told = { warnings: [] }
      const result = await run(database, POLICY, { partitions: true, told, countedRuns: [] })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(told.warnings.length, 1, String(told.warnings))
      assert.match(told.warnings[0]!, /run: mcp-gateway-maintenance partition start/)
      assert.deepEqual(await names(outside), before)
      assert.equal(await rowsBefore(outside, 'bob'), 0)
    })
  })
}
