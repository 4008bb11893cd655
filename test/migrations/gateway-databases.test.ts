import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MaintenanceError } from '../../src/errors.ts'
import { POSTGRES_MAJORS, withoutGatewayDatabase } from '../support/databases.ts'
import { postgresDatabase, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { initialSchema, isSqlite, listening, migrated, objectsOf, pictureOf, rowsOf } from './support.ts'

const initial = await initialSchema()
const TABLES = ['tools', 'audit_logs', 'mcp_servers', 'policy_decisions', 'api_keys', 'sessions']
const PUBLISHED_TRIGGER_FUNCTION = 'update_updated_at_column'

interface Gateway {
  readonly name: string
  readonly file: string
  readonly had: readonly string[]
  open(): Promise<TestDatabase>
}

const ADOPTED: readonly Gateway[] = [
  {
    name: "the ORM's SQLite file",
    file: 'gateway-orm.sqlite',
    had: ['tools', 'audit_logs'],
    open: () => sqliteDatabase('gateway-orm.sqlite'),
  },
  {
    name: 'the published SQLite script with mixed times',
    file: 'gateway-mixed-timestamps.sqlite',
    had: TABLES,
    open: () => sqliteDatabase('gateway-mixed-timestamps.sqlite'),
  },
  ...POSTGRES_MAJORS.map((major) => ({
    name: `the half-applied script on PostgreSQL ${major}`,
    file: 'gateway-half-applied.pg.sql',
    had: TABLES.filter((table) => table !== 'audit_logs'),
    open: () => postgresDatabase(major, 'gateway-half-applied.pg.sql'),
  })),
]

for (const gateway of ADOPTED) {
  describe(gateway.name, { skip: withoutGatewayDatabase(gateway.file) }, () => {
    it("the gateway's database is completed without changing a row or an existing object", async () => {
      await using test = await gateway.open()
      const [rows, objects] = [await rowsOf(test, gateway.had), await objectsOf(test)]
      await migrated(test.url, initial)
      assert.deepEqual(await rowsOf(test, gateway.had), rows)
      const after = await objectsOf(test)
      assert.deepEqual(
        objects.filter((object) => !after.includes(object)),
        [],
      )
      for (const name of [...TABLES, 'recent_audit_activity', 'policy_violations', 'tool_usage_stats'])
        await test.sql(`SELECT * FROM ${name}`)
      const told = listening()
      const picture = await pictureOf(test)
      await migrated(test.url, initial, { listener: told.listener })
      assert.deepEqual(told.events, ['current 0/1'])
      assert.deepEqual(await pictureOf(test), picture)
    })

    it("the gateway's own inserts work as before: naive UTC times and JSON as text, no id, a duplicate tool name refused", async () => {
      await using test = await gateway.open()
      await migrated(test.url, initial)
      await insertsOf(test)
    })
  })
}

for (const major of POSTGRES_MAJORS) {
  describe(`the half-applied script on PostgreSQL ${major}`, { skip: withoutGatewayDatabase('gateway-half-applied.pg.sql') }, () => {
    it('the half-applied schema keeps its own trigger function, and distinguishes users from then on', async () => {
      await using test = await postgresDatabase(major, 'gateway-half-applied.pg.sql')
      await migrated(test.url, initial)
      const functions = await test.sql<{ f: string }>(
        `SELECT tgfoid::regproc::text AS f FROM pg_trigger WHERE tgname LIKE 'update\\_%' ORDER BY tgname`,
      )
      assert.deepEqual(functions, [{ f: PUBLISHED_TRIGGER_FUNCTION }, { f: PUBLISHED_TRIGGER_FUNCTION }])
      for (const [user, status] of [
        ['ann', 'success'],
        ['bob', 'success'],
        ['ann', 'policy_violation'],
        ['bob', 'policy_violation'],
      ]) {
        await test.sql(`INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('t', $1, 'invoke', $2)`, [
          user ?? '',
          status ?? '',
        ])
      }
      assert.deepEqual(await test.sql('SELECT unique_users FROM tool_usage_stats'), [{ unique_users: 2 }])
      assert.deepEqual(await test.sql('SELECT "user" FROM policy_violations ORDER BY "user"'), [{ user: 'ann' }, { user: 'bob' }])
    })
  })

  describe(`the newer gateway's Flyway schema on PostgreSQL ${major}`, { skip: withoutGatewayDatabase('gateway-flyway.pg.sql') }, () => {
    it('the Flyway schema is refused before anything is changed, with all reasons', async () => {
      await using test = await postgresDatabase(major, 'gateway-flyway.pg.sql')
      const picture = await pictureOf(test)
      for (const attempt of [1, 2]) {
        const error: unknown = await migrated(test.url, initial).catch((thrown: unknown) => thrown)
        assert.ok(error instanceof MaintenanceError, `attempt ${attempt}`)
        assert.deepEqual([error.code, error.exitCode], ['MIGRATION_REFUSED', 4])
        assert.deepEqual(error.message.split('\n'), FLYWAY_MESSAGE)
      }
      assert.deepEqual(await pictureOf(test), picture)
    })
  })

  it(`views of a script that left user unquoted are corrected by the worker on PostgreSQL ${major}`, async () => {
    await using test = await postgresDatabase(major)
    await test.sql(`CREATE TABLE audit_logs (id SERIAL PRIMARY KEY, tool_name VARCHAR NOT NULL, "user" VARCHAR NOT NULL, action VARCHAR NOT NULL,
      status VARCHAR NOT NULL, parameters TEXT, output TEXT, error TEXT, execution_time INTEGER, timestamp TIMESTAMP)`)
    await test.sql(
      `CREATE VIEW policy_violations AS SELECT id, tool_name, user, action, error AS reason, timestamp FROM audit_logs WHERE status = 'policy_violation'`,
    )
    await test.sql(`INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('t', 'ann', 'invoke', 'policy_violation')`)
    assert.deepEqual(await test.sql('SELECT "user" FROM policy_violations'), [{ user: 'postgres' }])
    await migrated(test.url, initial)
    assert.deepEqual(await test.sql('SELECT "user" FROM policy_violations'), [{ user: 'ann' }])
  })
}

const FLYWAY_MESSAGE = [
  'The database has tables that differ from those that the migrations create. Nothing was changed. The differences:',
  '- tools has no column version',
  '- tools has no column path',
  '- tools has no column permissions',
  '- tools has no column parameters',
  '- tools has no column environment',
  '- tools has no column timeout',
  '- tools has no column is_active',
  '- audit_logs has no column user',
  'Another tool manages this schema: flyway_schema_history (Flyway).',
  'Set MIGRATIONS_ENABLED=false to run the jobs on the tables as they are, or point DATABASE_URL at the right database.',
]

/** As the gateway's ORM says them. */
async function insertsOf(test: TestDatabase): Promise<void> {
  const time = '2026-11-23 12:14:13.723286'
  const truth = isSqlite(test) ? 1 : 'true'
  const counts = async (): Promise<unknown[]> => {
    const counted: unknown[] = []
    for (const table of TABLES) counted.push(await test.sql(`SELECT count(*) AS n, max(id) > 0 AS numbered FROM ${table}`))
    return counted
  }
  const before = await counts()
  const tool = async (): Promise<unknown> =>
    test.sql(
      `INSERT INTO tools (name, version, description, path, permissions, parameters, environment, timeout, is_active, created_at, updated_at)
       VALUES ($1, '1.0.0', 'd', './p.py', $2, $3, NULL, 30, $4, $5, $6)`,
      ['written-after', '["read:db"]', '{"type": "object"}', truth, time, time],
    )
  await tool()
  await assert.rejects(tool(), /unique/i)
  await test.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, parameters, output, error, execution_time, timestamp) VALUES ('t', $1, 'invoke', 'success', $2, 'ok', NULL, 12, $3)`,
    ['ann', '{"path": "/x"}', time],
  )
  await test.sql(
    `INSERT INTO mcp_servers (name, url, type, timeout, enabled, metadata, created_at, updated_at) VALUES ('s', 'u', 'http', 30, $1, '{}', $2, $3)`,
    [truth, time, time],
  )
  await test.sql(
    `INSERT INTO policy_decisions (user_identifier, resource, action, decision, expires_at, created_at) VALUES ('ann', 'tool:1', 'execute', 'allow', $1, $2)`,
    [time, time],
  )
  await test.sql(
    `INSERT INTO api_keys (key_hash, name, user_identifier, scopes, enabled, created_at, created_by) VALUES ($1, 'k', 'ann', '["a"]', $2, $3, 'root')`,
    ['f'.repeat(64), truth, time],
  )
  await test.sql(
    `INSERT INTO sessions (session_token, user_identifier, user_data, ip_address, expires_at, created_at, last_activity_at) VALUES ('written-after', 'ann', '{}', '::1', $1, $2, $3)`,
    [time, time, time],
  )
  const after = await counts()
  assert.notDeepEqual(after, before)
  const [stored] = await test.sql<{ stored: string }>(
    `SELECT CAST(timestamp AS VARCHAR(40)) AS stored FROM audit_logs ORDER BY id DESC LIMIT 1`,
  )
  assert.equal(stored?.stored, time)
}
