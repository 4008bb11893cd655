import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ConversionListener } from '../../../src/database/partitioning.ts'
import { JOBS } from '../../../src/catalogue.ts'
import { migrated, type Fixture } from '../../runs/support.ts'
import { ENGINES, type TestDatabase } from '../../support/engines.ts'
import { midnight, partitioned } from '../../support/partitioned.ts'
import { shapeOf } from '../../support/schema-shape.ts'

const { table, column } = JOBS.find((job) => job.table === 'audit_logs')!

/** Rows on these days from today, each with its own token; resolves to what they look like, without where they are. */
async function fill(outside: TestDatabase, days: readonly (number | 'infinity' | '-infinity')[], each = 3): Promise<void> {
  for (const day of days) {
    const time = typeof day === 'number' ? midnight(day).replace('00:00:00', '11:12:13.141516') : day
    await outside.sql(
      `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't' || n, 'u', 'invoke', 'success', $1::timestamp FROM generate_series(1, ${each}) AS n`,
      [time],
    )
  }
}

async function rowsOf(outside: TestDatabase): Promise<readonly string[]> {
  const rows = await outside.sql<{ row: string }>('SELECT a::text AS row FROM audit_logs AS a ORDER BY id, a::text')
  return rows.map(({ row }) => row)
}

interface Told {
  readonly steps: string[]
  readonly locks: number[]
}

async function undo({ database }: Fixture): Promise<Told> {
  const told: Told = { steps: [], locks: [] }
  const listener: ConversionListener = {
    step: (sentence) => void told.steps.push(sentence),
    done: (_, lockedMs) => void (lockedMs !== undefined && told.locks.push(lockedMs)),
    blocked: () => {},
  }
  const signal = new AbortController().signal
  await database.partitions({ table, column })!.undo({ lock: { timeoutMs: 20_000, signal, waiting: () => {} }, listener, signal })
  return told
}

for (const engine of ENGINES.slice(1)) {
  describe(`partition undo on ${engine.name}`, () => {
    it('gives back the plain table with every row, as it was before', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await fill(outside, [-3, 0])
      const before = await shapeOf(outside)
      await partitioned(outside)
      await fill(outside, [1, 2, 3, 40, 'infinity', '-infinity'])
      const rows = await rowsOf(outside)
      assert.equal(rows.length, 24)
      const { steps, locks } = await undo(fixture)
      assert.deepEqual(await rowsOf(outside), rows)
      assert.deepEqual(await shapeOf(outside), before)
      assert.deepEqual(await outside.sql('SELECT * FROM maintenance_partitioned'), [])
      await fill(outside, [0], 1)
      assert.equal((await outside.sql<{ id: number }>('SELECT max(id) AS id FROM audit_logs'))[0]!.id, 25)
      console.log(steps, locks)
    })
  })
}
