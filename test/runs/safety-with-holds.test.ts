import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { DAY } from '../../src/time/clock.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { auditLogsOf, placedHold, runsWere } from './keeping.ts'
import { AUDIT_LOGS, auditLogs, count, migrated, run } from './support.ts'

function purged(database: Database, days = 90): Promise<RunResult> {
  return run(database, { job: AUDIT_LOGS, retentionMs: days * DAY })
}

for (const engine of BOTH_ENGINES) {
  describe(`the safety stops with holds on ${engine.name}`, () => {
    it('held rows that have expired do not disarm the stop on emptying a table, and do not arm it', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogsOf(outside, engine, 'alice', 5_000, 91)
      await placedHold(outside, 'case-17', { user: ['alice'] })
      // Nothing else is there, and nothing goes.
      const none = await purged(database)
      assert.deepEqual([none.outcome, none.deleted, none.held], ['succeeded', 0, 5_000])
      await auditLogs(outside, engine, 1_001, 91)
      const stopped = await purged(database)
      assert.deepEqual([stopped.outcome, stopped.deleted], ['stopped', 0])
      assert.match(String(stopped.error), /--accept-empty-table/)
      await auditLogs(outside, engine, 10, 1)
      assert.equal((await purged(database)).deleted, 1_001)
      assert.equal(await count(outside, 'audit_logs'), 5_010)
    })

    it('the tenth that a shorter retention may delete is of the rows that no hold keeps', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogsOf(outside, engine, 'alice', 1_000, 91)
      await placedHold(outside, 'case-17', { user: ['alice'] })
      await auditLogs(outside, engine, 50, 1)
      await auditLogs(outside, engine, 6, 20)
      assert.equal((await purged(database)).held, 1_000)
      // Six of 1,056 are no tenth, and six of 56 are more than one.
      const stopped = await purged(database, 9)
      assert.deepEqual([stopped.outcome, stopped.deleted], ['stopped', 0])
      assert.match(String(stopped.error), /more than a tenth of the 56 rows of audit_logs that no legal hold keeps .*would be deleted/)
      await auditLogs(outside, engine, 4, 1)
      const went = await purged(database, 9)
      assert.deepEqual([went.outcome, went.deleted], ['succeeded', 6])
    })

    it('the tenth that may be deleted after the clock has jumped is of these rows too', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogsOf(outside, engine, 'alice', 1_000, 120)
      await placedHold(outside, 'case-17', { user: ['alice'] })
      await auditLogs(outside, engine, 50, 1)
      await auditLogs(outside, engine, 7, 85)
      assert.equal((await purged(database)).held, 1_000)
      // Twenty days without a run and without rows, as if the clock had been set.
      await runsWere(outside, 20)
      const days = engine.name === 'sqlite' ? `datetime(timestamp, '-20 days')` : `timestamp - interval '20 days'`
      await outside.sql(`UPDATE audit_logs SET timestamp = ${days}`)
      await auditLogs(outside, engine, 10, 0)
      const stopped = await purged(database)
      assert.deepEqual([stopped.outcome, stopped.deleted], ['stopped', 0])
      assert.match(String(stopped.error), /more than a tenth of the 67 rows of audit_logs that no legal hold keeps .*.*--accept-clock/)
    })
  })
}
