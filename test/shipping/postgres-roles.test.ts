import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import { JOBS } from '../../src/catalogue.ts'
import { command, events, type Ended } from '../support/command.ts'
import { functionStatements } from '../../src/database/postgres/partitioning/functions.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'
import type { TestDatabase } from '../support/engines.ts'
import { partitioned } from '../support/partitioned.ts'
import { freshFolder } from '../archive/support.ts'
import { CHECKOUT } from './checkout.ts'

const PURGE = 'deploy/postgres/purge-role.sql'
const MIGRATE = 'deploy/postgres/migrate-role.sql'
const HOLD = 'deploy/postgres/hold-role.sql'
const skip = spawnSync('psql', ['--version']).error !== undefined && 'psql is not on this machine'

/** Roles belong to the server, not to the database, so each test has its own. */
interface Roles extends AsyncDisposable {
  readonly database: FreshPostgres
  readonly gateway: string
  readonly migrate: string
  readonly purge: string
  readonly hold: string
  /** As the program accepts it. */
  url(role: string, query?: string): string
  as(role: string, work: (client: Client) => Promise<void>): Promise<void>
  script(file: string, variables: Readonly<Record<string, string>>): void
}

async function rolesOn(major: (typeof POSTGRES_MAJORS)[number]): Promise<Roles> {
  const database = await freshPostgres(major)
  const mark = randomBytes(4).toString('hex')
  const [gateway, migrate, purge, hold] = [`Gateway ${mark}`, `migrate_${mark}`, `purge-${mark}`, `Hold "${mark}`] as const
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
    hold,
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
      for (const role of [gateway, migrate, purge, hold]) {
        const { rows } = await database.admin.query('SELECT FROM pg_roles WHERE rolname = $1', [role])
        if (rows.length > 0) await database.admin.query(`DROP OWNED BY ${quoted(role)} CASCADE; DROP ROLE ${quoted(role)}`)
      }
      await database.drop()
    },
  }
}

function quoted(role: string): string {
  return `"${role.replaceAll('"', '""')}"`
}

