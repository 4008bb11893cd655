import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { POSTGRES_MAJORS, withoutGatewayDatabase } from '../support/databases.ts'
import { BOTH_ENGINES, ENGINES, postgresDatabase, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { optionsFor } from '../migrations/support.ts'
import { applyMigrations, migrated, opened } from '../runs/support.ts'
import { freshFolder } from '../archive/support.ts'
import { diagnosed, faultsIn, files, OF_TESTS, told } from './support.ts'

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

/** As the gateway's published scripts make them, which 001 leaves as they are: other words for the same. */
const PUBLISHED = {
  sqlite: [
    `CREATE VIEW IF NOT EXISTS recent_audit_activity AS\nSELECT id, tool_name, user, action, status, execution_time, timestamp\nFROM audit_logs WHERE timestamp > datetime('now', '-24 hours') ORDER BY timestamp DESC`,
    `CREATE VIEW policy_violations AS SELECT id, tool_name, user, action, error as reason, timestamp FROM audit_logs WHERE status = 'policy_violation' ORDER BY timestamp DESC`,
    `CREATE VIEW tool_usage_stats AS SELECT tool_name, COUNT(*) as invocation_count, COUNT(DISTINCT user) as unique_users, AVG(execution_time) as avg_execution_time_ms, MAX(timestamp) as last_used_at -- by tool
     FROM audit_logs WHERE action = 'invoke' AND status = 'success' GROUP BY tool_name ORDER BY invocation_count DESC`,
    'CREATE TRIGGER update_tools_updated_at AFTER UPDATE ON tools FOR EACH ROW\nBEGIN\n  UPDATE tools SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id;\nEND',
  ],
  postgres: [
    `CREATE FUNCTION update_updated_at_column() RETURNS TRIGGER AS $$ BEGIN NEW.updated_at = CURRENT_TIMESTAMP; RETURN NEW; END; $$ language 'plpgsql'`,
    'CREATE TRIGGER update_tools_updated_at BEFORE UPDATE ON tools FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()',
    'CREATE TRIGGER update_mcp_servers_updated_at BEFORE UPDATE ON mcp_servers FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()',
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

    it('finds nothing in the views and triggers of the published scripts', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      const kind = engine.name === 'sqlite' ? 'sqlite' : 'postgres'
      for (const statement of PUBLISHED[kind]) {
        const [, what, name] = /^CREATE (VIEW|TRIGGER) (?:IF NOT EXISTS )?(\w+)/.exec(statement) ?? []
        if (what !== undefined)
          await outside.sql(`DROP ${what} ${name}${what === 'TRIGGER' && kind === 'postgres' ? ` ON ${name!.slice(7, -11)}` : ''}`)
        await outside.sql(statement)
      }
      const diagnosis = await diagnosed(outside.url)
      assert.deepEqual(beyondThoseOfTests(told(diagnosis)), [], JSON.stringify(diagnosis.findings))
    })

    // What each migration makes on each server is compared in test/migrations/objects.test.ts.
    if (BOTH_ENGINES.includes(engine))
      it('finds no fault in the database of any earlier version, only the migrations that are to come', async () => {
        await using outside = await engine.fresh()
        await using database = await opened(outside.url)
        const own = files.filter(({ fileName }) => database.migrationFiles.test(fileName))
        assert.ok(own.length >= 10)
        for (const { version } of own) {
          await migrate(
            optionsFor(
              database,
              files.filter((each) => each.version <= version),
            ),
          )
          const diagnosis = await diagnosed(outside.url)
          const pending = version === own.at(-1)!.version ? [] : ['advice migrations-pending']
          assert.deepEqual(beyondThoseOfTests(told(diagnosis)), pending, `${version}: ${JSON.stringify(diagnosis.findings)}`)
        }
      })
  })
}

for (const engine of ENGINES.slice(1))
  it(`${engine.name}: doctor finds nothing in a schema of another name, beside one that is broken`, async () => {
    await using outside = await engine.fresh()
    const schema = 'the "gateway".s'
    await outside.sql('CREATE SCHEMA "the ""gateway"".s"')
    await applyMigrations(outside.url)
    await applyMigrations(outside.url, schema)
    await outside.sql('DROP TABLE public.audit_logs CASCADE')
    const diagnosis = await diagnosed(outside.url, { schema })
    assert.deepEqual(beyondThoseOfTests(told(diagnosis)), [], JSON.stringify(diagnosis.findings))
  })
