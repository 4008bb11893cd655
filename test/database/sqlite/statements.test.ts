import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { Connection } from '../../../src/database/sqlite/connection/connection.ts'
import { rangesFor } from '../../../src/database/sqlite/purging/index-ranges.ts'
import { layoutOf } from '../../../src/database/sqlite/purging/layout.ts'
import { removalOf } from '../../../src/database/sqlite/purging/removal.ts'
import { statementsFor } from '../../../src/database/sqlite/purging/walk-statements.ts'
import { hostClock } from '../../../src/time/clock.ts'
import { NOON } from './opening.ts'

const SCHEMAS = {
  'the published schema': `
    CREATE TABLE audit_logs (id INTEGER PRIMARY KEY AUTOINCREMENT, "user" TEXT NOT NULL, timestamp TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
    CREATE INDEX idx_audit_logs_timestamp ON audit_logs(timestamp DESC);
    CREATE INDEX idx_audit_logs_user_timestamp ON audit_logs("user", timestamp DESC)`,
  "the ORM's schema": `
    CREATE TABLE audit_logs (id INTEGER NOT NULL, "user" VARCHAR NOT NULL, timestamp DATETIME, PRIMARY KEY (id));
    CREATE INDEX ix_audit_logs_timestamp ON audit_logs (timestamp)`,
  'a column of text': `
    CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, "user" TEXT, timestamp TEXT);
    CREATE INDEX by_time ON audit_logs (timestamp)`,
  'an index of two columns': `
    CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, "user" TEXT, timestamp TIMESTAMP);
    CREATE INDEX by_time_and_user ON audit_logs (timestamp, "user")`,
  'no index': 'CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, "user" TEXT, timestamp TIMESTAMP)',
}

describe('every statement over a time column is a search', () => {
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    for (const analyzed of [false, true]) {
      it(`with ${name}${analyzed ? ', whatever its statistics say' : ''}`, () => {
        using database = databaseOf(schema)
        if (analyzed) {
          database.exec(`INSERT INTO audit_logs ("user", timestamp) SELECT 'u', '2020-01-01' FROM json_each('[1, 2, 3]')`)
          database.exec('ANALYZE')
        }
        for (const { sql, plan } of plansOf(database)) {
          assert.match(plan, /SEARCH (main\.audit_logs|row) USING (COVERING INDEX|INDEX|INTEGER PRIMARY KEY)/, `${sql}\n${plan}`)
          assert.doesNotMatch(plan, /SCAN (main\.audit_logs|row)/, `${sql}\n${plan}`)
          if (name !== 'an index of two columns') assert.doesNotMatch(plan, /TEMP B-TREE/, `${sql}\n${plan}`)
        }
      })
    }
  }

  it('the DELETE of many rows is a search too, unless statistics of a small table say otherwise', () => {
    using database = databaseOf(SCHEMAS["the ORM's schema"])
    const connection = new Connection(database, 'test.db', hostClock())
    const layout = layoutOf(connection, { table: 'audit_logs', column: 'timestamp' })!
    const isListed = (): boolean => removalOf(connection, layout, rangesFor(NOON, layout.numbers).expired).listedIsSearch
    assert.equal(isListed(), true)
    database.exec(`INSERT INTO audit_logs ("user", timestamp) VALUES ('u', '2020-01-01')`)
    database.exec('ANALYZE')
    assert.equal(isListed(), false)
  })

  it('the search of a walk that is to end somewhere ends there, too', () => {
    for (const name of ['the published schema', "the ORM's schema", 'a column of text', 'an index of two columns'] as const) {
      using database = databaseOf(SCHEMAS[name])
      const connection = new Connection(database, 'test.db', hostClock())
      const layout = layoutOf(connection, { table: 'audit_logs', column: 'timestamp' })!
      const statements = statementsFor(layout)
      for (const range of rangesFor(NOON, layout.numbers).expired) {
        for (const sql of [statements.firstUntil(range), statements.afterUntil(range)])
          assert.match(planOf(database, sql), /\(timestamp>\? AND timestamp<\?\)/, sql)
        const ties = name === 'an index of two columns' ? /\(timestamp=\?\)/ : /\(timestamp=\? AND rowid>\? AND rowid<\?\)/
        assert.match(planOf(database, statements.sameTimeUntil(range)), ties)
      }
    }
    using database = databaseOf(SCHEMAS['no index'])
    const connection = new Connection(database, 'test.db', hostClock())
    const layout = layoutOf(connection, { table: 'audit_logs', column: 'timestamp' })!
    assert.match(planOf(database, statementsFor(layout).walkUntil), /\(rowid>\? AND rowid<\?\)/)
  })

  it('a bare comparison would be a scan', () => {
    using database = databaseOf(SCHEMAS["the ORM's schema"])
    assert.match(planOf(database, "SELECT rowid FROM audit_logs WHERE datetime(timestamp) < '2026'"), /SCAN audit_logs/)
  })
})

