import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DatabaseError } from '../../../src/database/database-error.ts'
import type { Terms } from '../../../src/database/purging.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { opened } from './opening.ts'

const TERMS: Terms = { cascade: [], setting: 'PURGE_SESSIONS_CASCADE', archived: [] }

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

  it('one into another table is told, with what it does', async () => {
    assert.equal(
      await inspected(SESSIONS, 'CREATE TABLE notes (s INTEGER REFERENCES sessions ON DELETE SET NULL)'),
      'deleting from sessions also changes rows of notes, which refer to those (ON DELETE SET NULL of notes.s; the worker enforces foreign keys)',
    )
  })
})
