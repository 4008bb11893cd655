import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import { JOBS } from '../../src/catalogue.ts'
import { command, events } from '../support/command.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'
import { freshFolder } from '../archive/support.ts'
import { CHECKOUT } from './checkout.ts'

const PURGE = 'deploy/postgres/purge-role.sql'
const MIGRATE = 'deploy/postgres/migrate-role.sql'
const skip = spawnSync('psql', ['--version']).error !== undefined && 'psql is not on this machine'

/** Roles belong to the server, not to the database, so each test has its own. */
interface Roles extends AsyncDisposable {
  readonly database: FreshPostgres
  readonly gateway: string
  readonly migrate: string
  readonly purge: string
  /** As the program accepts it. */
  url(role: string, query?: string): string
  as(role: string, work: (client: Client) => Promise<void>): Promise<void>
  script(file: string, variables: Readonly<Record<string, string>>): void
}

async function rolesOn(major: (typeof POSTGRES_MAJORS)[number]): Promise<Roles> {
  const database = await freshPostgres(major)
  const mark = randomBytes(4).toString('hex')
  const [gateway, migrate, purge] = [`Gateway ${mark}`, `migrate_${mark}`, `purge-${mark}`] as const
  await database.admin.query(`CREATE ROLE "${gateway}" LOGIN`)
  const url = (role: string, query = ''): string => {
    const made = new URL(database.url)
    made.username = encodeURIComponent(role)
    return `${made.href}${query}`
  }
  return {
    database,
    gateway,
    migrate,
    purge,
    url,
    async as(role, work) {
      const client = new Client({ connectionString: url(role) })
      await client.connect()
      try {
        await work(client)
      } finally {
        await client.end()
      }
    },
    script(file, variables) {
      const given = Object.entries(variables).flatMap(([name, value]) => ['-v', `${name}=${value}`])
      const ran = spawnSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', ...given, '-f', `${CHECKOUT}${file}`, database.url], {
        encoding: 'utf8',
      })
      assert.equal(ran.status, 0, ran.stderr)
    },
    async [Symbol.asyncDispose]() {
      for (const role of [gateway, migrate, purge]) {
        const { rows } = await database.admin.query('SELECT FROM pg_roles WHERE rolname = $1', [role])
        if (rows.length > 0) await database.admin.query(`DROP OWNED BY "${role}" CASCADE; DROP ROLE "${role}"`)
      }
      await database.drop()
    },
  }
}

/** Makes the schema with the program, as the migrating role. */
async function migrateAs(roles: Roles): Promise<void> {
  for (const _ of ['once', 'again']) roles.script(MIGRATE, { role: roles.migrate, gateway: roles.gateway })
  const options = encodeURIComponent(`-c role=${roles.gateway.replace(' ', '\\ ')}`)
  const done = await command(['migrate'], { env: { DATABASE_URL: roles.url(roles.migrate, `?options=${options}`) } })
  assert.equal(done.code, 0, done.stdout)
}

const AUDIT = `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
  SELECT 't', 'u', 'invoke', 'success', now() AT TIME ZONE 'UTC' - days * interval '1 day' FROM generate_series(80, 99) AS days`

/** An operator that matches an inexact call better than the server's own, and returns times of tomorrow. */
const LATER_TIMES = `CREATE SEQUENCE calls; GRANT ALL ON SEQUENCE calls TO PUBLIC;
  CREATE FUNCTION later(json, text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN nextval('calls') > 0 THEN to_char(now() + interval '1 day', 'YYYY-MM-DD"T"HH24:MI:SS') END $$;
  CREATE OPERATOR public.#>> (leftarg = json, rightarg = text, function = later)`

const BETTER_FITS = [
  'text',
  'text, text',
  'text, text, text',
  'text, text, name',
  'text, text, text, text',
  'text, text, text, text, text',
  'text, text, text, text, name',
]
  .flatMap((args) =>
    ['format', 'to_regclass', 'current_database'].map(
      (name) =>
        `CREATE FUNCTION public.${name}(${args}) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'public.${name}(${args}) was called'; END$$`,
    ),
  )
  .join(';')

