import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { escapeIdentifier } from 'pg'
import { applyMigrations } from '../../runs/support.ts'
import { converted, type Conversion } from '../../support/converting.ts'
import { POSTGRES_MAJORS, withoutGatewayDatabase } from '../../support/databases.ts'
import { postgresDatabase, type TestDatabase } from '../../support/engines.ts'

const FOLDER = fileURLToPath(new URL('../../../migrations', import.meta.url))

const ODD_TIMES = ['NULL', `'infinity'`, `'-infinity'`, `'2031-05-05 05:05:05.123456'`, `'0044-03-15 12:00 BC'`, `'2026-01-01'`, 'now()']

/** The gateway's ORM: a serial number of four bytes, and a time that may be NULL. */
function orm(table: string, type: string): string {
  return `CREATE TABLE ${table} (id serial PRIMARY KEY, tool_name varchar, "user" varchar, action varchar, status varchar, parameters text, output text, error text,
    execution_time integer, "timestamp" ${type})`
}

async function convertedWith(outside: TestDatabase, { schema = 'public', ...conversion }: Conversion): Promise<void> {
  const table = `${escapeIdentifier(schema)}.audit_logs`
  const values = ODD_TIMES.map((time) => `('t', 'u', 'a', 's', ${time})`)
  await outside.sql(`INSERT INTO ${table} (tool_name, "user", action, status, "timestamp") VALUES ${values.join(', ')}`)
  // The gateway wrote those long ago: a conversion would refuse them.
  await outside.sql(`INSERT INTO ${table} (tool_name, "timestamp") SELECT 't', '2026-02-02' FROM generate_series(1, 10001)`)
  const all = `SELECT id, "timestamp"::text AS time FROM ${table} ORDER BY id`
  const before = await outside.sql<{ id: number }>(all)
  await converted(outside.url, { schema, ...conversion })
  assert.deepEqual(await outside.sql(all), before)
  // In their places: what nobody can date is in DEFAULT, what lies before everything in the table as it was.
  const places = await outside.sql<{ place: string; time: string | null }>(
    `SELECT tableoid::regclass::text AS place, "timestamp"::text AS time FROM ${table}`,
  )
  for (const { place, time } of places)
    assert.equal(place.includes('_default'), time === null || time === 'infinity' || time.startsWith('2031'), `${time} in ${place}`)
  await outside.sql(`INSERT INTO ${table} (tool_name, "user", action, status, "timestamp") VALUES ${values.join(', ')}`)
  const after = await outside.sql<{ id: number }>(all)
  assert.deepEqual(
    after.map(({ id }) => id),
    Array.from({ length: 2 * ODD_TIMES.length + 10_001 }, (_, at) => before[0]!.id + at),
  )
}

for (const major of POSTGRES_MAJORS) {
  describe(`odd rows and tables of other makers, on PostgreSQL ${major}`, () => {
    for (const type of ['timestamp', 'timestamptz', 'timestamp(3)']) {
      test(`a serial number, and a time that may be NULL, of type ${type}`, async () => {
        await using outside = await postgresDatabase(major)
        await outside.sql(orm('audit_logs', type))
        await applyMigrations(outside.url)
        await convertedWith(outside, {})
        const [sequence] = await outside.sql<{ owned: string }>(`SELECT pg_get_serial_sequence('audit_logs', 'id') AS owned`)
        assert.equal(sequence!.owned, 'public.audit_logs_id_seq')
        await outside.sql('ALTER TABLE audit_logs DETACH PARTITION audit_logs_legacy; DROP TABLE audit_logs_legacy')
        await outside.sql(`INSERT INTO audit_logs (tool_name) VALUES ('t')`)
      })
    }

    test('a zone whose clocks change, and a date style of its own', async () => {
      await using outside = await postgresDatabase(major)
      await outside.sql(orm('audit_logs', 'timestamp'))
      await outside.sql(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle = ''German''', current_database());
        EXECUTE format('ALTER DATABASE %I SET timezone = ''Pacific/Kiritimati''', current_database()); END $$`)
      await applyMigrations(outside.url)
      await convertedWith(outside, { timeZone: 'Europe/Berlin' })
      const [first] = await outside.sql<{ bound: string }>(
        `SELECT pg_get_expr(relpartbound, oid) AS bound FROM pg_class WHERE relname = 'audit_logs_legacy'`,
      )
      assert.match(first!.bound, / 00:00:00'\)$/)
    })

    test('no row is put into a partition that is not of its day', async () => {
      await using outside = await postgresDatabase(major)
      await outside.sql(orm('audit_logs', 'timestamp'))
      await applyMigrations(outside.url)
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "timestamp") SELECT 't', date_trunc('day', now() AT TIME ZONE 'UTC') + n * interval '8 hours' FROM generate_series(-9, 60) AS n`,
      )
      await converted(outside.url)
      const [counted] = await outside.sql<{ rows: number; days: number }>(
        `SELECT count(*) AS rows, count(DISTINCT tableoid) AS days FROM audit_logs`,
      )
      // Four days back to one ahead are in the table as it was, 14 in their own, and the rest in DEFAULT.
      assert.deepEqual(counted, { rows: 70, days: 16 })
    })

    test('another schema, whose name has to be quoted', async () => {
      await using outside = await postgresDatabase(major)
      await outside.sql('CREATE SCHEMA "The Gateway""s"')
      await outside.sql(orm('"The Gateway""s".audit_logs', 'timestamp'))
      await applyMigrations(outside.url, 'The Gateway"s')
      await convertedWith(outside, { schema: 'The Gateway"s' })
      assert.deepEqual(await outside.sql(`SELECT relkind FROM pg_class WHERE relname = 'audit_logs'`), [{ relkind: 'p' }])
    })

    test('before the migrations, nothing', async () => {
      await using outside = await postgresDatabase(major)
      await outside.sql(orm('audit_logs', 'timestamp'))
      await assert.rejects(
        converted(outside.url),
        /^DatabaseError: public\.maintenance_partitioned does not exist yet, .+ Run: mcp-gateway-maintenance migrate$/,
      )
    })

    for (const file of ['gateway-flyway.pg.sql', 'gateway-half-applied.pg.sql']) {
      test(`the gateway’s own ${file}`, { skip: withoutGatewayDatabase(file) }, async () => {
        await using outside = await postgresDatabase(major, file)
        // The migrations refuse what Flyway manages; by hand those that touch nothing of its can be applied.
        if (file.includes('flyway')) for (const name of await ownMigrations()) await outside.sql(await readFile(name, 'utf8'))
        else await applyMigrations(outside.url)
        const rows = `SELECT md5(string_agg(a::text, ',' ORDER BY id)) AS all, count(*) AS n FROM public.audit_logs AS a`
        const before = await outside.sql(rows)
        await converted(outside.url)
        assert.deepEqual(await outside.sql(rows), before)
        assert.deepEqual(await outside.sql(`SELECT relkind FROM pg_class WHERE oid = 'public.audit_logs'::regclass`), [{ relkind: 'p' }])
      })
    }
  })
}

async function ownMigrations(): Promise<readonly string[]> {
  const files = await readdir(FOLDER)
  return files.filter((name) => /^0(?:02|05|06|07|08|09)_.*(?<!_sqlite)\.sql$/.test(name)).map((name) => `${FOLDER}/${name}`)
}
