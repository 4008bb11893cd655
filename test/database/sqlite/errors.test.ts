import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { DatabaseError, type ErrorKind } from '../../../src/database/database-error.ts'
import { databaseError } from '../../../src/database/sqlite/sqlite-errors.ts'

describe("SQLite's errors", () => {
  const kinds: readonly (readonly [code: string, kind: ErrorKind])[] = [
    ['SQLITE_BUSY', 'busy'],
    ['SQLITE_BUSY_SNAPSHOT', 'busy'],
    ['SQLITE_LOCKED', 'busy'],
    ['SQLITE_READONLY', 'read-only'],
    ['SQLITE_READONLY_DIRECTORY', 'read-only'],
    ['SQLITE_READONLY_ROLLBACK', 'read-only'],
    ['SQLITE_READONLY_DBMOVED', 'invalid'],
    ['SQLITE_CANTOPEN', 'forbidden'],
    ['SQLITE_PERM', 'forbidden'],
    ['SQLITE_AUTH', 'forbidden'],
    ['SQLITE_NOTADB', 'invalid'],
    ['SQLITE_CORRUPT_INDEX', 'invalid'],
    ['SQLITE_FULL', 'failed'],
    ['SQLITE_IOERR_WRITE', 'failed'],
    ['SQLITE_IOERR_DELETE', 'read-only'],
    ['SQLITE_CONSTRAINT_FOREIGNKEY', 'row-refused'],
    ['SQLITE_CONSTRAINT_TRIGGER', 'row-refused'],
    ['SQLITE_ERROR', 'failed'],
    ['SQLITE_TOOBIG', 'failed'],
  ]
  for (const [code, kind] of kinds) {
    it(`${code} is ${kind}, told with the file`, () => {
      const cause = new BetterSqlite3.SqliteError('as SQLite says it', code)
      const error = databaseError(cause, '/data/gateway.db')
      assert.ok(error instanceof DatabaseError)
      assert.equal(error.kind, kind)
      assert.equal(error.cause, cause)
      assert.match(error.message, /^\/data\/gateway\.db: as SQLite says it/)
    })
  }

  it('a closed connection counts as lost', () => {
    const database = new BetterSqlite3(':memory:')
    database.close()
    assert.throws(
      () => database.prepare('SELECT 1'),
      (error) => {
        const told = databaseError(error, 'x.db')
        return told instanceof DatabaseError && told.kind === 'lost'
      },
    )
  })

  it('an error that is ours already, or a bug of the program, is left unchanged', () => {
    const mistake = new RangeError('Too few parameter values were provided')
    const ours = new DatabaseError('busy', 'told')
    assert.equal(databaseError(mistake, 'x.db'), mistake)
    assert.equal(databaseError(ours, 'x.db'), ours)
    assert.equal(databaseError('thrown', 'x.db'), 'thrown')
  })
})
