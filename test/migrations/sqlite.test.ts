import assert from 'node:assert/strict'
import BetterSqlite3 from 'better-sqlite3'
import { describe, it } from 'node:test'
import { diskCalls } from '../support/disk-calls.ts'
import { sqliteDatabase } from '../support/engines.ts'
import { initialSchema, migrated } from './support.ts'

const initial = await initialSchema()

describe('001 on SQLite', () => {
  it('the triggers of 001 end even if triggers fire each other, twice within a second', async () => {
    await using test = await sqliteDatabase()
    await migrated(test.url, initial)
    using database = disposable(new BetterSqlite3(test.file))
    database.value.pragma('recursive_triggers = ON')
    database.value
      .exec(`INSERT INTO tools (name, description, path, permissions, updated_at) VALUES ('a', 'b', 'c', '[]', '2020-01-01 00:00:00');
      UPDATE tools SET description = 'c'; UPDATE tools SET description = 'd'; UPDATE tools SET updated_at = updated_at;`)
    assert.equal(database.value.prepare(`SELECT updated_at > '2026' FROM tools`).pluck().get(), 1)
  })

  it('the view of recent rows reads every form of time that the gateway writes', async () => {
    await using test = await sqliteDatabase()
    await migrated(test.url, initial)
    for (const [user, format, shift] of [
      ['recent', '%Y-%m-%d %H:%M:%f000', '-23 hours'],
      ['recent, without a fraction', '%Y-%m-%d %H:%M:%S', '-23 hours'],
      ['old', '%Y-%m-%d %H:%M:%f000', '-25 hours'],
      ['old, without a fraction', '%Y-%m-%d %H:%M:%S', '-25 hours'],
    ] as const) {
      await test.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', $1, 'invoke', 'success', strftime($2, 'now', $3))`,
        [user, format, shift],
      )
    }
    const rows = await test.sql('SELECT "user" FROM recent_audit_activity ORDER BY "user"')
    assert.deepEqual(rows, [{ user: 'recent' }, { user: 'recent, without a fraction' }])
  })

  it('the number of a purged row is never used again', async () => {
    await using test = await sqliteDatabase()
    await migrated(test.url, initial)
    const insert = `INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('t', 'u', 'invoke', 'success')`
    await test.sql(insert)
    await test.sql('DELETE FROM audit_logs')
    await test.sql(insert)
    assert.deepEqual(await test.sql('SELECT id FROM audit_logs'), [{ id: 2 }])
  })
})

it('what is reported as applied is on the disk, where COMMIT does not wait for that', async () => {
  await using test = await sqliteDatabase()
  const calls = await diskCalls(() => migrated(test.url, initial))
  assert.deepEqual(
    calls.filter((call) => call.startsWith('sync')),
    [`sync ${test.folder}`],
  )
  assert.deepEqual(await diskCalls(() => migrated(test.url, initial)), [])
})

function disposable(database: BetterSqlite3.Database): Disposable & { readonly value: BetterSqlite3.Database } {
  return { value: database, [Symbol.dispose]: () => database.close() }
}
