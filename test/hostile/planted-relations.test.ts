import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import { freshFolder } from '../archive/support.ts'
import { PACKAGE_ROOT } from '../migrations/support.ts'
import { command } from '../support/command.ts'
import { freshPostgres, POSTGRES_MAJORS } from '../support/databases.ts'

type Major = (typeof POSTGRES_MAJORS)[number]

/** What somebody who may only create in the gateway's schema does there first, and what the program then must not do. */
interface Plot {
  readonly title: string
  readonly relation: string
  /** Run as the hostile role. `evil` is a trigger function, `evil_check` one that answers true: both take the keys and shout them out. */
  readonly plant: string
  readonly commands: readonly (readonly string[])[]
  readonly env?: Readonly<Record<string, string>>
  /** The worker has migrated and run before; there is an archive. */
  readonly late?: boolean
}

const migration = (name: string): Promise<string> => readFile(`${PACKAGE_ROOT}/migrations/${name}.sql`, 'utf8')
const [ARCHIVE, RETENTION, RATE_LIMITS] = await Promise.all(
  ['005_add_archive', '006_add_archive_retention', '003_add_rate_limiting'].map(migration),
)

/** The statement of a migration that makes this table. */
function making(text: string | undefined, table: string): string {
  const made = new RegExp(`CREATE TABLE IF NOT EXISTS ${table} [\\s\\S]*?\\n\\);`).exec(text ?? '')?.[0]
  assert.ok(made !== undefined, table)
  return made
}

const trap = (table: string): string =>
  `CREATE TRIGGER evil BEFORE INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION evil(); GRANT ALL ON ${table} TO PUBLIC`
const LEDGER_VIEW = `CREATE VIEW maintenance_migrations AS SELECT 1 AS version, 'x'::text AS name, 'x'::text AS checksum, 0::bigint AS applied_at,
  0::bigint AS duration_ms, 'x'::text AS app_version WHERE evil_check('x'); GRANT ALL ON maintenance_migrations TO PUBLIC`
const LEASES = 'holder text NOT NULL, fence bigint NOT NULL, expires_at bigint NOT NULL'
const ARCHIVING = { ARCHIVE_ENABLED: 'true' }
const UNMIGRATED = { MIGRATIONS_ENABLED: 'false' }

const PLOTS: readonly Plot[] = [
  {
    title: 'a ledger with a trigger',
    relation: 'maintenance_migrations',
    plant: `CREATE TABLE maintenance_migrations (version int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at bigint NOT NULL,
      duration_ms bigint NOT NULL, app_version text NOT NULL); ${trap('maintenance_migrations')}`,
    commands: [['--run-now'], ['migrate']],
  },
  {
    title: 'a view in the ledger’s place, for commands that change nothing too',
    relation: 'maintenance_migrations',
    plant: LEDGER_VIEW,
    commands: [['status'], ['history'], ['migrate', '--dry-run'], ['--run-now', '--dry-run'], ['archive', 'list'], ['--run-now']],
  },
  {
    title: 'a view in the ledger’s place, where others migrate',
    relation: 'maintenance_migrations',
    plant: LEDGER_VIEW,
    commands: [['--run-now'], ['status']],
    env: UNMIGRATED,
  },
  {
    title: 'leases with a trigger',
    relation: 'maintenance_leases',
    plant: `CREATE TABLE maintenance_leases (job text PRIMARY KEY, ${LEASES}); ${trap('maintenance_leases')}`,
    commands: [['--run-now']],
  },
  {
    title: 'leases with a column of a domain whose check is a function',
    relation: 'maintenance_leases',
    plant: `CREATE DOMAIN evil_text AS text CHECK (evil_check(VALUE)); CREATE TABLE maintenance_leases (job evil_text PRIMARY KEY, ${LEASES}); GRANT ALL ON maintenance_leases TO PUBLIC`,
    commands: [['--run-now'], ['status']],
  },
  {
    title: 'leases with a rule',
    relation: 'maintenance_leases',
    plant: `CREATE TABLE maintenance_leases (job text PRIMARY KEY, ${LEASES}); GRANT ALL ON maintenance_leases TO PUBLIC;
      CREATE RULE evil AS ON UPDATE TO maintenance_leases DO ALSO SELECT evil_check('x'); CREATE RULE evil_too AS ON DELETE TO maintenance_leases DO ALSO SELECT evil_check('x')`,
    commands: [['--run-now']],
  },
  {
    title: 'archives with a trigger',
    relation: 'maintenance_archives',
    plant: `${making(ARCHIVE, 'maintenance_archives')} ${trap('maintenance_archives')}`,
    commands: [['--run-now'], ['archive', 'verify']],
    env: ARCHIVING,
  },
  {
    title: 'an archive retention with a trigger',
    relation: 'maintenance_archive_retention',
    plant: `${making(RETENTION, 'maintenance_archive_retention')} ${trap('maintenance_archive_retention')}`,
    commands: [['--run-now']],
    env: ARCHIVING,
  },
  {
    title: 'a table of the gateway’s that is optional, where others migrate',
    relation: 'rate_limits',
    plant: `${RATE_LIMITS}; INSERT INTO rate_limits VALUES ('a', 'b', '2020-01-01', 1, 1, '2020-01-01'); ${trap('rate_limits')}`,
    commands: [
      ['--run-now', '--job', 'purge-rate-limits'],
      ['--run-now', '--job', 'purge-rate-limits', '--dry-run'],
    ],
    env: UNMIGRATED,
  },
  {
    title: 'the table that is restored into',
    relation: 'audit_logs_restored',
    plant: `CREATE TABLE audit_logs_restored (id bigint PRIMARY KEY, tool_name text, "user" text, action text, status text, parameters text, output text,
      error text, execution_time int, "timestamp" timestamp); ${trap('audit_logs_restored')}`,
    commands: [['archive', 'restore']],
    env: ARCHIVING,
    late: true,
  },
  {
    title: 'the table that is restored into, by its own name',
    relation: 'Elsewhere 1',
    plant: `CREATE VIEW "Elsewhere 1" AS SELECT * FROM audit_logs WHERE evil_check('x'); GRANT ALL ON "Elsewhere 1" TO PUBLIC`,
    commands: [['archive', 'restore', '--into', 'Elsewhere 1']],
    env: ARCHIVING,
    late: true,
  },
]

