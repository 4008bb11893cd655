import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { migrated } from '../runs/support.ts'

const IN_FORCE = 1
const RELEASED = 2

async function twoHolds(outside: TestDatabase): Promise<void> {
  await outside.sql(
    `INSERT INTO maintenance_holds (id, name, job, matches, reason, placed_at, placed_by, review_at)
     VALUES (${IN_FORCE}, 'a', 'purge-audit-logs', '{}', 'r', 1, 'm', 9), (${RELEASED}, 'b', 'purge-audit-logs', '{}', 'r', 1, 'm', NULL)`,
  )
  await outside.sql(`UPDATE maintenance_holds SET released_at = 5, released_by = 'm', release_reason = 'r' WHERE id = ${RELEASED}`)
}

const RELEASING = `released_at = 7, released_by = 'm', release_reason = 'r'`

const REFUSED: readonly string[] = [
  `DELETE FROM maintenance_holds`,
  `DELETE FROM maintenance_holds WHERE id = ${RELEASED}`,
  `UPDATE maintenance_holds SET released_at = NULL, released_by = NULL, release_reason = NULL WHERE id = ${RELEASED}`,
  `UPDATE maintenance_holds SET release_reason = 'another' WHERE id = ${RELEASED}`,
  `UPDATE maintenance_holds SET released_at = 8 WHERE id = ${RELEASED}`,
  `UPDATE maintenance_holds SET released_at = 7 WHERE id = ${IN_FORCE}`,
  `UPDATE maintenance_holds SET reason = 'r' WHERE id = ${IN_FORCE}`,
  ...[
    `id = 3`,
    `name = 'c'`,
    `job = 'j'`,
    `matches = '{"user":["x"]}'`,
    `reason = 's'`,
    `placed_at = 2`,
    `placed_by = 'n'`,
    `review_at = NULL`,
  ].flatMap((change) => [
    `UPDATE maintenance_holds SET ${change} WHERE id = ${IN_FORCE}`,
    `UPDATE maintenance_holds SET ${change}, ${RELEASING} WHERE id = ${IN_FORCE}`,
  ]),
]

const ALTERED = `(${IN_FORCE}, 'a', 'purge-audit-logs', '{"user":["x"]}', 'r', 1, 'm', NULL)`
const COLUMNS = 'id, name, job, matches, reason, placed_at, placed_by, review_at'

const REFUSED_ON: Readonly<Record<'sqlite' | 'postgres', readonly string[]>> = {
  sqlite: [
    `REPLACE INTO maintenance_holds (${COLUMNS}) VALUES ${ALTERED}`,
    `INSERT OR REPLACE INTO maintenance_holds (${COLUMNS}) VALUES (3, 'a', 'purge-audit-logs', '{"user":["x"]}', 'r', 1, 'm', NULL)`,
    `INSERT OR REPLACE INTO maintenance_holds (${COLUMNS}) VALUES (${RELEASED}, 'c', 'purge-audit-logs', '{}', 'r', 1, 'm', NULL)`,
    `UPDATE OR REPLACE maintenance_holds SET id = ${IN_FORCE} WHERE id = ${RELEASED}`,
    `UPDATE OR REPLACE maintenance_holds SET id = ${RELEASED}, ${RELEASING} WHERE id = ${IN_FORCE}`,
    `INSERT INTO maintenance_holds (${COLUMNS}) VALUES ${ALTERED} ON CONFLICT (id) DO UPDATE SET matches = excluded.matches`,
  ],
  postgres: [
    'TRUNCATE maintenance_holds',
    'TRUNCATE maintenance_holds CASCADE',
    `INSERT INTO maintenance_holds (${COLUMNS}) VALUES ${ALTERED} ON CONFLICT (id) DO UPDATE SET matches = excluded.matches`,
    `INSERT INTO maintenance_holds (${COLUMNS}) VALUES (3, 'a', 'purge-audit-logs', '{}', 'r', 1, 'm', NULL)`,
  ],
}

for (const engine of ENGINES) {
  test(`${engine.name}: the owner of the holds can neither delete one, nor change one but by releasing it, nor take a release back`, async () => {
    await using fixture = await migrated(engine)
    const { outside } = fixture
    await twoHolds(outside)
    const before = await outside.sql('SELECT * FROM maintenance_holds ORDER BY id')
    for (const sql of [...REFUSED, ...REFUSED_ON[engine.name === 'sqlite' ? 'sqlite' : 'postgres']]) {
      await assert.rejects(async () => outside.sql(sql), sql)
      assert.deepEqual(await outside.sql('SELECT * FROM maintenance_holds ORDER BY id'), before, sql)
    }
    await outside.sql(`UPDATE maintenance_holds SET ${RELEASING} WHERE id = ${IN_FORCE}`)
    assert.equal((await outside.sql('SELECT * FROM maintenance_holds WHERE released_at IS NULL')).length, 0)
  })
}
