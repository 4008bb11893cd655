import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { freshSqliteFile } from '../../support/databases.ts'
import { beside, NOON, opened, purged } from './opening.ts'

const SESSIONS = { table: 'sessions', column: 'expires_at' }
const TABLE =
  'CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP, note TEXT); CREATE INDEX by_time ON sessions (expires_at);'
const ROWS = "INSERT INTO sessions (id, expires_at, note) VALUES (1, '2026-01-01', 'a'), (2, '2027-01-01', 'b');"

/** Each makes a purge impossible; said before anything is deleted, and nothing is. */
const REFUSED: readonly (readonly [what: string, sql: string, message: RegExp])[] = [
  [
    'a view with a trigger in the place of the table',
    `CREATE TABLE other (id INTEGER PRIMARY KEY, expires_at TIMESTAMP); INSERT INTO other VALUES (1, '2026-01-01');
     CREATE VIEW sessions AS SELECT id, expires_at FROM other; CREATE TRIGGER t INSTEAD OF DELETE ON sessions BEGIN DELETE FROM other; END`,
    /sessions is a view, not a table/,
  ],
  ['a virtual table', 'CREATE VIRTUAL TABLE sessions USING fts5(expires_at)', /sessions is a virtual, not a table/],
  ['a table without row numbers', 'CREATE TABLE sessions (id PRIMARY KEY, expires_at TIMESTAMP) WITHOUT ROWID', /is a WITHOUT ROWID table/],
  [
    'columns by every name of the row number',
    'CREATE TABLE sessions (rowid, oid, _rowid_, expires_at TIMESTAMP)',
    /its row numbers cannot be reached/,
  ],
  [
    "a trigger with a function of another program's",
    `${TABLE} CREATE TRIGGER t AFTER DELETE ON sessions BEGIN SELECT gateway(OLD.id); END`,
    /no such function: gateway/,
  ],
  [
    'a trigger that calls what SQLite does not allow in a schema',
    `${TABLE} CREATE TRIGGER t AFTER DELETE ON sessions BEGIN SELECT load_extension('x'); END`,
    /unsafe use of load_extension/,
  ],
  [
    'a trigger with a table of the system',
    `${TABLE} CREATE TRIGGER t AFTER DELETE ON sessions BEGIN SELECT * FROM dbstat; END`,
    /unsafe use of virtual table "dbstat"/,
  ],
  ["an index of a function of another program's", `${TABLE} CREATE INDEX i ON sessions (gateway(note))`, /function: gateway/],
  ['a partial index of one', `${TABLE} CREATE INDEX i ON sessions (id) WHERE gateway(note) > 1`, /function: gateway/],
]

describe('a schema that makes a purge impossible says so before anything is deleted:', () => {
  for (const [what, sql, message] of REFUSED) {
    it(what, async () => {
      await using fresh = await freshSqliteFile()
      await using open = await opened(fresh.file)
      using gateway = beside(fresh.file)
      gateway.function('gateway', { deterministic: true }, (value) => value)
      gateway.exec(sql)
      if (sql.startsWith(TABLE)) gateway.exec(ROWS)
      const refused = { name: 'DatabaseError', kind: 'failed', message }
      await assert.rejects(open.database.inspect(SESSIONS), refused)
      if (sql.startsWith(TABLE)) assert.equal(gateway.prepare('SELECT count(*) FROM sessions').pluck().get(), 2)
    })
  }
})

