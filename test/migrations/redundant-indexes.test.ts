import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { MaintenanceError } from '../../src/errors.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { POSTGRES_MAJORS, withoutGatewayDatabase } from '../support/databases.ts'
import { ENGINES, postgresDatabase, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { isSqlite, migrated, objectsOf, opened, PACKAGE_ROOT, pictureOf } from './support.ts'

const every = await readMigrationFiles(PACKAGE_ROOT)
const before = every.filter(({ version }) => version < 4)
const upToHere = every.filter(({ version }) => version <= 4)

/** What the gateway's published script and its ORM make, and 004 takes away: each with the column it is on. */
const REDUNDANT: Readonly<Record<string, string>> = {
  idx_tools_name: 'tools (name)',
  idx_audit_logs_user: 'audit_logs ("user")',
  idx_mcp_servers_name: 'mcp_servers (name)',
  idx_api_keys_hash: 'api_keys (key_hash)',
  idx_sessions_token: 'sessions (session_token)',
  ix_audit_logs_id: 'audit_logs (id)',
  ix_audit_logs_tool_name: 'audit_logs (tool_name)',
  ix_audit_logs_user: 'audit_logs ("user")',
  ix_audit_logs_timestamp: 'audit_logs (timestamp)',
  ix_tools_id: 'tools (id)',
}

async function indexesOf(test: TestDatabase): Promise<string[]> {
  const sql = isSqlite(test)
    ? `SELECT name FROM sqlite_schema WHERE type = 'index'`
    : `SELECT relname AS name FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace`
  return (await test.sql<{ name: string }>(sql)).map(({ name }) => name)
}

/** The file alone, as by hand: refusals of the worker stand aside. */
async function byHand(test: TestDatabase): Promise<void> {
  await using database = await opened(test.url)
  const file = every.find(({ version, fileName }) => version === 4 && database.migrationFiles.test(fileName))!
  const signal = new AbortController().signal
  await database.withMigrationLock({ timeoutMs: 10_000, signal, waiting: () => {} }, (apply) => apply((tx) => tx.query(file.text)))
}

interface Given {
  readonly name: string
  readonly file: string
  open(): Promise<TestDatabase>
}

const GATEWAYS: readonly Given[] = [
  ...['gateway-orm.sqlite', 'gateway-mixed-timestamps.sqlite'].map((file) => ({ name: file, file, open: () => sqliteDatabase(file) })),
  ...POSTGRES_MAJORS.map((major) => ({
    name: `gateway-half-applied on PostgreSQL ${major}`,
    file: 'gateway-half-applied.pg.sql',
    open: () => postgresDatabase(major, 'gateway-half-applied.pg.sql'),
  })),
]

/** A second tool of a name that is there: what says no is the only uniqueness that a gateway has. */
async function insertToolTwice(test: TestDatabase): Promise<void> {
  const truth = isSqlite(test) ? '1' : 'true'
  const insert = async (): Promise<unknown> =>
    test.sql(
      `INSERT INTO tools (name, version, description, path, permissions, timeout, is_active, created_at, updated_at)
       VALUES ('doubled', '1', 'd', 'p', '[]', 30, ${truth}, '2026-11-23 12:00:00', '2026-11-23 12:00:00')`,
    )
  await insert()
  await assert.rejects(insert(), /unique/i)
  await test.sql(`DELETE FROM tools WHERE name = 'doubled'`)
}

for (const gateway of GATEWAYS) {
  describe(gateway.name, { skip: withoutGatewayDatabase(gateway.file) }, () => {
    it('a duplicate tool name is refused before and after, and only the redundant indexes are dropped', async () => {
      await using test = await gateway.open()
      await insertToolTwice(test)
      await migrated(test.url, before)
      await insertToolTwice(test)
      const [indexes, objects] = [await indexesOf(test), await objectsOf(test)]
      assert.ok(indexes.some((name) => name in REDUNDANT))
      await migrated(test.url, upToHere)
      await insertToolTwice(test)
      assert.deepEqual((await indexesOf(test)).toSorted(), indexes.filter((name) => !(name in REDUNDANT)).toSorted())
      const left = await objectsOf(test)
      const gone = objects.filter((object) => !left.includes(object))
      assert.deepEqual(
        gone.filter((object) => !Object.keys(REDUNDANT).some((name) => object.includes(name))),
        [],
      )
    })

    it('an index stays for each query of the gateway', async () => {
      await using test = await gateway.open()
      await migrated(test.url, every)
      await assertSearched(test)
    })
  })
}

for (const major of POSTGRES_MAJORS) {
  const file = 'gateway-flyway.pg.sql'
  it(
    `gateway-flyway on PostgreSQL ${major} accepts a duplicate tool name before and after, and its index on it stays`,
    {
      skip: withoutGatewayDatabase(file),
    },
    async () => {
      await using test = await postgresDatabase(major, file)
      const picture = await pictureOf(test)
      await assert.rejects(migrated(test.url, every), (error) => error instanceof MaintenanceError && error.exitCode === 4)
      assert.deepEqual(await pictureOf(test), picture)
      await byHand(test)
      const indexes = await indexesOf(test)
      assert.ok(indexes.includes('idx_tools_name'), 'no other index of tools begins with its name')
      assert.ok(!indexes.includes('idx_mcp_servers_name'), 'mcp_servers_name_key does what it did')
    },
  )
}

for (const engine of ENGINES) {
  describe(`redundant indexes on ${engine.name}`, () => {
    it('redundant indexes are dropped, once and again, from tables whose other indexes do their work', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, before)
      for (const [name, on] of Object.entries(REDUNDANT)) await test.sql(`CREATE INDEX ${name} ON ${on}`)
      await migrated(test.url, every)
      const left = await indexesOf(test)
      assert.deepEqual(
        Object.keys(REDUNDANT).filter((name) => left.includes(name)),
        [],
      )
      const picture = await pictureOf(test)
      await byHand(test)
      assert.deepEqual(await pictureOf(test), picture)
      await assertSearched(test)
    })

    it('a UNIQUE index with one of those names stays', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, before)
      await test.sql('CREATE UNIQUE INDEX idx_audit_logs_user ON audit_logs ("user")')
      await kept(test, 'idx_audit_logs_user')
    })

    it('indexes stay if nothing else does their work', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, before)
      await test.sql('DROP INDEX idx_audit_logs_user_timestamp')
      for (const name of ['idx_audit_logs_user', 'ix_audit_logs_user']) await test.sql(`CREATE INDEX ${name} ON audit_logs ("user")`)
      await kept(test, 'idx_audit_logs_user', 'ix_audit_logs_user')
    })

    it('indexes stay if they cover more than their name says', async () => {
      await using test = await engine.fresh()
      await migrated(test.url, before)
      await test.sql(`CREATE INDEX idx_audit_logs_user ON audit_logs ("user") WHERE status = 'denied'`)
      await kept(test, 'idx_audit_logs_user')
    })
  })
}

