import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'
import { opened, optionsFor, PACKAGE_ROOT } from './support.ts'

const every = await readMigrationFiles(PACKAGE_ROOT)
const before004 = every.filter(({ version }) => version < 4)
const stems = [...new Set(every.map(({ stem }) => stem))]
const FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url))
const NAMES = ['Mixed Case.with dot, comma and blank', 'quo"te\'s', 'select', '1st']
const hasPsql = spawnSync('psql', ['--version']).error === undefined

async function apply(test: FreshPostgres, schema: string, files: typeof every): Promise<void> {
  await using database = await opened(test.url, { schema })
  await migrate(optionsFor(database, files))
}

async function indexesOf({ admin }: FreshPostgres, schema: string): Promise<string[]> {
  const { rows } = await admin.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('i', 'I') ORDER BY 1`,
    [schema],
  )
  return rows.map(({ name }) => name)
}

for (const major of POSTGRES_MAJORS) {
  describe(`the name of a schema on PostgreSQL ${major}`, () => {
    for (const schema of NAMES) {
      it(`may be ${JSON.stringify(schema)}: every migration makes what it makes in public, and 004 takes away what is redundant`, async () => {
        await using test = await freshPostgres(major)
        const quoted = `"${schema.replaceAll('"', '""')}"`
        await test.admin.query(`CREATE SCHEMA ${quoted}`)
        await apply(test, 'public', every)
        await apply(test, schema, before004)
        await test.admin.query(
          `CREATE INDEX ix_audit_logs_user ON ${quoted}.audit_logs ("user"); CREATE INDEX idx_tools_name ON ${quoted}.tools (name)`,
        )
        await apply(test, schema, every)
        assert.deepEqual(await indexesOf(test, schema), await indexesOf(test, 'public'))
        await using database = await opened(test.url, { schema })
        await using plain = await opened(test.url)
        const shapeOf = async (of: typeof database): Promise<string> =>
          JSON.stringify([...(await of.relations())].map(([name, { kind, columns }]) => [name, kind, [...columns]]))
        assert.equal(await shapeOf(database), await shapeOf(plain))
        await test.admin.query(`INSERT INTO ${quoted}.tools (name, description, path, permissions) VALUES ('t', 'd', 'p', '[]')`)
        await test.admin.query(`UPDATE ${quoted}.tools SET updated_at = '2020-01-01'; UPDATE ${quoted}.tools SET path = 'q'`)
        const { rows } = await test.admin.query(
          `SELECT updated_at > now() AT TIME ZONE 'UTC' - interval '1 minute' AS set FROM ${quoted}.tools`,
        )
        assert.deepEqual(rows, [{ set: true }])
      })
    }

    it('may not be $user, which a path takes for the role’s name: nothing is made', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query('CREATE SCHEMA "$user"')
      await assert.rejects(apply(test, '$user', every), { name: 'DatabaseError', message: /\$user.*Nothing was changed.*DATABASE_SCHEMA/ })
      assert.deepEqual(await indexesOf(test, 'public'), [])
    })

    it('may be any one by hand, twice', { skip: !hasPsql && 'psql is not on this machine' }, async () => {
      await using test = await freshPostgres(major)
      await test.admin.query(`CREATE SCHEMA "${NAMES[0]!}"`)
      for (const stem of stems.flatMap((each) => [each, each])) {
        const env = { ...process.env, PGOPTIONS: `-c search_path="${NAMES[0]!.replaceAll(' ', '\\ ')}"` }
        const run = spawnSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', `${FOLDER}${stem}.sql`, test.url], {
          encoding: 'utf8',
          env,
        })
        assert.equal(run.status, 0, run.stderr)
      }
      await apply(test, 'public', every)
      assert.deepEqual(
        await indexesOf(test, NAMES[0]!),
        await indexesOf(test, 'public').then((names) => names.filter((name) => name !== 'maintenance_migrations_pkey')),
      )
    })
  })

  describe(`redundant indexes that something else needs on PostgreSQL ${major}`, () => {
    it('go with the index of a partitioned table that they are part of', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query(PARTITIONED)
      await apply(test, 'public', before004)
      await test.admin.query('CREATE INDEX ix_audit_logs_user ON audit_logs ("user")')
      await apply(test, 'public', every)
      assert.deepEqual(
        (await indexesOf(test, 'public')).filter((name) => /ix_audit_logs_user|audit_logs_2026_user_idx$/.test(name)),
        [],
      )
    })

    it('stay where the table is itself a partition of another: only with that one’s index could they go', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query(PLAIN)
      await apply(test, 'public', before004)
      await test.admin.query(`
        CREATE TABLE every_log (LIKE audit_logs) PARTITION BY RANGE (timestamp);
        CREATE INDEX every_log_user ON every_log ("user");
        CREATE INDEX ix_audit_logs_user ON audit_logs ("user");
        CREATE INDEX ix_audit_logs_tool_name ON audit_logs (tool_name);
        ALTER TABLE every_log ATTACH PARTITION audit_logs DEFAULT`)
      // The server picks one of those that fit.
      await test.admin.query('ALTER INDEX every_log_user ATTACH PARTITION ix_audit_logs_user').catch(() => undefined)
      const attached = await attachedTo(test, 'every_log_user')
      await apply(test, 'public', every)
      const left = await indexesOf(test, 'public')
      assert.equal(attached, 'ix_audit_logs_user')
      assert.ok(left.includes('ix_audit_logs_user'))
      assert.ok(!left.includes('ix_audit_logs_tool_name'), 'nothing needs this one')
    })
  })
}

async function attachedTo({ admin }: FreshPostgres, parent: string): Promise<string | undefined> {
  const { rows } = await admin.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid WHERE inhparent = $1::regclass`,
    [parent],
  )
  return rows[0]?.name
}

const PLAIN = `
  CREATE TABLE audit_logs (
    id BIGINT NOT NULL, tool_name TEXT NOT NULL, "user" TEXT NOT NULL, action TEXT NOT NULL, status TEXT NOT NULL, parameters TEXT,
    output TEXT, error TEXT, execution_time INTEGER, "timestamp" TIMESTAMP NOT NULL
  )`
const PARTITIONED = `${PLAIN} PARTITION BY RANGE ("timestamp"); CREATE TABLE audit_logs_2026 PARTITION OF audit_logs DEFAULT`
