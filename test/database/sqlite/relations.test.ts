import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { freshSqliteFile } from '../../support/databases.ts'
import { opened } from './opening.ts'

describe('what a SQLite database consists of', () => {
  it('tables and views are listed by name as SQLite compares names, with what an insert must name', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await database.query(`
      CREATE TABLE Tools (Id INTEGER NOT NULL, name VARCHAR NOT NULL, version TEXT NOT NULL DEFAULT '1', note TEXT, size AS (length(name)), PRIMARY KEY (Id));
      CREATE TABLE pairs (a INT NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b)) WITHOUT ROWID;
      CREATE VIEW names AS SELECT name AS Label FROM tools;
      CREATE VIEW broken AS SELECT a FROM gone;
      CREATE INDEX idx_Tools_note ON tools (note)`)
    const relations = await database.relations()
    assert.deepEqual([...relations.keys()].toSorted(), ['broken', 'names', 'pairs', 'tools'])
    const columns = (name: string): (readonly [string, string, boolean])[] =>
      [...relations.get(name)!.columns].map(([column, { type, mandatory }]) => [column, type, mandatory])
    assert.deepEqual(columns('tools'), [
      ['id', 'INTEGER', false],
      ['name', 'VARCHAR', true],
      ['version', 'TEXT', false],
      ['note', 'TEXT', false],
      ['size', '', false],
    ])
    assert.deepEqual(columns('pairs'), [
      ['a', 'INT', true],
      ['b', 'INTEGER', true],
    ])
    assert.equal(relations.get('names')?.kind, 'view')
    assert.deepEqual([...relations.get('names')!.columns.keys()], ['label'])
    assert.equal(relations.get('broken')?.columns.size, 0)
    assert.deepEqual(
      [...(await database.tablesAmong([...relations.keys(), 'PAIRS', 'idx_tools_note', 'missing', "odd 'name"]))].toSorted(),
      ['PAIRS', 'pairs', 'tools'],
    )
    assert.deepEqual([await database.indexState('IDX_TOOLS_NOTE'), await database.indexState('tools')], ['valid', 'missing'])
  })

  it('the number of rows of a table is estimated', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await database.query('CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT 1; CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID')
    assert.equal(await database.approximateRows('t'), 0)
    await database.query("INSERT INTO t SELECT value FROM json_each('[5000001, 5000002, 5000003]')")
    assert.equal(await database.approximateRows('t'), 3)
    for (const other of ['v', 'w', 'missing']) assert.equal(await database.approximateRows(other), 0)
  })

  it('names are quoted', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    assert.equal(open.database.named('odd "name"'), 'main."odd ""name"""')
    assert.deepEqual(
      ['001_initial_schema_sqlite.sql', '001_initial_schema.sql', 'README.md'].filter((name) => open.database.migrationFiles.test(name)),
      ['001_initial_schema_sqlite.sql'],
    )
  })
})
