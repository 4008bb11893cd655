import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { archivedOnce, purged, freshFolder } from '../archive/support.ts'
import { fill, halfUndone, rowsOf, undo } from '../database/postgres/undoing.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { partitioned } from '../support/partitioned.ts'
import { AUDIT_LOGS, migrated, run } from './support.ts'

const EACH = 700

/** Expired rows in the first partition, in one of a day, and in DEFAULT; and others. */
async function filled(outside: TestDatabase): Promise<void> {
  await partitioned(outside, { boundDay: -100, days: [-100, -96] })
  await fill(outside, [-101, -99, -98, -94, -1, 'infinity'], EACH)
}

async function kept(outside: TestDatabase): Promise<readonly string[]> {
  const rows = await outside.sql<{ row: string }>(
    `SELECT a::text AS row FROM audit_logs AS a WHERE "timestamp" > now() - interval '90 days' OR "user" = 'held' ORDER BY id`,
  )
  return rows.map(({ row }) => row)
}

for (const engine of ENGINES.slice(1)) {
  describe(`a purge while partitions are being undone, on ${engine.name}`, () => {
    it('deletes in batches what has expired in each of the tables, but what a hold keeps, and the undo ends', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await filled(outside)
      await outside.sql(`UPDATE audit_logs SET "user" = 'held' WHERE tool_name IN ('t1', 't350')`)
      await outside.sql(
        `INSERT INTO maintenance_leases AS l (job, holder, fence, expires_at) VALUES ('purge-audit-logs', '', 0, 0) ON CONFLICT (job) DO UPDATE SET fence = l.fence`,
      )
      await outside.sql(
        `INSERT INTO maintenance_holds (name, job, matches, reason, placed_at, placed_by) VALUES ('case', 'purge-audit-logs', '{"user":["held"]}', 'a letter', 0, 'ana')`,
      )
      const rows = await kept(outside)
      await halfUndone(fixture)
      const tables = await outside.sql(
        `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass ORDER BY 1`,
      )
      assert.ok(tables.length > 3)
      const result = await run(database, { job: AUDIT_LOGS })
      assert.deepEqual([result.outcome, result.deleted, result.held], ['succeeded', 4 * (EACH - 2), 8], String(result.error))
      assert.deepEqual(await rowsOf(outside), rows)
      assert.deepEqual(
        await outside.sql(`SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass ORDER BY 1`),
        tables,
      )
      assert.deepEqual(await outside.sql('SELECT * FROM maintenance_detached'), [])
      await undo(fixture)
      assert.deepEqual(await rowsOf(outside), rows)
    })

    it('archives each row once before it goes', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await using folder = await freshFolder()
      await filled(outside)
      const old = await outside.sql<{ id: number }>(`SELECT id FROM audit_logs WHERE "timestamp" < now() - interval '90 days' ORDER BY id`)
      const rows = await kept(outside)
      await halfUndone(fixture)
      const result = await purged(database, folder.path)
      assert.deepEqual([result.outcome, result.deleted], ['succeeded', 4 * EACH], String(result.error))
      assert.deepEqual(await rowsOf(outside), rows)
      await archivedOnce(
        database,
        outside,
        folder.path,
        old.map(({ id }) => id),
      )
      await undo(fixture)
      assert.deepEqual(await rowsOf(outside), rows)
    })
  })
}