/** Makes the schema with the program, as the migrating role; up to migration `to`. */
async function migrateAs(roles: Roles, to?: number): Promise<Ended> {
  for (const _ of ['once', 'again']) roles.script(MIGRATE, { role: roles.migrate, gateway: roles.gateway })
  const options = encodeURIComponent(`-c role=${roles.gateway.replace(' ', '\\ ')}`)
  const done = await command(['migrate', ...(to === undefined ? [] : ['--to', String(to)])], {
    env: { DATABASE_URL: roles.url(roles.migrate, `?options=${options}`) },
  })
  assert.equal(done.code, 0, done.stdout)
  return done
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

    it('the purging role makes partitions ahead by the functions, without which it says what to run, and drops no other table', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles)
      const { admin } = roles.database
      const outside: TestDatabase = {
        url: roles.database.url,
        sql: async <Row>(sql: string, values: readonly (string | number | null)[] = []) =>
          (await admin.query(sql, [...values])).rows as Row[],
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }
      await admin.query(`SET ROLE ${quoted(roles.gateway)}`)
      await partitioned(outside, { days: [2, 4] })
      const { ensure } = functionStatements({ schema: 'public', table: 'audit_logs', column: 'timestamp', owner: roles.gateway, roles: [] })
      const env = { DATABASE_URL: roles.url(roles.purge), MIGRATIONS_ENABLED: 'false' }
      await admin.query('RESET ROLE')
      roles.script(PURGE, { role: roles.purge })
      const without = await command(['--run-now'], { env })
      assert.equal(without.code, 0, without.stdout)
      assert.match(
        String(events(without, 'partitions.not-made')[0]?.['msg']),
        /are neither made nor dropped by the role purge-.* the owner, run: mcp-gateway-maintenance partition start$/,
      )
      await admin.query(`SET ROLE ${quoted(roles.gateway)}`)
      for (const statement of ensure) await admin.query(statement)
      await admin.query('RESET ROLE')
      for (const _ of ['once', 'again']) roles.script(PURGE, { role: roles.purge })
      const done = await command(['--run-now'], { env })
      assert.equal(done.code, 0, done.stdout)
      assert.deepEqual(
        events(done, 'partitions.made').map(({ partitions }) => (partitions as unknown[]).length),
        [11],
      )
      const { rows } = await admin.query(
        `SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relname LIKE 'audit_logs_p2%'`,
      )
      assert.deepEqual(rows, [{ owner: `"${roles.gateway}"` }])
      await roles.as(roles.purge, async (client) => {
        await client.query('SELECT count(*) FROM audit_logs_default')
        for (const sql of [
          `DROP TABLE audit_logs_default`,
          `CREATE TABLE mine ()`,
          `ALTER TABLE audit_logs DETACH PARTITION audit_logs_legacy`,
        ])
          await assert.rejects(client.query(sql), { code: '42501' }, sql)
        for (const name of ['tools', 'audit_logs', 'audit_logs_legacy', 'audit_logs_default'])
          await assert.rejects(
            client.query(`SELECT maintenance_remove_partition('drop', $1)`, [name]),
            /was not taken out of audit_logs/,
            name,
          )
      })
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
      // Soon after they have expired: files of rows that come late stay for 30 days.
      const before = await command(['--run-now', '--job', 'purge-audit-logs'], {
        env: { ...env, AUDIT_LOGS_RETENTION: '97d', ARCHIVE_RETENTION: 'forever' },
      })
      assert.equal(before.code, 0, before.stdout)
      const done = await command(['--run-now', '--accept-shorter-retention', '--accept-shorter-archive-retention'], { env })
      assert.equal(done.code, 0, done.stdout)
      const [first, logs] = [before, done].map((each) => events(each, 'job.finished')[0]!)
      assert.deepEqual([Number(first!['deleted']) + Number(logs!['deleted']), logs!['archivedRows']], [10, logs!['deleted']])
      assert.ok(Number(logs!['archiveRemovedFiles']) > 0)
      // The same run removed the files of expired days, and no record is kept of old removals.
      const again = await command(['--run-now', '--job', 'purge-audit-logs'], { env })
      assert.equal(again.code, 0, again.stdout)
      for (const [words, said] of [
        ['verify', /^Reading \d files, .*\.\n$/],
        ['list', /^$/],
      ] as const) {
        const answer = await command(['archive', words], { env })
        assert.equal(answer.code, 0, answer.stdout)
        assert.match(answer.stderr, said)
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

    it('a purging role that was made before the migrations of holds purges after them, and migrate says first what it gives to whom', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles, 6)
      roles.script(PURGE, { role: roles.purge })
      const options = encodeURIComponent(`-c role=${roles.gateway.replace(' ', '\\ ')}`)
      const env = { DATABASE_URL: roles.url(roles.migrate, `?options=${options}`) }
      const dry = await command(['migrate', '--dry-run'], { env })
      const done = await migrateAs(roles)
      for (const file of ['007_add_holds', '008_add_policies', '009_add_partitions', '010_add_receipts', '011_add_discarded_files', '012_add_archive_places']) {
        const [told, ...more] = events(done, 'migrations.grants').filter(({ path }) => path === `migrations/${file}.sql`)
        assert.deepEqual([told!['roles'], more], [[roles.purge], []])
        assert.ok(
          events(dry, 'note').some(({ msg }) => msg === told!['msg']),
          dry.stdout,
        )
        const at = (event: string): number =>
          done.lines.findIndex(
            (line) => line['event'] === event && [`migrations/${file}.sql`, file.slice(4)].includes(String(line['path'] ?? line['name'])),
          )
        assert.ok(at('migrations.grants') < at('migration.applied'))
        // What it says is what it gave.
        for (const right of told!['rights'] as string[]) {
          const [, rights, tables] = /^(.*) ON (.*)$/.exec(right)!
          for (const table of tables!.split(', ')) {
            const { rows } = await roles.database.admin.query<{ given: string }>(GIVEN, [table, roles.purge])
            assert.deepEqual(rows[0]!.given, rights!.split(', ').toSorted().join(', '), table)
          }
        }
      }
      assert.match(
        String(events(done, 'migrations.grants')[0]!['msg']),
        /^migrations\/007_add_holds\.sql gives role purge-\w+, which runs jobs, SELECT ON maintenance_holds; SELECT, INSERT, UPDATE, DELETE ON maintenance_run_holds, maintenance_held_files$/,
      )
      await roles.as(roles.gateway, async (client) => void (await client.query(AUDIT)))
      const run = await command(['--run-now'], { env: { DATABASE_URL: roles.url(roles.purge), MIGRATIONS_ENABLED: 'false' } })
      assert.equal(run.code, 0, run.stdout)
      assert.equal(events(run, 'job.finished')[0]!['deleted'], 10)
    })

    it('every role that may run jobs can go on after the migrations of holds: PUBLIC, by a grant option, and the owner of the older tables', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles, 6)
      const { admin } = roles.database
      await admin.query('GRANT UPDATE ON maintenance_leases TO PUBLIC')
      await admin.query(`GRANT UPDATE ON maintenance_leases TO ${quoted(roles.migrate)} WITH GRANT OPTION`)
      // By a superuser and by hand, so that the new tables have another owner than the old ones; twice.
      for (const file of ['007_add_holds', '008_add_policies', '009_add_partitions', '010_add_receipts', '011_add_discarded_files', '012_add_archive_places'])
        for (const _ of ['once', 'again']) roles.script(`migrations/${file}.sql`, {})
      for (const role of ['public', roles.migrate, roles.gateway])
        for (const [table, rights] of NEW_RIGHTS) {
          const { rows } = await admin.query<{ given: string }>(GIVEN, [table, role === 'public' ? 'PUBLIC' : role])
          assert.equal(rows[0]!.given, rights, `${role} on ${table}`)
        }
      // Nobody may place or release.
      await roles.as(roles.gateway, async (client) => {
        await assert.rejects(client.query(FORBIDDEN.find((sql) => sql.startsWith('INSERT INTO maintenance_holds'))!), { code: '42501' })
      })
    })

    it('without the right to read the holds nothing is deleted, and the message has the statement that gives it', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles)
      await roles.as(roles.gateway, async (client) => void (await client.query(AUDIT)))
      roles.script(PURGE, { role: roles.purge })
      const { admin } = roles.database
      await admin.query(`REVOKE ALL ON maintenance_holds FROM ${quoted(roles.purge)}`)
      const env = { DATABASE_URL: roles.url(roles.purge), MIGRATIONS_ENABLED: 'false' }
      const refused = await command(['--run-now', '--job', 'purge-audit-logs'], { env })
      assert.equal(refused.code, 3, refused.stdout)
      const { message } = events(refused, 'job.finished')[0]!['err'] as { message: string }
      const [, statement] = /Nothing was deleted\. Run as the owner of the tables: (.*)$/.exec(message)!
      assert.equal(statement, `GRANT SELECT ON "public"."maintenance_holds" TO ${quoted(roles.purge)}`)
      assert.equal((await admin.query('SELECT FROM audit_logs')).rowCount, 20)
      await roles.as(roles.gateway, async (client) => void (await client.query(statement)))
      assert.equal((await command(['--run-now', '--job', 'purge-audit-logs'], { env })).code, 0)
      assert.equal((await admin.query('SELECT FROM audit_logs')).rowCount, 10)
    })

    it('the holding role places, shows and releases holds and can do nothing else; who it was is on record', async () => {
      await using roles = await rolesOn(major)
      await migrateAs(roles)
      await roles.as(roles.gateway, async (client) => void (await client.query(AUDIT)))
      for (const _ of ['once', 'again']) roles.script(HOLD, { role: roles.hold })
      const env = { DATABASE_URL: roles.url(roles.hold) }
      const said = ['--reason', 'a letter', '--by', 'Jane Doe']
      const placed = await command(['hold', 'place', 'case-17', '--user', 'U', ...said], { env })
      assert.equal(placed.code, 0, placed.stderr)
      const shown = await command(['hold', 'show', 'case-17', '--json'], { env })
      const [hold] = (JSON.parse(shown.stdout) as { holds: { placedBy: string; rows: object }[] }).holds
      assert.match(hold!.placedBy, /^Jane Doe \(.+@.+, role Hold "\w+\)$/)
      assert.deepEqual(hold!.rows, { matching: 20, expired: 10, keptByItAlone: 10, more: false })
      assert.equal((await command(['hold', 'list'], { env })).code, 0)
      const purge = { DATABASE_URL: roles.url(roles.purge), MIGRATIONS_ENABLED: 'false' }
      roles.script(PURGE, { role: roles.purge })
      assert.equal(events(await command(['--run-now', '--job', 'purge-audit-logs'], { env: purge }), 'job.finished')[0]!['deleted'], 0)
      for (const verb of ['place', 'release']) {
        const refused = await command(
          ['hold', verb, verb === 'place' ? 'mine' : 'case-17', ...(verb === 'place' ? ['--user', 'u'] : []), ...said],
          { env: purge },
        )
        assert.equal(refused.code, 3, refused.stderr)
        const right = verb === 'place' ? 'INSERT' : 'UPDATE \\(released_at, released_by, release_reason\\)'
        assert.match(
          refused.stderr,
          new RegExp(
            `Nothing was changed\\. Run as the owner of the tables: GRANT ${right} ON .*public.*maintenance_holds.* TO .*${roles.purge}`,
          ),
        )
      }
      const released = await command(['hold', 'release', 'case-17', ...said], { env })
      assert.equal(released.code, 0, released.stderr)
      assert.equal(events(await command(['--run-now', '--job', 'purge-audit-logs'], { env: purge }), 'job.finished')[0]!['deleted'], 10)
      await roles.as(roles.hold, async (client) => {
        for (const sql of FORBIDDEN_TO_HOLD) await assert.rejects(client.query(sql), { code: '42501' }, sql)
      })
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
          ['maintenance_holds', 'SELECT'],
          ['maintenance_run_holds', 'DELETE INSERT SELECT UPDATE'],
          ['maintenance_held_files', 'DELETE INSERT SELECT UPDATE'],
          ['maintenance_policies', 'INSERT SELECT UPDATE'],
          ['maintenance_run_policies', 'DELETE INSERT SELECT UPDATE'],
          ['maintenance_partitioned', 'SELECT'],
          ['maintenance_detached', 'DELETE INSERT SELECT'],
          ['maintenance_receipts', 'INSERT SELECT'],
          ['maintenance_archive_places', 'INSERT SELECT UPDATE'],
          ['maintenance_discarded', 'DELETE INSERT SELECT UPDATE'],
        ]),
      )
      await roles.as(roles.purge, async (client) => {
        for (const sql of FORBIDDEN) await assert.rejects(client.query(sql), { code: '42501' }, sql)
      })
    })
  })
}

