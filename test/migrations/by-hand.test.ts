import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { copyOf, freshPostgres, freshSqliteFile, loadDump, POSTGRES_MAJORS, withoutGatewayDatabase } from '../support/databases.ts'
import { initialSchema, listening, opened, optionsFor, PACKAGE_ROOT } from './support.ts'

const initial = await initialSchema()
const every = await readMigrationFiles(PACKAGE_ROOT)
const stems = [...new Set(every.map(({ stem }) => stem))]
const FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url))
const INITIAL = '001_initial_schema'

function without(command: string): string | false {
  return spawnSync(command, ['--version']).error !== undefined && `${command} is not on this machine`
}

function psql(url: string, stem = INITIAL): void {
  const run = spawnSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', `${FOLDER}${stem}.sql`, url], { encoding: 'utf8' })
  assert.equal(run.status, 0, run.stderr)
}

function sqlite3(file: string, stem = INITIAL): void {
  const run = spawnSync('sh', ['-c', 'sqlite3 -bail "$1" < "$2"', 'sh', file, `${FOLDER}${stem}_sqlite.sql`], { encoding: 'utf8' })
  assert.equal(run.status, 0, run.stderr)
  assert.equal(run.stderr, '')
}

/** The worker runs the file once more, which changes nothing, and records it. */
async function assertAdopted(url: string, files = initial): Promise<void> {
  await using database = await opened(url)
  const before = await database.relations()
  const told = listening()
  await migrate(optionsFor(database, files, { listener: told.listener }))
  const versions = [...new Set(files.map(({ version }) => version))]
  assert.deepEqual(told.events, [...versions.map((version) => `applied ${version}`), `current ${versions.length}/${versions.at(-1)}`])
  const after = new Map(await database.relations())
  assert.ok(after.delete('maintenance_migrations'))
  assert.deepEqual(after, before)
}

describe('run by hand, twice,', () => {
  for (const major of POSTGRES_MAJORS) {
    it(`001 passes on an empty PostgreSQL ${major}`, { skip: without('psql') }, async () => {
      await using database = await freshPostgres(major)
      psql(database.url)
      psql(database.url)
      await assertAdopted(database.url)
    })

    const dump = 'gateway-half-applied.pg.sql'
    it(
      `001 completes the half-applied gateway on PostgreSQL ${major}`,
      { skip: without('psql') || withoutGatewayDatabase(dump) },
      async () => {
        await using database = await freshPostgres(major)
        await loadDump(database.url, dump)
        psql(database.url)
        psql(database.url)
      },
    )

    it(`001 corrects the views of a script that left user unquoted on PostgreSQL ${major}`, { skip: without('psql') }, async () => {
      await using database = await freshPostgres(major)
      await database.admin.query(UNQUOTED)
      psql(database.url)
      psql(database.url)
      await assertAdopted(database.url)
      const { rows } = await database.admin.query('SELECT "user" FROM policy_violations ORDER BY "user"')
      assert.deepEqual(rows, [{ user: 'ann' }, { user: 'bob' }])
    })
  }

  for (const major of POSTGRES_MAJORS) {
    it(`every file passes on PostgreSQL ${major}, and is taken up`, { skip: without('psql') }, async () => {
      await using database = await freshPostgres(major)
      for (const stem of stems.flatMap((each) => [each, each])) psql(database.url, stem)
      await assertAdopted(database.url, every)
    })
  }

  it('every file passes on a new SQLite file, and is taken up', { skip: without('sqlite3') }, async () => {
    await using fresh = await freshSqliteFile()
    for (const stem of stems.flatMap((each) => [each, each])) sqlite3(fresh.file, stem)
    await assertAdopted(`sqlite:///${fresh.file}`, every)
  })

  it('001 passes on a new SQLite file', { skip: without('sqlite3') }, async () => {
    await using fresh = await freshSqliteFile()
    sqlite3(fresh.file)
    sqlite3(fresh.file)
    await assertAdopted(`sqlite:///${fresh.file}`)
  })

  for (const name of ['gateway-orm.sqlite', 'gateway-mixed-timestamps.sqlite']) {
    it(`001 completes ${name}`, { skip: without('sqlite3') || withoutGatewayDatabase(name) }, async () => {
      await using copy = await copyOf(name)
      sqlite3(copy?.file ?? '')
      sqlite3(copy?.file ?? '')
      await assertAdopted(`sqlite:///${copy?.file}`)
    })
  }
})

/** The gateway's ORM made the table, quoted; then its published script made the views, unquoted, which is the connected role of type name. */
const UNQUOTED = `
  CREATE TABLE audit_logs (
    id SERIAL PRIMARY KEY, tool_name VARCHAR NOT NULL, "user" VARCHAR NOT NULL, action VARCHAR NOT NULL, status VARCHAR NOT NULL,
    parameters TEXT, output TEXT, error TEXT, execution_time INTEGER, timestamp TIMESTAMP
  );
  INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('t', 'ann', 'invoke', 'policy_violation'), ('t', 'bob', 'invoke', 'policy_violation');
  CREATE VIEW recent_audit_activity AS
    SELECT id, tool_name, user, action, status, execution_time, timestamp FROM audit_logs WHERE timestamp > CURRENT_TIMESTAMP - INTERVAL '24 hours';
  CREATE VIEW policy_violations AS
    SELECT id, tool_name, user, action, error AS reason, timestamp FROM audit_logs WHERE status = 'policy_violation';
  CREATE VIEW tool_usage_stats AS
    SELECT tool_name, COUNT(*) AS invocation_count, COUNT(DISTINCT user) AS unique_users, AVG(execution_time) AS avg_execution_time_ms,
      MAX(timestamp) AS last_used_at
    FROM audit_logs GROUP BY tool_name;
`
