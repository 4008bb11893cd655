import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DatabaseError } from '../../../src/database/database-error.ts'
import type { Terms } from '../../../src/database/purging.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { opened } from './opening.ts'

const TERMS: Terms = { cascade: [], setting: 'PURGE_SESSIONS_CASCADE', archived: [], keeping: [], matched: [] }

/** The refusal, or the warnings. */
async function inspected(...statements: readonly string[]): Promise<string> {
  await using fresh = await freshSqliteFile()
  await using open = await opened(fresh.file)
  for (const statement of statements) await open.database.query(statement)
  return await look()

  async function look(): Promise<string> {
    try {
      const inspection = await open.database.inspect({ table: 'sessions', column: 'expires_at' }, TERMS)
      return inspection.kind === 'ready' ? inspection.lasting.join('\n') : inspection.reason
    } catch (error) {
      assert.ok(error instanceof DatabaseError && error.kind === 'failed', String(error))
      const statement = /run: (CREATE UNIQUE INDEX.*)/.exec(error.message)?.[1]
      if (statement === undefined) return error.message
      await open.database.query(statement)
      return `${error.message} ${await look()}`
    }
  }
}

const SESSIONS = 'CREATE TABLE Sessions (id INTEGER PRIMARY KEY, token TEXT, expires_at TIMESTAMP)'

function filled(rows: number): string {
  return `INSERT INTO notes (s) WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${rows}) SELECT NULL FROM s`
}