/** Where SQL can choose, they are passed over; SQLite's cannot, and the file fails before it has dropped anything. */
async function kept(test: TestDatabase, ...names: readonly string[]): Promise<void> {
  const picture = await pictureOf(test)
  if (isSqlite(test)) {
    await assert.rejects(migrated(test.url, every), (error) => {
      assert.ok(error instanceof MaintenanceError)
      assert.equal(error.exitCode, 4)
      assert.match(error.message, /an index that 004 drops as redundant is not redundant here, see 004 in migrations\/README\.md/)
      return true
    })
    assert.deepEqual(await pictureOf(test), picture)
  } else {
    await migrated(test.url, every)
  }
  const indexes = await indexesOf(test)
  for (const name of names) assert.ok(indexes.includes(name), name)
}

/** What the gateway asks, by its schema: by name, by user, by tool, by time, by token, by a key's hash. */
const QUERIES: readonly string[] = [
  `SELECT * FROM tools WHERE id = 1`,
  `SELECT * FROM tools WHERE name = 'x'`,
  `SELECT * FROM tools WHERE is_active = TRUTH`,
  `SELECT * FROM audit_logs WHERE id = 1`,
  `SELECT * FROM audit_logs WHERE "user" = 'x'`,
  `SELECT * FROM audit_logs WHERE "user" = 'x' ORDER BY timestamp DESC LIMIT 100`,
  `SELECT * FROM audit_logs WHERE "user" = 'x' AND timestamp >= '2026-11-01 00:00:00' ORDER BY timestamp DESC`,
  `SELECT * FROM audit_logs WHERE tool_name = 'x'`,
  `SELECT * FROM audit_logs WHERE action = 'x'`,
  `SELECT * FROM audit_logs WHERE status = 'x'`,
  `SELECT * FROM audit_logs WHERE timestamp >= '2026-11-01 00:00:00' AND timestamp < '2026-11-02 00:00:00'`,
  `SELECT * FROM audit_logs ORDER BY timestamp DESC LIMIT 100`,
  `SELECT * FROM mcp_servers WHERE name = 'x'`,
  `SELECT * FROM mcp_servers WHERE enabled = TRUTH`,
  `SELECT * FROM policy_decisions WHERE user_identifier = 'x' AND resource = 'x' AND action = 'x' AND expires_at > '2026-11-01 00:00:00'`,
  `SELECT * FROM policy_decisions WHERE expires_at < '2026-11-01 00:00:00'`,
  `SELECT * FROM api_keys WHERE key_hash = 'x'`,
  `SELECT * FROM api_keys WHERE user_identifier = 'x'`,
  `SELECT * FROM sessions WHERE session_token = 'x'`,
  `SELECT * FROM sessions WHERE user_identifier = 'x'`,
  `SELECT * FROM sessions WHERE expires_at < '2026-11-01 00:00:00'`,
  `SELECT * FROM rate_limits WHERE subject = 'x' AND resource = 'x' AND window_start = '2026-11-01 00:00:00'`,
]

