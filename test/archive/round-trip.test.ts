import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Database } from '../../src/database/database.ts'
import { auditLogs, count, migrated, opened } from '../runs/support.ts'
import { command } from '../support/command.ts'
import { POSTGRES_MAJORS, withoutGatewayDatabase } from '../support/databases.ts'
import { ENGINES, postgresDatabase, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { archivedRows, contents, freshFolder, purged, restored, verified } from './support.ts'
import { ON_BUCKET } from './where.ts'

const MIGRATIONS = fileURLToPath(new URL('../../migrations/', import.meta.url))

/** The restored rows together with those that stayed are the rows that were there before. */
async function goesRound(outside: TestDatabase, database: Database): Promise<number> {
  await using folder = await freshFolder()
  const before = await contents(outside, 'audit_logs')
  const result = await purged(database, folder.path)
  assert.equal(result.outcome, 'succeeded', String(result.error))
  assert.equal(result.archived?.rows, result.deleted)
  assert.equal(await count(outside, 'audit_logs'), before.length - result.deleted)
  const found = await verified(database, folder.path)
  assert.deepEqual([found.problems, found.rows, found.pending], [[], result.deleted, 0])
  assert.equal((await archivedRows(folder.path)).length, result.deleted)
  if (result.deleted === 0) return 0

  const back = await restored(database, folder.path)
  assert.equal(back.inserted, result.deleted)
  assert.deepEqual([...(await contents(outside, 'audit_logs')), ...(await contents(outside, 'audit_logs_restored'))].toSorted(), before)
  // Restoring again duplicates nothing.
  assert.deepEqual(await restored(database, folder.path), { ...back, inserted: 0, present: result.deleted })
  return result.deleted
}

async function withDatabase(url: string, work: (database: Database) => Promise<void>): Promise<void> {
  await using database = await opened(url)
  await work(database)
}

for (const file of ['gateway-orm.sqlite', 'gateway-mixed-timestamps.sqlite']) {
  test(`${file}: every row is archived and restored, value by value and type by type`, { skip: withoutGatewayDatabase(file) }, async () => {
    await using outside = await sqliteDatabase(file)
    const migrating = await command(['migrate'], { env: { DATABASE_URL: outside.url } })
    assert.equal(migrating.code, 0, migrating.stdout)
    await withDatabase(outside.url, async (database) => assert.ok((await goesRound(outside, database)) > 0))
  })
}

for (const major of POSTGRES_MAJORS) {
  const flyway = 'gateway-flyway.pg.sql'
  test(`postgres ${major}: ${flyway}: every row is archived and restored`, { skip: withoutGatewayDatabase(flyway) }, async () => {
    await using outside = await postgresDatabase(major, flyway)
    // The tables are another program's, so only our own are created, by hand.
    for (const name of ['002_add_metrics.sql', '005_add_archive.sql', ...(ON_BUCKET ? ['011_add_discarded_files.sql'] : [])])
      await outside.sql(await readFile(join(MIGRATIONS, name), 'utf8'))
    await withDatabase(outside.url, async (database) => assert.ok((await goesRound(outside, database)) > 0))
  })

  const half = 'gateway-half-applied.pg.sql'
  test(`postgres ${major}: ${half}: every row is archived and restored`, { skip: withoutGatewayDatabase(half) }, async () => {
    await using outside = await postgresDatabase(major, half)
    const migrating = await command(['migrate'], { env: { DATABASE_URL: outside.url } })
    assert.equal(migrating.code, 0, migrating.stdout)
    await auditLogs(outside, ENGINES[1]!, 500, 89)
    await withDatabase(outside.url, async (database) => assert.equal(await goesRound(outside, database), 0))
    await auditLogs(outside, ENGINES[1]!, 5_000, 91)
    await withDatabase(outside.url, async (database) => assert.equal(await goesRound(outside, database), 5_000))
  })

  test(`postgres ${major}: every type of value that a row can have is restored unchanged`, async () => {
    await using fixture = await migrated(ENGINES.find(({ name }) => name.endsWith(String(major)))!)
    const { outside, database } = fixture
    await outside.sql(`ALTER TABLE audit_logs ADD b BYTEA, ADD f FLOAT8, ADD r REAL, ADD n NUMERIC, ADD t TIMESTAMPTZ, ADD d DATE, ADD i INTERVAL, ADD j JSON,
      ADD jb JSONB, ADD u UUID, ADD a TEXT[], ADD o BOOLEAN, ADD ip INET, ADD c CHAR(5), ADD "wei""rd \u{1F600}" TEXT, ADD g BIGINT GENERATED ALWAYS AS (execution_time * 2) STORED`)
    await outside.sql(`INSERT INTO audit_logs (id, tool_name, "user", action, status, output, timestamp, b, f, r, n, t, d, i, j, jb, u, a, o, ip, c, "wei""rd \u{1F600}") VALUES
      (9007199254740993, '\u{1F600} "q" \\ \u2028', 'ünï', E'a\\nb\\tc\\x01', 's', repeat('"\u00e9', 5000), '2020-02-29 23:59:59.123456', '\\x00ff0a', 'NaN', 1e-7, 1234567890123456789012345678901234567890.10, 'infinity', '0044-03-15 BC', '1 year 2 days 03:04:05.6', '{"a" :  1}', '{"a": [1, null]}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', ARRAY['x', NULL, '"'], true, '10.0.0.0/8', 'ab', '{"$bytes":"00"}'),
      (-1, '', '', '', '', NULL, '1001-01-01', '', '-Infinity', 'Infinity', 'NaN', '2020-01-01 00:00:00.1+05', NULL, NULL, 'null', '5', NULL, '{}', false, '::1', NULL, NULL),
      (9223372036854775807, 'x', 'x', 'x', 'x', '', '2020-01-01', NULL, 0.1, 0.1, -0.00, '0001-01-01 00:00:00 BC', '5874897-12-31', '-1 mon', '"\\u00e9"', '{}', NULL, NULL, NULL, NULL, 'abcde', '')`)
    assert.equal(await goesRound(outside, database), 3)
  })
}

test('sqlite: every type of value, in any column, is restored unchanged', async () => {
  await using fixture = await migrated(ENGINES[0]!)
  const { outside, database } = fixture
  await outside.sql('ALTER TABLE audit_logs ADD COLUMN anything')
  await outside.sql('ALTER TABLE audit_logs ADD COLUMN "wei""rd \u{1F600}" TEXT')
  const values = [
    `x'00ff0a'`,
    `x''`,
    '5',
    '5.0',
    '0.1',
    '1e300',
    '9e999',
    '-9e999',
    '9007199254740993',
    '-9223372036854775808',
    `'5'`,
    `''`,
    `'\u{1F600} "q" \\ \u2028'`,
    `CAST(x'c328' AS TEXT)`,
    `'a' || char(0) || 'b'`,
    `'\u{FFFD}'`,
    `'{"$bytes":"00"}'`,
    'NULL',
    '-0.0',
    `replace(hex(zeroblob(20000)), '0', 'é"')`,
  ]
  for (const [n, value] of values.entries()) {
    await outside.sql(
      `INSERT INTO audit_logs (id, tool_name, "user", action, status, execution_time, timestamp, anything, "wei""rd \u{1F600}") VALUES (${n === 0 ? '9007199254740995' : String(n)}, ${value === 'NULL' ? `''` : value}, 'u', 'a', 's', ${value}, ${n % 2 === 0 ? `'2020-01-01 00:00:00'` : String(1_577_836_800 + n)}, ${value}, ${value})`,
    )
  }
  assert.equal(await goesRound(outside, database), values.length)
})

for (const engine of ENGINES) {
  test(`${engine.name}: very long values are restored unchanged`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    const sqlite = engine.name === 'sqlite'
    await outside.sql(`ALTER TABLE audit_logs ADD COLUMN b ${sqlite ? 'BLOB' : 'BYTEA'}`)
    const repeated = (text: string, times: number): string =>
      sqlite ? `replace(hex(zeroblob(${times / 2})), '0', '${text}')` : `repeat('${text}', ${times})`
    const values = [
      // Characters of four, three and two bytes and of one, so that pieces end at every position.
      [repeated('\u{1F600}\u20acé"', 400_000), 'NULL'],
      [repeated('x', 1_100_000), sqlite ? 'zeroblob(1500000)' : `decode(repeat('00ff', 700000), 'hex')`],
      [sqlite ? `CAST(x'e2' || zeroblob(9000000) || x'c3' AS TEXT)` : repeated('\\', 1_200_000), 'NULL'],
    ]
    for (const [output, b] of values)
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp, b) VALUES ('t', 'u', 'a', 's', ${output!}, '2020-01-01 00:00:00', ${b!})`,
      )
    assert.equal(await goesRound(outside, database), values.length)
  })

  test(
    `${engine.name}: very long values come back as they were, whatever their types`,
    { skip: engine.name === 'sqlite' ? 'it has no others' : false },
    async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await outside.sql('CREATE DOMAIN note AS TEXT')
      await outside.sql(
        'ALTER TABLE audit_logs ADD j JSON, ADD jb JSONB, ADD v VARCHAR, ADD c CHAR(1500000), ADD a TEXT[], ADD n note, ADD b BYTEA',
      )
      const long = `repeat(E'x"\\\\\\n\u20ac', 160000)`
      const values = ['j', 'jb', 'v', 'c', 'a', 'n', 'b'].map((name) =>
        name === 'a'
          ? `ARRAY[${long}, 'x', NULL]`
          : name === 'b'
            ? `convert_to(${long}, 'UTF8')`
            : name.startsWith('j')
              ? `to_jsonb(${long})`
              : name === 'c'
                ? `repeat('x', 1400000)`
                : long,
      )
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp, j, jb, v, c, a, n, b) SELECT 't', 'u', 'a', 's', '2020-01-01 00:00:00', ${values.join(', ')}`,
      )
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp, v, b) SELECT 't', 'u', 'a', 's', '2020-01-01 00:00:00', ${values[2]}, ${values[6]}`,
      )
      assert.equal(await goesRound(outside, database), 2)
    },
  )

  test(`${engine.name}: only rows that the next purge would keep are restored into audit_logs`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 30, 100)
    await auditLogs(outside, engine, 20, 200)
    await purged(database, folder.path)
    const cutoff = Date.now() - 150 * 86_400_000
    const back = await restored(database, folder.path, { into: 'audit_logs', cutoff })
    assert.deepEqual([back.inserted, back.expired, back.present, back.conflicting], [30, 20, 0, 0])
    assert.deepEqual((await restored(database, folder.path, { into: 'audit_logs', cutoff })).present, 30)
    await outside.sql(`UPDATE audit_logs SET status = 'other' WHERE id = (SELECT min(id) FROM audit_logs)`)
    assert.deepEqual((await restored(database, folder.path, { into: 'audit_logs', cutoff })).conflicting, 1)
  })
}