describe('foreign keys to a purged table in a SQLite file', () => {
  for (const [what, ...statements] of [
    ['in other letters', SESSIONS, 'CREATE TABLE API_keys (s INTEGER REFERENCES SESSIONS (ID) ON DELETE CASCADE)'],
    ['to the primary key that it does not name', SESSIONS, 'CREATE TABLE api_keys (s INTEGER REFERENCES sessions ON DELETE CASCADE)'],
    [
      'that only changes what another refers to, by the primary key',
      SESSIONS,
      'CREATE TABLE devices (s INTEGER PRIMARY KEY REFERENCES sessions ON DELETE SET DEFAULT)',
      'CREATE TABLE api_keys (d INTEGER REFERENCES Devices ON UPDATE CASCADE)',
    ],
  ] as const)
    it(`one ${what} is found, and the message says how to be rid of it`, async () => {
      const message = await inspected(...statements)
      assert.match(
        message,
        /: deleting from sessions also \w+ rows of api_keys,.* PURGE_SESSIONS_CASCADE=api_keys\. If not, make api_keys anew without ON/i,
      )
      assert.match(message, /the worker enforces foreign keys/)
    })

  it('a parent key that nothing makes unique is refused with the index that does', async () => {
    const message = await inspected(SESSIONS, 'CREATE TABLE notes (t TEXT REFERENCES sessions (Token))')
    assert.match(
      message,
      /table notes refers to sessions \(Token\), which no index says are unique, so SQLite deletes nothing from sessions/,
    )
    assert.match(
      message,
      /foreign key mismatch\).*Nothing was deleted\. Make notes anew without that foreign key, or run: CREATE UNIQUE INDEX/,
    )
    assert.ok(message.endsWith('; '), message)
  })

  it('a parent key of another number of columns is refused', async () => {
    assert.match(
      await inspected(SESSIONS, 'CREATE TABLE notes (a TEXT, b TEXT, FOREIGN KEY (a, b) REFERENCES sessions)'),
      /table notes refers to sessions \(id\), by another number of columns, .*Make notes anew without that foreign key\.$/,
    )
  })

  const NOTES = 'CREATE TABLE notes (id INTEGER PRIMARY KEY, s INTEGER REFERENCES sessions'

  for (const action of ['', ' ON DELETE RESTRICT', ' ON DELETE CASCADE', ' ON DELETE SET NULL', ' ON DELETE SET DEFAULT'])
    it(`a large table without an index on its foreign key is told, and a larger one refused:${action || ' ON DELETE NO ACTION'}`, async () => {
      const told =
        /each row that is deleted from sessions is looked for in all of notes \(([\d,]+) rows\), .* Run: CREATE INDEX "idx_notes_s" ON "notes" \("s"\);$/
      const refused =
        /notes \(more than [\d,]+ rows\) has no index .* for each row that is deleted from sessions, while nobody can write\. Nothing was deleted\. .* run: CREATE INDEX "idx_notes_s" ON "notes" \("s"\);$/
      assert.doesNotMatch(await inspected(SESSIONS, `${NOTES}${action})`, filled(999)), told)
      assert.equal(told.exec(await inspected(SESSIONS, `${NOTES}${action})`, filled(1_000)))?.[1], '1,000')
      assert.match(await inspected(SESSIONS, `${NOTES}${action})`, filled(700_000)), told)
      assert.match(await inspected(SESSIONS, `${NOTES}${action})`, filled(910_000)), refused)
      const indexed = await inspected(SESSIONS, `${NOTES}${action})`, filled(910_000), 'CREATE INDEX "idx_notes_s" ON "notes" ("s")')
      assert.doesNotMatch(indexed, /has no index|looked for/)
    })

  for (const [what, create, isIndexed] of [
    ['the row number', 'CREATE TABLE notes (s INTEGER PRIMARY KEY REFERENCES sessions)', true],
    ['a primary key', 'CREATE TABLE notes (s INTEGER REFERENCES sessions, id, PRIMARY KEY (s, id)) WITHOUT ROWID', true],
    ['an index of another collation', `${NOTES}); CREATE INDEX i ON notes (s COLLATE NOCASE)`, false],
    ['an index of some rows', `${NOTES}); CREATE INDEX i ON notes (s) WHERE id > 5`, false],
    ['an index that another column begins', `${NOTES}); CREATE INDEX i ON notes (id, s)`, false],
    ['an index that another column ends', `${NOTES}); CREATE INDEX i ON notes (s, id)`, true],
  ] as const)
    it(`${what} ${isIndexed ? 'serves' : 'does not serve'}, as SQLite's own plan says`, async () => {
      await using fresh = await freshSqliteFile()
      await using open = await opened(fresh.file)
      const { database } = open
      const numbers = 'WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2000)'
      const columns = create.includes('id') ? `(s, id) ${numbers} SELECT n, n` : `(s) ${numbers} SELECT n`
      for (const statement of [
        SESSIONS,
        ...create.split('; '),
        `INSERT INTO sessions (id) ${numbers} SELECT n FROM s`,
        `INSERT INTO notes ${columns} FROM s`,
      ])
        await database.query(statement)
      const inspection = await database.inspect({ table: 'sessions', column: 'expires_at' }, TERMS)
      const plan = await database.query<{ detail: string }>('EXPLAIN QUERY PLAN DELETE FROM sessions WHERE id = 1')
      assert.equal(
        plan.rows.some(({ detail }) => detail.startsWith('SCAN notes')),
        !isIndexed,
        JSON.stringify(plan.rows),
      )
      assert.equal(inspection.kind === 'ready' && inspection.lasting.length > 0, !isIndexed)
    })

  it('the wider its rows, the fewer a table may have', async () => {
    const wide = filled(30_000).replace('(s)', '(s, text)').replace('SELECT NULL', `SELECT NULL, hex(zeroblob(1000))`)
    assert.match(
      await inspected(SESSIONS, 'CREATE TABLE notes (s INTEGER REFERENCES sessions, text TEXT)', wide),
      /notes \(more than 29,032 rows\) has no index/,
    )
  })

  it('one into another table is told, with what it does', async () => {
    assert.equal(
      await inspected(SESSIONS, 'CREATE TABLE notes (s INTEGER REFERENCES sessions ON DELETE SET NULL)'),
      'deleting from sessions also changes rows of notes, which refer to those (ON DELETE SET NULL of notes.s; the worker enforces foreign keys)',
    )
  })
})