async function assertSearched(test: TestDatabase): Promise<void> {
  const sqlite = isSqlite(test)
  // On a small table PostgreSQL would read and sort all of it whatever the indexes.
  if (!sqlite) for (const way of ['seqscan', 'bitmapscan', 'sort']) await test.sql(`SET enable_${way} = off`)
  for (const query of QUERIES) {
    const sql = query.replace('TRUTH', sqlite ? '1' : 'true')
    const rows = await test.sql<Record<string, string>>(sqlite ? `EXPLAIN QUERY PLAN ${sql}` : `EXPLAIN ${sql}`)
    const plan = rows.map((row) => row[sqlite ? 'detail' : 'QUERY PLAN'] ?? '').join('\n')
    assert.match(plan, /SEARCH .* USING (?:INTEGER PRIMARY KEY|INDEX)|SCAN .* USING INDEX|Index (?:Only )?Scan/, `${sql}\n${plan}`)
    assert.doesNotMatch(plan, /Seq Scan|USE TEMP B-TREE|\bSort\b/, `${sql}\n${plan}`)
    if (sql.includes('WHERE')) assert.match(plan, /SEARCH|Index Cond/, `${sql}\n${plan}`)
  }
}

it('each dropped index is documented with the index that does its work', async () => {
  const readme = await readFile(`${PACKAGE_ROOT}migrations/README.md`, 'utf8')
  for (const [name, on] of Object.entries(REDUNDANT)) {
    const plain = on.replaceAll('"', '\\"?')
    assert.match(readme, new RegExp(`^\\| \`${name}\` \\| \`${plain.replaceAll(/[()]/g, '\\$&')}\` \\| .+ \\|$`, 'm'))
  }
  for (const { text, fileName } of every.filter(({ version }) => version === 4)) {
    const named = new Set(text.replaceAll(/--.*$/gm, '').match(/\bix_\w+|\bidx_\w+/g))
    assert.deepEqual([...named].toSorted(), Object.keys(REDUNDANT).toSorted(), fileName)
  }
})
