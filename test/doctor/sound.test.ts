import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { POSTGRES_MAJORS, withoutGatewayDatabase } from '../support/databases.ts'
import { ENGINES, postgresDatabase, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { partitioned } from '../support/partitioned.ts'
import { applyMigrations, migrated } from '../runs/support.ts'
import { freshFolder } from '../archive/support.ts'
import { diagnosed, faultsIn, told } from './support.ts'

/** The servers of tests are set up for speed, and their login is a superuser. SQLite makes files without a write-ahead log, and no gateway has written to this one. */
const OF_TESTS: ReadonlySet<string> = new Set([
  'advice database-in-doubt',
  'advice rights-beyond',
  'advice server-settings',
  'advice database-journal',
])

function beyondThoseOfTests(found: readonly string[]): readonly string[] {
  return found.filter((each) => !OF_TESTS.has(each))
}

const SHARED: readonly { readonly name: string; readonly file: string; readonly open: () => Promise<TestDatabase> }[] = [
  ...['gateway-orm.sqlite', 'gateway-mixed-timestamps.sqlite'].map((file) => ({ name: file, file, open: () => sqliteDatabase(file) })),
  ...POSTGRES_MAJORS.map((major) => ({
    name: `gateway-half-applied.pg.sql on PostgreSQL ${major}`,
    file: 'gateway-half-applied.pg.sql',
    open: () => postgresDatabase(major, 'gateway-half-applied.pg.sql'),
  })),
]

for (const { name, file, open } of SHARED) {
  describe(`doctor on ${name}`, { skip: withoutGatewayDatabase(file) }, () => {
    it('has no fault before it is migrated, only the advice to do so, and none afterwards', async () => {
      await using outside = await open()
      const before = await diagnosed(outside.url)
      assert.deepEqual(faultsIn(before), [])
      assert.ok(told(before).includes('advice migrations-pending'))
      await applyMigrations(outside.url)
      const after = await diagnosed(outside.url)
      assert.deepEqual(faultsIn(after), [])
      assert.ok(!told(after).some((each) => /schema|migrations/.test(each)), told(after).join())
    })
  })
}

for (const major of POSTGRES_MAJORS) {
  describe(`doctor on the Flyway schema on PostgreSQL ${major}`, { skip: withoutGatewayDatabase('gateway-flyway.pg.sql') }, () => {
    it('has no fault where its tables are used as they are, and one where a worker would refuse to start', async () => {
      await using outside = await postgresDatabase(major, 'gateway-flyway.pg.sql')
      assert.deepEqual(faultsIn(await diagnosed(outside.url, { plan: { migrationsEnabled: false } })), [])
      const refused = await diagnosed(outside.url)
      assert.deepEqual(
        faultsIn(refused).map((each) => each.split(':')[0]),
        ['migrations-refused'],
      )
    })
  })

  it(`doctor takes a converted audit_logs for sound on PostgreSQL ${major}`, async () => {
    await using fixture = await migrated(ENGINES.find(({ name }) => name === `postgres ${major}`)!)
    await partitioned(fixture.outside)
    const diagnosis = await diagnosed(fixture.outside.url)
    assert.deepEqual(beyondThoseOfTests(told(diagnosis)), [], JSON.stringify(diagnosis.findings))
  })
}

/** What migrations adopt: other widths, NULL where ours is NOT NULL, no defaults, numbers by a sequence, times with a zone. */
const ADOPTED = {
  sqlite: [
    'CREATE TABLE audit_logs (id INTEGER NOT NULL, tool_name VARCHAR(255), user VARCHAR, action VARCHAR, status VARCHAR(20), parameters JSON, output TEXT, error TEXT, execution_time BIGINT, timestamp DATETIME, more TEXT, PRIMARY KEY (id))',
    'CREATE TABLE tools (id INTEGER NOT NULL, name VARCHAR NOT NULL, version VARCHAR, description TEXT, path VARCHAR, permissions JSON, parameters JSON, environment JSON, timeout INTEGER, is_active BOOLEAN, created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id))',
    'CREATE UNIQUE INDEX ix_tools_name ON tools (name)',
    'CREATE TABLE sessions (id INTEGER PRIMARY KEY, session_token VARCHAR(64) UNIQUE, user_identifier VARCHAR, user_data JSON, ip_address VARCHAR, user_agent VARCHAR, expires_at DATETIME, created_at DATETIME, last_activity_at DATETIME)',
  ],
  postgres: [
    'CREATE TABLE audit_logs (id SERIAL PRIMARY KEY, tool_name VARCHAR(255), "user" VARCHAR, action VARCHAR(50), status VARCHAR, parameters TEXT, output TEXT, error TEXT, execution_time BIGINT, timestamp TIMESTAMPTZ DEFAULT now(), more JSONB)',
    'CREATE TABLE tools (id SERIAL PRIMARY KEY, name VARCHAR, version VARCHAR, description TEXT, path VARCHAR, permissions TEXT, parameters TEXT, environment TEXT, timeout SMALLINT, is_active BOOLEAN, created_at TIMESTAMP, updated_at TIMESTAMP)',
    'CREATE UNIQUE INDEX ix_tools_name ON tools (name)',
    'CREATE TABLE sessions (id BIGSERIAL PRIMARY KEY, session_token VARCHAR(64) UNIQUE, user_identifier VARCHAR, user_data TEXT, ip_address VARCHAR, user_agent VARCHAR, expires_at TIMESTAMPTZ, created_at TIMESTAMP, last_activity_at TIMESTAMP)',
  ],
} as const

for (const engine of ENGINES) {
  describe(`doctor on a sound database on ${engine.name}`, () => {
    it('finds nothing in an empty one but that migrations are to come', async () => {
      await using outside = await engine.fresh()
      const diagnosis = await diagnosed(outside.url)
      assert.deepEqual(beyondThoseOfTests(told(diagnosis)), ['advice migrations-pending'])
    })

    it('finds nothing where all migrations were applied, with an archive that no run has made yet', async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const archive = { enabled: true, directory: `${folder.path}/not/yet`, uid: process.getuid?.(), keptMs: undefined }
      const diagnosis = await diagnosed(fixture.outside.url, { plan: { archive } })
      assert.deepEqual(beyondThoseOfTests(told(diagnosis)), [], JSON.stringify(diagnosis.findings))
    })

    it('finds no fault in tables of another make that the migrations adopt', async () => {
      await using outside = await engine.fresh()
      for (const statement of ADOPTED[engine.name === 'sqlite' ? 'sqlite' : 'postgres']) await outside.sql(statement)
      assert.deepEqual(faultsIn(await diagnosed(outside.url)), [])
      await applyMigrations(outside.url)
      const after = await diagnosed(outside.url)
      assert.deepEqual(faultsIn(after), [])
      assert.ok(!told(after).some((each) => each.includes('schema')), JSON.stringify(after.findings))
    })
  })
}
