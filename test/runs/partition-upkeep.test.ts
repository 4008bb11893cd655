import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keepPartitionsAhead, partitionPasses, type Upkeep } from '../../src/commands/partitions-ahead.ts'
import type { Database } from '../../src/database/database.ts'
import { DAY, HOUR, hostClock } from '../../src/time/clock.ts'
import { BOTH_ENGINES, type TestDatabase } from '../support/engines.ts'
import { midnight, partitioned } from '../support/partitioned.ts'
import { AUDIT_LOGS, migrated, SESSIONS } from './support.ts'

const JOB = { enabled: false, schedule: '0 3 * * *', retentionMs: 90 * DAY, rules: [], graceMs: 0, cascade: [] } as const

function upkeep(database: Database, lines: string[], changes: Partial<Upkeep> = {}): Upkeep {
  return {
    database,
    clock: hostClock(),
    worker: 'host-a:1',
    stopping: new AbortController().signal,
    enabled: true,
    aheadMs: 14 * DAY,
    jobs: [
      { job: AUDIT_LOGS, ...JOB },
      { job: SESSIONS, ...JOB, retentionMs: undefined },
    ],
    events: {
      partitionsMade: (table, partitions) => void lines.push(`made ${partitions.length} of ${table}`),
      partitionsSkipped: (table, clause) => void lines.push(`skipped ${table}: ${clause}`),
      partitionsNotMade: (table, sentence) => void lines.push(`not made ${table}: ${sentence}`),
    },
    ...changes,
  }
}

function dropLast(outside: TestDatabase): Promise<unknown> {
  return outside.sql(`DROP TABLE audit_logs_p${midnight(14).slice(0, 10).replaceAll('-', '')}`)
}

describe('partitions are kept ahead', () => {
  it('what lasts is said once, and again only after it was over', async () => {
    await using fixture = await migrated(BOTH_ENGINES[1]!)
    const { outside, database } = fixture
    await partitioned(outside, { days: [2, 14] })
    await outside.sql('CREATE PUBLICATION everything FOR ALL TABLES')
    const lines: string[] = []
    const pass = partitionPasses(upkeep(database, lines))
    for (const _ of ['first', 'second', 'third']) await pass()
    assert.equal(lines.length, 1)
    assert.match(lines[0]!, /^not made audit_logs: Publication everything/)
    await outside.sql('DROP PUBLICATION everything')
    await pass()
    assert.deepEqual(lines.slice(1), ['made 1 of audit_logs'])
    await outside.sql('CREATE PUBLICATION everything FOR ALL TABLES')
    await dropLast(outside)
    for (const _ of ['first', 'second']) await pass()
    assert.equal(lines.length, 3)
    assert.match(lines[2]!, /^not made audit_logs: Publication everything/)
  })

  it('that somebody holds a lock is said once, although its age differs each time', async () => {
    await using fixture = await migrated(BOTH_ENGINES[1]!)
    const { outside, database } = fixture
    await partitioned(outside, { days: [2, 14] })
    await outside.sql('BEGIN')
    await outside.sql('SELECT count(*) FROM audit_logs_default')
    const lines: string[] = []
    const clock = hostClock()
    const pass = partitionPasses(
      upkeep(database, lines, { clock: { ...clock, sleep: (ms, signal) => clock.sleep(Math.min(ms, 300), signal) } }),
    )
    for (const _ of ['first', 'second']) await pass()
    await outside.sql('ROLLBACK')
    assert.equal(lines.length, 1)
    await pass()
    assert.deepEqual(lines.slice(1), ['made 1 of audit_logs'])
  })

  for (const engine of BOTH_ENGINES)
    it(`${engine.name}: at once and every hour, until the worker stops; never where it is switched off`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const isPostgres = engine.name !== 'sqlite'
      if (isPostgres) await partitioned(outside, { days: [2, 14] })
      const lines: string[] = []
      const stopping = new AbortController()
      const slept: number[] = []
      const clock = hostClock()
      const hours: Upkeep['clock'] = {
        ...clock,
        async sleep(ms, signal) {
          if (ms !== HOUR) return clock.sleep(ms, signal)
          slept.push(ms)
          if (slept.length === 3) stopping.abort()
          else if (isPostgres) await dropLast(outside)
        },
      }
      const changes = { clock: hours, stopping: stopping.signal }
      await keepPartitionsAhead(upkeep(database, lines, { ...changes, enabled: false }))
      assert.deepEqual([slept, lines], [[], []])
      await keepPartitionsAhead(upkeep(database, lines, changes))
      assert.deepEqual(slept, [HOUR, HOUR, HOUR])
      assert.deepEqual(lines, isPostgres ? ['made 1 of audit_logs', 'made 1 of audit_logs', 'made 1 of audit_logs'] : [])
    })
})