for (const major of POSTGRES_MAJORS) {
  describe(`least privilege on PostgreSQL ${major}`, { skip }, () => {
    it('the migrating role creates as the gateway, which then writes to what was made', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles)
      const { rows } = await roles.database.admin.query<{ owner: string }>(
        `SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
      )
      assert.deepEqual(rows, [{ owner: `"${roles.gateway}"` }])
      await roles.as(roles.gateway, async (client) => {
        await client.query(`INSERT INTO tools (name, description, path, permissions) VALUES ('t', 'd', 'p', '[]')`)
        await client.query(AUDIT)
        await client.query(`INSERT INTO mcp_servers (name, url) VALUES ('s', 'u')`)
        await client.query(
          `INSERT INTO policy_decisions (user_identifier, resource, action, decision, expires_at) VALUES ('u', 'r', 'a', 'allow', now())`,
        )
        await client.query(`INSERT INTO api_keys (key_hash, name, user_identifier, created_by) VALUES ('h', 'n', 'u', 'me')`)
        await client.query(`INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ('t', 'u', now())`)
        await client.query(
          `INSERT INTO rate_limits (subject, resource, window_start, window_seconds, expires_at) VALUES ('u', 'r', now(), 60, now())`,
        )
        await client.query(`UPDATE tools SET description = 'e'`)
      })
      // Without its options the migrating role can do nothing.
      await roles.as(roles.migrate, (client) => assert.rejects(client.query('SELECT FROM tools'), { code: '42501' }))
    })

    it('the purging role purges, records the run, and can start once every migration is applied', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles)
      await roles.as(roles.gateway, async (client) => void (await client.query(AUDIT)))
      for (const _ of ['once', 'again']) roles.script(PURGE, { role: roles.purge })
      const env = { DATABASE_URL: roles.url(roles.purge) }
      for (const enabled of ['true', 'false']) {
        const done = await command(['--run-now'], { env: { ...env, MIGRATIONS_ENABLED: enabled } })
        assert.equal(done.code, 0, done.stdout)
        assert.deepEqual(
          events(done, 'job.finished').map((line) => [line['job'], line['outcome']]),
          JOBS.map((job) => [job.name, 'succeeded']),
        )
      }
      const { rows } = await roles.database.admin.query(
        'SELECT count(*)::int AS n, sum(rows_deleted)::int AS deleted FROM maintenance_history',
      )
      assert.deepEqual(rows, [{ n: 2 * JOBS.length, deleted: 10 }])
    })

    it('the purging role learns which statement corrects a sequence that a restore left behind', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles)
      await roles.as(roles.gateway, async (client) => void (await client.query(AUDIT)))
      roles.script(PURGE, { role: roles.purge })
      const env = { DATABASE_URL: roles.url(roles.purge) }
      assert.equal((await command(['--run-now'], { env })).code, 0)
      await roles.database.admin.query('ALTER TABLE maintenance_runs ALTER id RESTART WITH 1')
      const refused = await command(['--run-now'], { env })
      assert.equal(refused.code, 3, refused.stdout)
      const messages = events(refused, 'job.finished').map(({ err }) => (err as { message: string }).message)
      assert.equal(messages.length, JOBS.length)
      const statement =
        /may not set the sequence\. Nothing was deleted\. Run as the owner of the table: (SELECT setval\('public\.maintenance_runs_id_seq', 4\))$/
      for (const message of messages) assert.match(message, statement)
      await roles.as(roles.gateway, async (client) => void (await client.query(statement.exec(messages[0]!)![1]!)))
      assert.equal((await command(['--run-now'], { env })).code, 0)
    })

    it('the purging role deletes only expired rows and calls nothing in public, even if everybody may create objects there', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles)
      await roles.as(roles.gateway, async (client) => void (await client.query(AUDIT)))
      roles.script(PURGE, { role: roles.purge })
      await roles.database.admin.query(LATER_TIMES)
      const done = await command(['--run-now', '--job', 'purge-audit-logs'], { env: { DATABASE_URL: roles.url(roles.purge) } })
      assert.equal(done.code, 0, done.stdout)
      const { rows } = await roles.database.admin.query(
        `SELECT count(*)::int AS n, min(timestamp) > now() AT TIME ZONE 'UTC' - interval '90 days' AS young, (SELECT is_called FROM calls) AS called FROM audit_logs`,
      )
      assert.deepEqual(rows, [{ n: 10, young: true, called: false }])
    })

    it('the scripts, which run with high privileges, call nothing that somebody put into public', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles)
      await roles.database.admin.query(BETTER_FITS)
      roles.script(MIGRATE, { role: roles.migrate, gateway: roles.gateway })
      roles.script(PURGE, { role: roles.purge })
    })

    it('the purging role archives, verifies and lists what it archived, and reads the status', async () => {
      await using roles = await rolesOn(major)
      await using folder = await freshFolder()
      await migrateAs(roles)
      await roles.as(roles.gateway, async (client) => void (await client.query(AUDIT)))
      roles.script(PURGE, { role: roles.purge })
      const env = {
        DATABASE_URL: roles.url(roles.purge),
        ARCHIVE_ENABLED: 'true',
        ARCHIVE_DIRECTORY: folder.path,
        ARCHIVE_RETENTION: '95d',
      }
      const done = await command(['--run-now'], { env })
      assert.equal(done.code, 0, done.stdout)
      const [logs] = events(done, 'job.finished')
      assert.deepEqual([logs!['deleted'], logs!['archivedRows']], [10, 10])
      // The same run removed the files of expired days, and no record is kept of old removals.
      const again = await command(['--run-now', '--job', 'purge-audit-logs'], { env })
      assert.equal(again.code, 0, again.stdout)
      for (const words of [['verify'], ['list']]) {
        const answer = await command(['archive', ...words], { env })
        assert.deepEqual([answer.code, answer.stderr], [0, ''], answer.stdout)
      }
      const restored = await command(['archive', 'restore'], { env })
      assert.equal(restored.code, 3, restored.stdout)
      assert.match(
        restored.stdout + restored.stderr,
        /permission denied for schema public \[42501\]\. A restore creates a table .*: run it as the gateway's role, or as the one that migrates/,
      )
      assert.doesNotMatch(restored.stdout + restored.stderr, /purge-role/)
      const status = await command(['status', '--json'], { env })
      const { archive } = JSON.parse(status.stdout) as { archive: { rows: number; verification: { sound: boolean }; problems: string[] } }
      assert.ok(archive.rows > 0 && archive.rows < 10)
      assert.deepEqual([archive.verification.sound, archive.problems], [true, []])
    })

    it('the purging role may delete and nothing more', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles)
      roles.script(PURGE, { role: roles.purge })
      const granted = await roles.database.admin.query<{ name: string; rights: string }>(
        `SELECT table_name AS name, string_agg(privilege_type, ' ' ORDER BY privilege_type) AS rights
         FROM information_schema.role_table_grants WHERE grantee = $1 GROUP BY table_name`,
        [roles.purge],
      )
      assert.deepEqual(
        Object.fromEntries(granted.rows.map(({ name, rights }) => [name, rights])),
        Object.fromEntries([
          ...JOBS.map((job) => [job.table, 'DELETE SELECT']),
          ['maintenance_migrations', 'SELECT'],
          ['maintenance_history', 'SELECT'],
          ['maintenance_runs', 'DELETE INSERT SELECT UPDATE'],
          ['maintenance_leases', 'DELETE INSERT SELECT UPDATE'],
          ['maintenance_archives', 'INSERT SELECT UPDATE'],
          ['maintenance_archived', 'DELETE INSERT SELECT UPDATE'],
          ['maintenance_archive_history', 'SELECT'],
          ['maintenance_archive_retention', 'INSERT SELECT UPDATE'],
          ['maintenance_archive_removed', 'DELETE INSERT SELECT UPDATE'],
        ]),
      )
      await roles.as(roles.purge, async (client) => {
        for (const sql of FORBIDDEN) await assert.rejects(client.query(sql), { code: '42501' }, sql)
      })
    })
  })
}

const FORBIDDEN: readonly string[] = [
  `SELECT FROM api_keys`,
  `SELECT FROM tools`,
  `DELETE FROM mcp_servers`,
  `INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('t', 'u', 'a', 's')`,
  `UPDATE audit_logs SET status = 'success'`,
  `TRUNCATE audit_logs`,
  `DROP INDEX idx_audit_logs_action`,
  `DELETE FROM maintenance_migrations`,
  `DELETE FROM maintenance_archives`,
  `CREATE TABLE mine (id INT)`,
  `CREATE SCHEMA mine`,
  `CREATE ROLE other`,
  `SELECT pg_read_file('postgresql.conf')`,
]

it('both files say how to run them, under their own names', async () => {
  for (const file of [PURGE, MIGRATE]) assert.match(await readFile(`${CHECKOUT}${file}`, 'utf8'), new RegExp(`-f ${file} `))
})