/** What a table's own list says that a role has. */
const GIVEN = `SELECT coalesce(string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type), '') AS given
  FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
  WHERE c.oid = $1::text::regclass AND coalesce(r.rolname, 'PUBLIC') = $2`

const NEW_RIGHTS: readonly (readonly [table: string, rights: string])[] = [
  ['maintenance_holds', 'SELECT'],
  ['maintenance_run_holds', 'DELETE, INSERT, SELECT, UPDATE'],
  ['maintenance_held_files', 'DELETE, INSERT, SELECT, UPDATE'],
  ['maintenance_policies', 'INSERT, SELECT, UPDATE'],
  ['maintenance_run_policies', 'DELETE, INSERT, SELECT, UPDATE'],
  ['maintenance_partitioned', 'SELECT'],
  ['maintenance_detached', 'DELETE, INSERT, SELECT'],
  ['maintenance_receipts', 'INSERT, SELECT'],
  ['maintenance_archive_places', 'INSERT, SELECT, UPDATE'],
  ['maintenance_discarded', 'DELETE, INSERT, SELECT, UPDATE'],
]

const FORBIDDEN_TO_HOLD: readonly string[] = [
  `DELETE FROM audit_logs`,
  `UPDATE audit_logs SET status = 'success'`,
  `SELECT FROM api_keys`,
  `DELETE FROM maintenance_holds`,
  `TRUNCATE maintenance_holds`,
  `UPDATE maintenance_holds SET matches = '{}'`,
  `UPDATE maintenance_holds SET review_at = NULL`,
  `ALTER TABLE maintenance_holds DISABLE TRIGGER ALL`,
  `UPDATE maintenance_leases SET holder = 'mine (knows holds)'`,
  `UPDATE maintenance_leases SET expires_at = 9999999999999`,
  `DELETE FROM maintenance_leases`,
  `UPDATE maintenance_archives SET step = NULL`,
  `DELETE FROM maintenance_held_files`,
  `DELETE FROM maintenance_run_holds`,
  `DELETE FROM maintenance_runs`,
  `CREATE TABLE mine (id INT)`,
  `CREATE ROLE other`,
]

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
  `INSERT INTO maintenance_holds (name, job, matches, reason, placed_at, placed_by) VALUES ('n', 'purge-audit-logs', '{}', 'r', 1, 'm')`,
  `UPDATE maintenance_holds SET released_at = 1, released_by = 'm', release_reason = 'r'`,
  `DELETE FROM maintenance_holds`,
  `TRUNCATE maintenance_holds`,
  `ALTER TABLE maintenance_holds DISABLE TRIGGER ALL`,
  `DROP TRIGGER maintenance_holds_stay ON maintenance_holds`,
  `DELETE FROM maintenance_policies`,
  `CREATE TABLE mine (id INT)`,
  `CREATE SCHEMA mine`,
  `CREATE ROLE other`,
  `SELECT pg_read_file('postgresql.conf')`,
]

it('each file says how to run them, under their own names', async () => {
  for (const file of [PURGE, MIGRATE, HOLD]) assert.match(await readFile(`${CHECKOUT}${file}`, 'utf8'), new RegExp(`-f ${file} `))
})
