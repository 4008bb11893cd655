import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Client } from 'pg'
import type { Rule } from '../../src/policy/rules.ts'
import { partitionTerms } from '../../src/runs/partition-terms.ts'
import { DAY } from '../../src/time/clock.ts'
import { ENGINES } from '../support/engines.ts'
import { AUDIT_LOGS, auditLogs, migrated } from './support.ts'

function rule(name: string, tool: string, retentionMs: number | undefined): Rule {
  return { name, match: { tool_name: [tool] }, retentionMs }
}

for (const engine of ENGINES.filter(({ name }) => name.startsWith('postgres'))) {
  void describe(`for how long rows are kept, on ${engine.name}`, () => {
    const rules = [
      rule('shorter', '*', 10 * DAY),
      rule('longer', 'T', 120 * DAY),
      rule('nobody', 'elsewhere', undefined),
      rule('forever', 't*', undefined),
    ]

    void test('by the retention, and by each longer rule that matches a row, expired or not', async () => {
      await using fixture = await migrated(engine)
      await auditLogs(fixture.outside, engine, 1, 1)
      const { periods, aheadMs } = await partitionTerms(fixture.database, { job: AUDIT_LOGS, retentionMs: 90 * DAY, rules }, 14 * DAY)
      assert.deepEqual(periods, [
        { name: 'AUDIT_LOGS_RETENTION', keptMs: 90 * DAY },
        { name: 'rule "longer"', keptMs: 120 * DAY },
        { name: 'rule "forever"', keptMs: undefined },
      ])
      assert.equal(aheadMs, 14 * DAY)
    })

    void test('a rule counts of which that cannot be told, here because somebody has locked the table', async () => {
      await using fixture = await migrated(engine)
      const other = new Client(fixture.outside.url)
      await other.connect()
      try {
        await other.query('BEGIN; LOCK TABLE audit_logs')
        const { periods } = await partitionTerms(fixture.database, { job: AUDIT_LOGS, retentionMs: 90 * DAY, rules }, 14 * DAY)
        assert.deepEqual(
          periods.map(({ name }) => name),
          ['AUDIT_LOGS_RETENTION', 'rule "longer"', 'rule "nobody"', 'rule "forever"'],
        )
      } finally {
        await other.end()
      }
    })
  })
}
