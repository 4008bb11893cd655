import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { DAY, hostClock, MINUTE } from '../../src/time.ts'
import { auditLogs, migrated, opened } from '../jobs/support.ts'
import { ENGINES } from '../support/engines.ts'

const AUDIT_LOGS = { table: 'audit_logs', column: 'timestamp' }

for (const engine of ENGINES) {
  describe(`the estimate of expired rows on ${engine.name}`, () => {
    it('is the exact count where few have expired, with the time of the oldest', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogs(outside, engine, 3_000, 89)
      const now = hostClock().now()
      const cutoff = now - 90 * DAY
      const { rows, exact, oldest } = await database.expired(AUDIT_LOGS, cutoff).estimate()
      assert.deepEqual({ rows, exact }, { rows: await counted(database, cutoff), exact: true })
      assert.ok(rows > 1_500 && rows < 1_600, String(rows))
      assert.ok(Math.abs(now - 89 * DAY - 3_000 * MINUTE - oldest!) < 5 * MINUTE, String(oldest))
    })

    it('of no rows is an exact nothing', async () => {
      await using fixture = await migrated(engine)
      const rows = fixture.database.expired(AUDIT_LOGS, hostClock().now())
      assert.deepEqual(await rows.estimate(), { rows: 0, exact: true, oldest: null })
    })

    it('says of many rows about how many there are, and that it has not counted them', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await auditLogs(outside, engine, 150_000, 50)
      if (engine.name !== 'sqlite') await outside.sql('ANALYZE audit_logs')
      const { rows, exact, oldest } = await database.expired(AUDIT_LOGS, hostClock().now() - 51 * DAY).estimate()
      assert.equal(exact, false)
      const truth = 150_000 - 1_440
      assert.ok(rows >= 100_000 && Math.abs(rows - truth) < truth / 10, String(rows))
      assert.ok(oldest !== null && oldest < hostClock().now() - 150 * DAY)
    })

    it('reads times without a zone as the settings say, and is the same for whom may only read', async () => {
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
