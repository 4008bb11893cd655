import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { Connection } from '../../../src/database/sqlite/connection/connection.ts'
import { ReadDigests } from '../../../src/database/sqlite/exporting/read-digests.ts'
import { hostClock } from '../../../src/time/clock.ts'
import { freshSqliteFile } from '../../support/databases.ts'

const NUMBERS = [9, 4, 7, 5, 1, 8]

function digestOf(rowid: number): string {
  return String(rowid).repeat(32)
}

void test("recorded digests are found in order, also after a rollback or a second reading, and dropped after another connection's commit", async () => {
  await using file = await freshSqliteFile()
  const sqlite = new Database(file.file)
  sqlite.exec('CREATE TABLE audit_logs (id INTEGER PRIMARY KEY)')
  const connection = new Connection(sqlite, file.file, hostClock())
  const digests = new ReadDigests(connection, { found: false })
  const noteAll = (): void => {
    digests.begin()
    for (const rowid of NUMBERS) digests.note(BigInt(rowid), digestOf(rowid))
  }
  const taken = (rowids: readonly number[]): unknown => {
    const { rowids: known, digests: list, left } = digests.take(rowids)
    assert.equal(list.bytes.toString('latin1'), known.map((rowid) => digestOf(Number(rowid))).join(''))
    return { known, left: [...left] }
  }
  noteAll()
  assert.deepEqual(taken([9, 4, 7]), { known: [9, 4, 7], left: [] })
  // Rolled back: a half of them, and then the other.
  assert.deepEqual(taken([9, 4]), { known: [9, 4], left: [] })
  assert.deepEqual(taken([7, 5]), { known: [7, 5], left: [] })
  // One that was never noted is read again; the others are not.
  assert.deepEqual(taken([1, 3, 8]), { known: [1, 8], left: [3] })
  // A part that was given up is read once more.
  noteAll()
  assert.deepEqual(taken([9]), { known: [9], left: [] })
  noteAll()
  assert.deepEqual(taken([9, 4, 7, 5]), { known: [9, 4, 7, 5], left: [] })
  const other = new Database(file.file)
  other.exec('INSERT INTO audit_logs VALUES (1)')
  other.close()
  assert.deepEqual(taken([1, 8]), { known: [], left: [1, 8] })
  connection.close()
})