async function played(major: Major, plot: Plot, superuser: boolean): Promise<void> {
  await using fresh = await freshPostgres(major)
  await using folder = await freshFolder()
  const mark = randomBytes(4).toString('hex')
  const [app, hostile] = [`app_${mark}`, `hostile_${mark}`]
  const { admin } = fresh
  const as = (role: string): string => Object.assign(new URL(fresh.url), { username: role }).href
  for (const role of [app, hostile]) await admin.query(`CREATE ROLE ${role} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO ${role}`)
  const env = { DATABASE_URL: as(superuser ? 'postgres' : app), ARCHIVE_DIRECTORY: folder.path, ...plot.env }
  const ear = new Client({ connectionString: fresh.url })
  const heard: string[] = []
  try {
    await admin.query(`SET SESSION AUTHORIZATION ${app}; ${await migration('001_initial_schema')}; RESET SESSION AUTHORIZATION`)
    await admin.query(`INSERT INTO api_keys (key_hash, name, user_identifier, created_by) VALUES ('h', 'n', 'u', 'c');
      INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't', 'u', 'invoke', 'success', now() - interval '10 days' * i FROM generate_series(1, 20) AS i`)
    if (plot.late === true) assert.equal((await command(['--run-now'], { env })).code, 0)
    const before = await rowsOf(admin)
    await admin.query(`GRANT SELECT ON audit_logs TO ${hostile}; SET SESSION AUTHORIZATION ${hostile};
      CREATE FUNCTION evil() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF current_user <> '${hostile}' THEN DELETE FROM public.api_keys; PERFORM pg_notify('loot', 'taken'); END IF; RETURN coalesce(NEW, OLD); END$$;
      CREATE FUNCTION evil_check(text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN IF current_user <> '${hostile}' THEN PERFORM pg_notify('loot', key_hash) FROM public.api_keys;
        IF current_setting('transaction_read_only') = 'off' THEN DELETE FROM public.api_keys; END IF; END IF; RETURN true; END$$;
      ${plot.plant}; RESET SESSION AUTHORIZATION`)
    await ear.connect()
    ear.on('notification', ({ payload }) => heard.push(payload ?? ''))
    await ear.query('LISTEN loot')
    for (const words of plot.commands) {
      const { code, stdout, stderr } = await command(words, { env })
      const said = `${stdout}${stderr}`
      const where = `${words.join(' ')}: ${said}`
      await ear.query('SELECT 1')
      assert.deepEqual({ heard, ...(await rowsOf(admin)) }, { heard: [], ...before }, where)
      assert.equal(code, 3, where)
      assert.ok(said.includes(`public.${plot.relation} is a `) && said.includes(`of role ${hostile}`), where)
      assert.match(said, /Nothing was read from it or written to it.*DROP (?:TABLE|VIEW).*OWNER TO/s, where)
    }
  } finally {
    await ear.end()
    await admin.query('RESET SESSION AUTHORIZATION')
    for (const role of [app, hostile]) await admin.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`)
  }
}

async function rowsOf(admin: Client): Promise<object> {
  const { rows } = await admin.query<object>(
    'SELECT (SELECT count(*)::int FROM api_keys) AS keys, (SELECT count(*)::int FROM audit_logs) AS audit',
  )
  return rows[0] ?? {}
}

for (const major of POSTGRES_MAJORS) {
  describe(`what somebody else put where the worker has a table, on PostgreSQL ${major}`, () => {
    for (const plot of PLOTS) {
      it(`is refused before it is touched: ${plot.title}`, () => played(major, plot, false))
      it(`is refused before it is touched by a superuser: ${plot.title}`, () => played(major, plot, true))
    }
  })
}