describe('the index of a time column', () => {
  const table = 'CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, "user" TEXT, timestamp TIMESTAMP);'

  it('the index begins with the time column, and one on that column alone is preferred', () => {
    assert.equal(indexIn(`${table} CREATE INDEX a ON audit_logs (timestamp, "user"); CREATE INDEX b ON audit_logs (timestamp)`), '"b"')
    assert.equal(indexIn(`${table} CREATE INDEX a ON audit_logs ("user", timestamp)`), undefined)
  })

  it('an index that is partial, on an expression or with another collation is not used', () => {
    assert.equal(indexIn(`${table} CREATE INDEX a ON audit_logs (timestamp) WHERE "user" IS NOT NULL`), undefined)
    assert.equal(indexIn(`${table} CREATE INDEX a ON audit_logs (datetime(timestamp))`), undefined)
    assert.equal(indexIn(`${table} CREATE INDEX a ON audit_logs (timestamp COLLATE NOCASE)`), undefined)
  })

  it('the name of the index is quoted', () => {
    assert.equal(indexIn(`${table} CREATE INDEX "by ""time""" ON audit_logs (timestamp)`), '"by ""time"""')
  })
})

function indexIn(schema: string): string | undefined {
  using database = databaseOf(schema)
  return layoutOf(new Connection(database, 'test.db', hostClock()), { table: 'AUDIT_LOGS', column: 'Timestamp' })?.index?.name
}

function databaseOf(schema: string): BetterSqlite3.Database & Disposable {
  const database = new BetterSqlite3(':memory:')
  database.exec(schema)
  return Object.assign(database, { [Symbol.dispose]: () => void database.close() })
}

function plansOf(database: BetterSqlite3.Database): { sql: string; plan: string }[] {
  const connection = new Connection(database, 'test.db', hostClock())
  const layout = layoutOf(connection, { table: 'audit_logs', column: 'timestamp' })!
  const statements = statementsFor(layout)
  const { expired, strange, kept } = rangesFor(NOON, layout.numbers)
  const removal = removalOf(connection, layout, expired)
  const ranges = layout.index === undefined ? [] : [...expired, ...strange, ...kept]
  const texts = [
    ...ranges.flatMap((range) => [
      statements.first(range),
      statements.after(range),
      statements.sameTime(range),
      statements.firstUntil(range),
      statements.afterUntil(range),
      statements.sameTimeUntil(range),
      statements.bounded(range),
      statements.last(range),
    ]),
    ...(layout.index === undefined
      ? [statements.walk, statements.walkUntil]
      : [statements.newest, ...(statements.undated === undefined ? [] : [statements.undated])]),
    removal.listedIsSearch ? removal.listed : removal.one,
    statements.reread,
    statements.size,
    statements.bytes,
  ]
  return texts.map((sql) => ({ sql, plan: planOf(database, sql) }))
}

function planOf(database: BetterSqlite3.Database, sql: string): string {
  const bound = [Object.fromEntries(Array.from({ length: 40 }, (_, at) => [at + 1, null]))]
  const rows = database.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all(...bound)
  return rows.map(({ detail }) => detail).join('\n')
}