/** Each is the gateway's own business, and the purge is right with it. */
const BORNE: readonly (readonly [what: string, sql: string, left: string])[] = [
  [
    'a trigger that writes to tables of SQLite for full text and for space',
    `${TABLE} CREATE VIRTUAL TABLE words USING fts5(note); CREATE VIRTUAL TABLE boxes USING rtree(id, a, b); ${ROWS}
     CREATE TRIGGER t AFTER DELETE ON sessions BEGIN DELETE FROM boxes WHERE id = OLD.id; INSERT INTO words SELECT value FROM json_each('[1]'); END`,
    '2',
  ],
  [
    'a column by a name of the row number',
    `CREATE TABLE sessions (rowid INTEGER, expires_at TIMESTAMP, note TEXT, id INTEGER); ${ROWS} UPDATE sessions SET rowid = 3 - id`,
    '2',
  ],
  [
    'columns with hostile names',
    `${TABLE} ALTER TABLE sessions ADD COLUMN "a]b""c'd;--"; ALTER TABLE sessions ADD COLUMN "temp.json_each"; ${ROWS}`,
    '2',
  ],
  [
    'an index by a hostile name',
    `CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP, note TEXT); CREATE INDEX "x"" ON y; --" ON sessions (expires_at); ${ROWS}`,
    '2',
  ],
  ['an index of the expression that a delete has', `${TABLE} CREATE INDEX i ON sessions (+expires_at COLLATE BINARY); ${ROWS}`, '2'],
  [
    'a partial index of nothing that has expired',
    `CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP, note TEXT); CREATE INDEX i ON sessions (expires_at) WHERE expires_at > '2027'; ${ROWS}`,
    '2',
  ],
  [
    'a time that is compared without its case',
    `CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TEXT COLLATE NOCASE, note TEXT); CREATE INDEX i ON sessions (expires_at); ${ROWS}`,
    '2',
  ],
  [
    "a constraint of a function of another program's",
    `CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP, note TEXT CHECK (gateway(note) IS NOT 1)); ${ROWS}`,
    '2',
  ],
  ['a computed column that says another time', `${TABLE} ALTER TABLE sessions ADD COLUMN timestamp AS ('2026-01-01'); ${ROWS}`, '2'],
]

describe('a schema that is the gateway’s business is borne:', () => {
  for (const [what, sql, left] of BORNE) {
    it(what, async () => {
      await using fresh = await freshSqliteFile()
      await using open = await opened(fresh.file)
      using gateway = beside(fresh.file)
      gateway.function('gateway', { deterministic: true }, (value) => value)
      gateway.exec(sql)
      assert.equal((await open.database.inspect(SESSIONS)).kind, 'ready')
      assert.equal(await purged(open.database, open.database.expired(SESSIONS, NOON), 10), 1)
      assert.equal(gateway.prepare('SELECT group_concat(id) FROM sessions').pluck().get(), left)
    })
  }
})

describe('a file is opened', () => {
  it('a file is opened with an untrusted schema, and in defensive mode', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    assert.deepEqual((await database.query('PRAGMA trusted_schema')).rows, [{ trusted_schema: 0 }])
    assert.deepEqual((await database.query('PRAGMA cell_size_check')).rows, [{ cell_size_check: 1 }])
    await database.query('CREATE TABLE t (id)')
    await database.query('PRAGMA writable_schema = ON')
    await assert.rejects(database.query("UPDATE sqlite_schema SET sql = '' WHERE name = 't'"), /may not be modified/)
  })
})

describe('whether the gateway has ever written to a file', () => {
  const tables =
    'CREATE TABLE tools (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE audit_logs (id INTEGER PRIMARY KEY AUTOINCREMENT);'
  const files: readonly (readonly [what: string, sql: string, written: boolean])[] = [
    ['with its tables as they were made', tables, false],
    ['with a row in one', `${tables} INSERT INTO tools DEFAULT VALUES`, true],
    ['with rows that were purged since', `${tables} INSERT INTO tools DEFAULT VALUES; DELETE FROM tools`, true],
    [
      'with rows in another table only',
      `${tables} CREATE TABLE maintenance_runs (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO maintenance_runs DEFAULT VALUES`,
      false,
    ],
    ['with none of its tables', 'CREATE TABLE notes (id)', true],
  ]
  for (const [what, sql, written] of files) {
    it(`is known of one ${what}`, async () => {
      await using fresh = await freshSqliteFile()
      const gateway = new BetterSqlite3(fresh.file)
      gateway.exec(sql)
      gateway.close()
      await using open = await opened(fresh.file, { access: 'read' })
      assert.equal(await open.database.gatewayHasWritten(), written)
    })
  }
})
