import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DAY } from '../../src/time/clock.ts'
import { freshFolder, purged } from '../archive/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { auditLogsOf, placedHold } from './keeping.ts'
import { AUDIT_LOGS, auditLogs, count, migrated, run } from './support.ts'

function sum(days: ReadonlyMap<number, number> | undefined): number {
  return [...(days?.values() ?? [])].reduce((total, rows) => total + rows, 0)
}

for (const engine of BOTH_ENGINES) {
  describe(`what is told of rows that stay on ${engine.name}`, () => {
    it('a dry run counts by day what would go, and apart from it what holds and rules keep', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogsOf(outside, engine, 'alice', 30, 100)
      await auditLogsOf(outside, engine, 'bob', 20, 95)
      await auditLogs(outside, engine, 7, 95)
      await placedHold(outside, 'case-17', { user: ['alice'] })
      const rules = [{ name: 'bob', match: { user: ['b*'] }, retentionMs: 365 * DAY }]
      const dry = await run(database, { job: AUDIT_LOGS, rules, dryRun: true, byDay: true })
      assert.deepEqual([dry.expired, dry.held, dry.holds], [7, 30, 1])
      assert.deepEqual([sum(dry.expiredByDay), sum(dry.sparedByDay)], [7, 50])
      assert.deepEqual([dry.expiredByDay?.size, dry.sparedByDay?.size], [1, 2])
      assert.equal(await count(outside, 'audit_logs'), 57)
    })

    it('the lag of the archive at the end of a run is of rows that nothing keeps', async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await auditLogsOf(outside, engine, 'alice', 30, 400)
      await auditLogs(outside, engine, 7, 95)
      await placedHold(outside, 'case-17', { user: ['alice'] })
      for (const night of [1, 2]) {
        const result = await purged(database, folder.path)
        assert.deepEqual([result.outcome, result.held, result.archived?.lagMs], ['succeeded', 30, 0], `night ${night}`)
      }
      assert.equal(await count(outside, 'audit_logs'), 30)
    })
  })
}
