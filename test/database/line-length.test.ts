import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DIGEST_BYTES, type ExportedRows } from '../../src/database/exporting.ts'
import type { Slice } from '../../src/database/purging.ts'
import { DAY } from '../../src/time/clock.ts'
import { insertWith, many } from '../archive/large-rows.ts'
import { idsOf } from '../archive/support.ts'
import { AUDIT_LOGS, migrated } from '../runs/support.ts'
import { ENGINES } from '../support/engines.ts'

/** By id, of what is handed out: how many bytes the line has. */
async function linesOf(rows: ExportedRows, size: number): Promise<ReadonlyMap<string, number>> {
  const lines = new Map<string, number>()
  let after: Slice | undefined
  for (;;) {
    const slice = await rows.next(size, after)
    if (slice === undefined) return lines
    await slice.read(async ({ count, idOf, ends, pieces }) => {
      for (let index = 0; index < count; index += 1) {
        let bytes = 0
        if (pieces === undefined) bytes = ends[index]! - (index === 0 ? 0 : ends[index - 1]!)
        else for (const piece of pieces) bytes += piece.length
        lines.set(idOf(index), bytes - 1)
      }
    })
    after = slice
  }
}

/** How much longer than it is a line may be taken to be: what stands around its values. */
const SLACK_BYTES = 1_500

for (const engine of ENGINES) {
  test(`${engine.name}: rows are judged by the length of their lines, whatever has to be escaped in them`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    const sqlite = engine.name === 'sqlite'
    const characters = ['a', '"', '\\', '\n', '\u0001', '\u007f', 'é', '\u{1F600}', '\u2028', '/', "'"]
    for (const [index, character] of characters.entries()) {
      await insertWith(outside, engine, 10 * index + 1, many(engine, character, 1_000))
      await insertWith(outside, engine, 10 * index + 2, many(engine, character, 20_000))
      if (index % 4 === 0) await insertWith(outside, engine, 10 * index + 3, many(engine, character, 600_000))
    }
    if (sqlite) {
      await insertWith(outside, engine, 201, 'zeroblob(30000)')
      await insertWith(outside, engine, 202, "CAST(x'c328' || zeroblob(30000) AS TEXT)")
      await insertWith(outside, engine, 203, "CAST(x'c328' || zeroblob(2000000) AS TEXT)")
      await insertWith(outside, engine, 204, '1.5e300')
    } else
      await outside.sql(
        `ALTER TABLE audit_logs ADD b BYTEA DEFAULT decode(repeat('00', 9000), 'hex'), ADD n NUMERIC DEFAULT 1e30, ADD j JSONB`,
      )
    if (!sqlite) await outside.sql(`UPDATE audit_logs SET j = to_jsonb(output), b = NULL WHERE id % 10 = 2`)
    const cutoff = Date.now() - 90 * DAY
    const all = await linesOf(database.exported(AUDIT_LOGS, cutoff, Number.MAX_SAFE_INTEGER), 1_000)
    const slack = sqlite ? 0 : SLACK_BYTES
    for (const [size, bound] of [10_000, 25_000, 30_000, 130_000, 700_000, 1_500_000, 4_000_000].map(
      (each, index) => [7 * index + 1, each] as const,
    )) {
      const rows = database.exported(AUDIT_LOGS, cutoff, bound)
      const taken = await linesOf(rows, size)
      for (const [id, bytes] of all) {
        if (bytes > bound) assert.ok(!taken.has(id), `${id}: ${bytes} of ${bound}`)
        if (bytes <= bound - slack) assert.equal(taken.get(id), bytes, `${id}: ${bytes} of ${bound}`)
      }
      const { rows: others, ids } = await rows.tooLarge()
      assert.equal(others, all.size - taken.size)
      assert.deepEqual(
        ids.filter((id) => taken.has(id) || !all.has(id)),
        [],
      )
      assert.equal(ids.length, Math.min(3, others))
    }
    // Exactly at the bound.
    for (const bytes of new Set(all.values())) {
      const longer = [...all.values()].filter((each) => each > bytes).length
      const { rows: atMost } = await database.exported(AUDIT_LOGS, cutoff, bytes + slack).tooLarge()
      assert.ok(atMost <= longer, `${bytes}: ${atMost}`)
      assert.ok((await database.exported(AUDIT_LOGS, cutoff, bytes - 1).tooLarge()).rows > longer)
    }
  })

  test(`${engine.name}: a slice counts and deletes only rows that are not too large, also where one grew since`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    for (const id of [1, 2, 3, 4]) await insertWith(outside, engine, id, many(engine, 'a', 100))
    await insertWith(outside, engine, 5, many(engine, 'a', 3_000))
    const rows = database.exported(AUDIT_LOGS, Date.now() - 90 * DAY, 2_500)
    const slice = (await rows.next(10, undefined))!
    assert.equal(await slice.count(), 4)
    await outside.sql(`UPDATE audit_logs SET output = ${many(engine, 'b', 4_000)} WHERE id = 2`)
    assert.equal(await slice.count(), 3)
    const byDay = [...(await slice.countByDay()).values()]
    assert.equal(
      byDay.reduce((sum, here) => sum + here, 0),
      3,
    )
    const { digests, ...tally } = await database.transaction((tx) => slice.removeRead(tx, [], () => () => true))
    assert.deepEqual([tally, digests.length / DIGEST_BYTES], [{ affected: 3, locked: 0, unknown: 0 }, 3])
    assert.deepEqual(await idsOf(outside), [2, 5])
    assert.deepEqual(await database.transaction((tx) => slice.remove(tx, [])), { affected: 0, locked: 0 })
    await insertWith(outside, engine, 6, many(engine, 'a', 100))
    const next = (await rows.next(10, undefined))!
    assert.deepEqual(await database.transaction((tx) => next.remove(tx, [])), { affected: 1, locked: 0 })
    assert.deepEqual(await idsOf(outside), [2, 5])
    assert.deepEqual(await rows.tooLarge(), { rows: 2, ids: ['2', '5'] })
    assert.deepEqual(await rows.tooLarge(1), { rows: 1, ids: ['2'] })
    assert.deepEqual(await database.exported(AUDIT_LOGS, Date.now() - 90 * DAY, 2 ** 40).tooLarge(), { rows: 0, ids: [] })
  })
}

test('sqlite: a value that has grown since its length was measured is not read', async () => {
  await using fixture = await migrated(ENGINES[0]!)
  const { outside, database } = fixture
  await insertWith(outside, ENGINES[0]!, 1, many(ENGINES[0]!, 'a', 2_000_000))
  const slice = (await database.exported(AUDIT_LOGS, Date.now() - 90 * DAY, 3_000_000).next(1, undefined))!
  let bytes = 0
  await slice.read(async ({ pieces }) => {
    await outside.sql(`UPDATE audit_logs SET output = ${many(ENGINES[0]!, 'a', 40_000_000)}`)
    for (const piece of pieces!) bytes += piece.length
  })
  assert.ok(bytes > 0 && bytes < 1_000, `${bytes}`)
})
