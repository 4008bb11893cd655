import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MaintenanceError } from '../../src/errors.ts'
import { auditLogs, count, migrated } from '../runs/support.ts'
import { BOTH_ENGINES, ENGINES } from '../support/engines.ts'
import { manifestAt, manifestOf } from './forge.ts'
import { contents, filesIn, freshFolder, purged, restored, verified } from './support.ts'

const [SQLITE] = ENGINES

for (const engine of BOTH_ENGINES) {
  // PostgreSQL allows no more columns; on SQLite the comparison below is a single expression, whose size is limited.
  const columns = engine.name === 'sqlite' ? 120 : 1_600
  test(`${engine.name}: the rows of a table of ${columns} columns with the longest names are archived, verified and restored`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    await using folder = await freshFolder()
    const { length } = await database.columnsOf({ table: 'audit_logs', column: 'timestamp' })
    const names = Array.from({ length: columns - length }, (_, index) => `c${index}_`.padEnd(63, 'x'))
    const additions = names.map((name) => `ADD COLUMN ${name} timestamp`)
    for (const each of engine.name === 'sqlite' ? additions : [additions.join(', ')]) await outside.sql(`ALTER TABLE audit_logs ${each}`)
    await auditLogs(outside, engine, 2, 100)
    const before = await contents(outside, 'audit_logs')
    const result = await purged(database, folder.path)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 2], String(result.error))
    const [file] = await filesIn(folder.path)
    assert.equal((await manifestAt(folder.path, manifestOf(file!))).file.columns.length, columns)
    assert.deepEqual((await verified(database, folder.path)).problems, [])
    assert.equal((await restored(database, folder.path)).inserted, 2)
    assert.deepEqual(await contents(outside, 'audit_logs_restored'), before)
  })

  test(`${engine.name}: a manifest holds only the beginning of a very long id, and can be read again`, async () => {
    await using fixture = await migrated(engine)
    const { database, outside } = fixture
    await using folder = await freshFolder()
    await outside.sql('ALTER TABLE audit_logs RENAME TO another')
    await outside.sql('CREATE TABLE audit_logs (id text, timestamp timestamp)')
    await outside.sql(`INSERT INTO audit_logs VALUES ($1, ${engine.moment(-100 * 86_400)})`, ['ä'.repeat(5_000)])
    const before = await contents(outside, 'audit_logs')
    const result = await purged(database, folder.path)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', 1], String(result.error))
    const [file] = await filesIn(folder.path)
    const { first, last } = (await manifestAt(folder.path, manifestOf(file!))).file
    assert.deepEqual(new Set([first.id, last.id]), new Set(['ä'.repeat(200)]))
    assert.deepEqual((await verified(database, folder.path)).problems, [])
    assert.equal((await restored(database, folder.path)).inserted, 1)
    assert.deepEqual(await contents(outside, 'audit_logs_restored'), before)
  })
}

test('a table whose columns do not fit into a manifest is not archived, and keeps its rows', async () => {
  await using fixture = await migrated(SQLITE!)
  const { database, outside } = fixture
  await using folder = await freshFolder()
  await outside.sql(`ALTER TABLE audit_logs ADD COLUMN long "${'x'.repeat(2_000)}"`)
  await auditLogs(outside, SQLITE!, 3, 100)
  const { outcome, error } = await purged(database, folder.path)
  assert.equal(outcome, 'failed')
  assert.ok(error instanceof MaintenanceError && error.code === 'ARCHIVE_FAILED', String(error))
  assert.match(error.message, /the description of the rows of audit_logs does not fit into a manifest/)
  assert.equal(await count(outside, 'audit_logs'), 3)
  assert.deepEqual(await filesIn(folder.path, '.json'), [])
})
