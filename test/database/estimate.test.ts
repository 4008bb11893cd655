import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { DAY, hostClock, MINUTE } from '../../src/time/clock.ts'
import { auditLogs, migrated, opened } from '../runs/support.ts'
import { ENGINES } from '../support/engines.ts'

const AUDIT_LOGS = { table: 'audit_logs', column: 'timestamp' }

for (const engine of ENGINES) {
  describe(`the estimate of expired rows on ${engine.name}`, () => {
    it('the estimate is the exact count if few rows have expired, with the time of the oldest', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      // The time that counting may take does not run: on a busy machine it would end early.
      await using database = await opened(outside.url, { ...hostClock(), monotonicMs: () => 0 })
      await auditLogs(outside, engine, 3_000, 89)
      const now = hostClock().now()
      const cutoff = now - 90 * DAY
      const { rows, more, planned, oldest } = await database.expired(AUDIT_LOGS, cutoff).estimate()
      assert.deepEqual({ rows, more, planned }, { rows: await counted(database, cutoff), more: false, planned: undefined })
      assert.ok(rows! > 1_500 && rows! < 1_600, String(rows))
      assert.ok(Math.abs(now - 89 * DAY - 3_000 * MINUTE - oldest!) < 5 * MINUTE, String(oldest))
    })

    it('the estimate of no rows is exactly zero', async () => {
      await using fixture = await migrated(engine)
      const rows = fixture.database.expired(AUDIT_LOGS, hostClock().now())
      assert.deepEqual(await rows.estimate(), { rows: 0, more: false, planned: undefined, oldest: null })
    })

    it('counting stops at a fixed number of rows, and only the planner is asked for more', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogs(outside, engine, 150_000, 50)
      if (engine.name !== 'sqlite') await outside.sql('ANALYZE audit_logs')
      const { rows, more, planned, oldest } = await database.expired(AUDIT_LOGS, hostClock().now() - 51 * DAY).estimate()
      assert.deepEqual([rows, more], [100_000, true])
      const truth = 150_000 - 1_440
      if (engine.name === 'sqlite') assert.equal(planned, undefined)
      else assert.ok(Math.abs(planned! - truth) < truth / 10, String(planned))
      assert.ok(oldest !== null && oldest < hostClock().now() - 150 * DAY)
    })

    it('what takes too long to count is not counted', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 3_000, 100)
      // On SQLite a second passes at each look at the clock; on PostgreSQL a lock is in the way.
      let ms = 0
      await using database = await opened(outside.url, { ...hostClock(), monotonicMs: () => (ms += engine.name === 'sqlite' ? 1_000 : 0) })
      if (engine.name !== 'sqlite') await outside.sql('BEGIN')
      if (engine.name !== 'sqlite') await outside.sql('LOCK TABLE audit_logs')
      const { oldest, ...found } = await database.expired(AUDIT_LOGS, hostClock().now() - 90 * DAY).estimate()
      assert.deepEqual(found, { rows: undefined, more: true, planned: undefined })
      if (engine.name === 'sqlite') assert.ok(oldest !== null)
      else await outside.sql('ROLLBACK')
    })

    it('the estimate reads times without a zone in the configured zone, and is the same for a reader', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 1, 100)
      const [utc, tokyo] = [await oldest('UTC'), await oldest('Asia/Tokyo')]
      assert.equal(utc - tokyo, 9 * 60 * MINUTE)

      async function oldest(timeZone: string): Promise<number> {
        await using database = await opened(outside.url, hostClock(), { timeZone, access: 'read' })
        return (await database.expired(AUDIT_LOGS, hostClock().now()).estimate()).oldest!
      }
    })
  })
}

async function counted(database: Database, cutoff: number): Promise<number> {
  const rows = database.expired(AUDIT_LOGS, cutoff)
  let count = 0
  for (let slice = await rows.next(1_000, undefined); slice !== undefined; slice = await rows.next(1_000, slice))
    count += await slice.count()
  return count
}

for (const engine of ENGINES) {
  it(`rows that would be deleted are counted by UTC day, whatever zone they are written in, on ${engine.name}`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    const at = (text: string): Promise<unknown> =>
      outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'invoke', 'success', '${text}')`)
    for (const text of [
      '2025-03-01 00:00:00.000001',
      '2025-03-01 23:59:59.999999',
      '2025-03-02 05:29:59',
      '2025-03-02 05:30:00',
      '2025-03-03 12:00:00',
    ])
      await at(text)
    assert.deepEqual(await days('UTC'), { '2025-03-01': 2, '2025-03-02': 2, '2025-03-03': 1 })
    assert.deepEqual(await days('Asia/Kolkata'), { '2025-02-28': 1, '2025-03-01': 2, '2025-03-02': 1, '2025-03-03': 1 })

    async function days(timeZone: string): Promise<Record<string, number>> {
      await using database = await opened(outside.url, hostClock(), { timeZone, access: 'read' })
      const rows = database.expired(AUDIT_LOGS, hostClock().now())
      const found: Record<string, number> = {}
      for (let slice = await rows.next(2, undefined); slice !== undefined; slice = await rows.next(2, slice)) {
        let sum = 0
        for (const [day, here] of await slice.countByDay()) {
          const name = new Date(day).toISOString().slice(0, 10)
          found[name] = (found[name] ?? 0) + here
          sum += here
        }
        assert.equal(sum, await slice.count())
      }
      return found
    }
  })
}
