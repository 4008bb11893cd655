import assert from 'node:assert/strict'
import { test } from 'node:test'
import { auditLogs, count, migrated } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { freshFolder, purged, restored } from './support.ts'

const INTO = 'audit_logs_restored'

for (const engine of BOTH_ENGINES) {
  for (const when of ['BEFORE INSERT', 'AFTER INSERT'] as const)
    test(`${engine.name}: rows that a trigger removes (${when}) are not reported as restored`, async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await auditLogs(outside, engine, 20, 100)
      await purged(database, folder.path)
      await restored(database, folder.path)
      await outside.sql(`DELETE FROM ${INTO}`)
      const takes = `DELETE FROM ${INTO}`
      if (engine.name === 'sqlite')
        await outside.sql(`CREATE TRIGGER takes ${when} ON ${INTO} BEGIN ${when === 'BEFORE INSERT' ? 'SELECT RAISE(IGNORE)' : takes}; END`)
      else {
        const body = when === 'BEFORE INSERT' ? '' : `${takes};`
        await outside.sql(`CREATE FUNCTION takes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN NULL; END $$`)
        await outside.sql(`CREATE TRIGGER takes ${when} ON ${INTO} FOR EACH ROW EXECUTE FUNCTION takes()`)
      }
      await assert.rejects(restored(database, folder.path), /20 rows that were just restored into .*audit_logs_restored are not there/)
      assert.equal(await count(outside, INTO), 0)
    })

  test(`${engine.name}: whether two names mean the same table is decided as the engine decides it`, async () => {
    await using fixture = await migrated(engine)
    const { database } = fixture
    assert.equal(database.namesOneTable('audit_logs', 'audit_logs'), true)
    assert.equal(database.namesOneTable('AUDIT_Logs', 'audit_logs'), engine.name === 'sqlite')
  })
}

for (const engine of BOTH_ENGINES.filter(({ name }) => name === 'sqlite'))
  for (const conflict of ['REPLACE', 'IGNORE'])
    test(`${engine.name}: if a constraint of the table says ON CONFLICT ${conflict}, no other row is lost, and none is reported as restored`, async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await auditLogs(outside, engine, 20, 100)
      await purged(database, folder.path)
      const columns = (await database.columnsOf({ table: 'audit_logs', column: 'timestamp' })).map(({ name }) =>
        name === 'tool_name' ? `"${name}" UNIQUE ON CONFLICT ${conflict}` : `"${name}"`,
      )
      await outside.sql(`CREATE TABLE kept (${columns.join(', ')})`)
      await outside.sql(`INSERT INTO kept (id, tool_name, status) VALUES (100, 't', 'young')`)
      await assert.rejects(restored(database, folder.path, { into: 'kept' }), /UNIQUE constraint failed/)
      assert.deepEqual(await outside.sql('SELECT id, status FROM kept'), [{ id: 100, status: 'young' }])
    })
