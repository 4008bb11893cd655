import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { Client } from 'pg'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { freshFolder } from '../archive/support.ts'
import { made, opened, optionsFor, PACKAGE_ROOT } from '../migrations/support.ts'
import { command, type Ended } from '../support/command.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'
import { callsIn, namesOf, plant } from '../support/hostile-schema.ts'
import { recordingLink } from '../support/recording-link.ts'

/** Tens of thousands of objects, and twelve commands. */
const UNHURRIED = { timeout: 400_000 }

/**
 * Whoever may create in the gateway's schema can put operators, functions, casts, types, tables and views there. What the program says to the server is
 * recorded in a full run; then such objects stand for every name in it, and the same run must do the same and call none of them.
 */
for (const major of POSTGRES_MAJORS) {
  describe(`hostile names in the gateway's schema on PostgreSQL ${major}`, () => {
    let clean: FreshPostgres
    let expected: Outcome
    let statements: ReadonlySet<string>
    let spared: ReadonlySet<string>

    before(async () => {
      clean = await freshPostgres(major)
      await using link = await recordingLink(clean.url)
      await gateway(clean.admin)
      expected = await fullRun(clean, link.through(clean.url))
      statements = new Set(link.statements)
      const { rows } = await clean.admin.query<{ name: string }>(
        `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
      )
      spared = new Set(rows.map(({ name }) => name))
    }, UNHURRIED)
    after(() => clean.drop())

    it('the traps cover all names in the statements of a full run, which still does its work', () => {
      assert.deepEqual(expected.left, { audit_logs: KEPT, sessions: 1, policy_decisions: 1, restored: OLD + TIE })
      assert.ok(statements.size > 100, `${statements.size} statements`)
      const { operators, called, words } = namesOf(statements)
      for (const operator of ['=', '#>>', '->>', '%', '<<', '||']) assert.ok(operators.has(operator), operator)
      for (const name of [
        'format',
        'count',
        'set_config',
        'record_send',
        'lead',
        'json_to_record',
        'pg_try_advisory_lock',
        'pg_stat_get_xact_tuples_deleted',
        'pg_relation_size',
      ])
        assert.ok(called.has(name), name)
      for (const name of [
        'text',
        'timestamptz',
        'pg_class',
        'pg_stat_activity',
        'pg_constraint',
        'part_config',
        'free',
        'deleted',
        'judged',
      ])
        assert.ok(words.has(name), name)
    })

    for (const { title, path } of [
      { title: 'as an ordinary path finds them', path: '"$user", public' },
      { title: 'that come before the server’s own in the path', path: 'public, pg_catalog' },
    ]) {
      it(`change nothing and are not called, ${title}`, UNHURRIED, async (t) => {
        await using hostile = await freshPostgres(major)
        await gateway(hostile.admin)
        await hostile.admin.query(`CREATE FUNCTION public.control() RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END'`)
        report(t, await plant(hostile.admin, namesOf(statements), spared))
        await hostile.admin.query(`ALTER DATABASE "${hostile.name}" SET search_path = ${path}`)
        const outcome = await fullRun(hostile, hostile.url)
        assert.deepEqual(await calls(hostile), [])
        assert.deepEqual(outcome, expected)
      })
    }

    it('statements that are not qualified fall into the traps, so the traps work', async () => {
      await using hostile = await freshPostgres(major)
      await hostile.admin.query(`CREATE FUNCTION public.control() RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END'`)
      await plant(
        hostile.admin,
        { operators: new Set(['#>>', '=', '*']), called: new Set(['concat_ws']), words: new Set(['pg_locks']) },
        new Set(),
      )
      await aside(hostile.url, async (client) => {
        await client.query(`SELECT pg_catalog.to_json(pg_catalog.now()) #>> '{}'`)
        await client.query(`SELECT 'x'::varchar = 'x', concat_ws(', ', 'x'::text, 'y'::text), 1.5 * 2`)
        await client.query(`SELECT 'x'::varchar IN ('x')`)
        await client.query(`SELECT '{}'::json::text`)
        await client.query(`SET search_path = public, pg_catalog; SELECT count(*) FROM pg_locks`)
      })
      assert.ok((await calls(hostile)).length >= 6)
    })
  })
}

function report(t: TestContext, planted: Readonly<Record<string, number>>): void {
  t.diagnostic(
    `planted: ${Object.entries(planted)
      .map(([kind, count]) => `${count} ${kind}`)
      .join(', ')}`,
  )
}

async function calls(hostile: FreshPostgres): Promise<readonly string[]> {
  return await callsIn(hostile.admin, () => aside(hostile.url, (client) => client.query('SELECT public.control()')))
}

/** On a connection of its own, which has ended when this resolves. */
async function aside(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

const OLD = 40
/** So many bear one time that they are cut by place. */
const TIE = 1_300
const KEPT = 25

/** As an ORM makes them: text of a length, and columns of every kind that the archive has to carry. */
async function gateway(admin: Client): Promise<void> {
  await admin.query(`
    CREATE TYPE public.verdict AS ENUM ('good', 'bad');
    CREATE DOMAIN public.short AS varchar(20);
    CREATE TABLE public.audit_logs (
      id bigserial PRIMARY KEY, tool_name varchar(80) NOT NULL, "user" varchar NOT NULL, action varchar NOT NULL, status varchar NOT NULL, parameters text,
      output text, error text, execution_time integer, "timestamp" timestamp NOT NULL,
      as_json json, as_jsonb jsonb, as_verdict public.verdict, as_short public.short, as_uuid uuid, as_number numeric(12, 3), as_list varchar[],
      as_bytes bytea, as_address inet, as_interval interval, as_real float8, as_flag boolean
    );
    INSERT INTO public.audit_logs (tool_name, "user", action, status, "timestamp", parameters, as_json, as_jsonb, as_verdict, as_short, as_uuid, as_number, as_list,
      as_bytes, as_address, as_interval, as_real, as_flag)
    SELECT 't', 'u' || i, 'invoke', 'success',
      CASE WHEN i <= ${OLD} THEN now() AT TIME ZONE 'UTC' - (200 + i) * interval '1 day'
        WHEN i <= ${OLD + TIE} THEN date_trunc('day', now() AT TIME ZONE 'UTC') - interval '150 days' ELSE now() AT TIME ZONE 'UTC' - i * interval '1 second' END,
      '{"a": "b\\"c"}', '{"a" : 1}', '[1, "x"]', 'bad', 'short', gen_random_uuid(), i * 1.5, ARRAY['a,b', NULL], '\\x00ff', '10.0.0.1', '1 day 2 hours', i / 7.0, i % 2 = 0
    FROM generate_series(1, ${OLD + TIE + KEPT}) AS i;
    CREATE TABLE public.sessions (id bigserial PRIMARY KEY, session_token varchar NOT NULL UNIQUE, user_identifier varchar NOT NULL, user_data text, ip_address varchar,
      user_agent varchar, expires_at timestamptz NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), last_activity_at timestamptz NOT NULL DEFAULT now());
    INSERT INTO public.sessions (session_token, user_identifier, expires_at) VALUES ('a', 'u', now() - interval '1 hour'), ('b', 'u', now() + interval '1 hour');
    CREATE INDEX ix_audit_logs_user ON public.audit_logs ("user");
    CREATE TABLE public.audit_note (id bigint, audit_id bigint REFERENCES public.audit_logs ON DELETE CASCADE);
    INSERT INTO public.audit_note SELECT id, id FROM public.audit_logs;
    CREATE TABLE public.sessions_2026 () INHERITS (public.sessions);
    CREATE TABLE public.part_config (parent_table text, retention text);
    CREATE TABLE public.policy_decisions (id bigserial PRIMARY KEY, user_identifier varchar NOT NULL, resource varchar NOT NULL, action varchar NOT NULL,
      decision varchar NOT NULL, reason text, expires_at timestamp NOT NULL, created_at timestamp NOT NULL DEFAULT now());
    INSERT INTO public.policy_decisions (user_identifier, resource, action, decision, expires_at)
    VALUES ('u', 'r', 'a', 'allow', now() AT TIME ZONE 'UTC' - interval '1 hour'), ('u', 'r', 'a', 'deny', now() AT TIME ZONE 'UTC' + interval '1 hour')`)
}

interface Outcome {
  readonly codes: readonly (number | null)[]
  readonly left: Readonly<Record<string, number>>
  readonly deleted: readonly unknown[]
  readonly sound: string
  readonly restoredAsTheyWere: boolean
  readonly indexes: readonly string[]
}

/** Everything that the program does with a database: what it answers, and what is left. */
async function fullRun({ admin }: FreshPostgres, url: string): Promise<Outcome> {
  await using folder = await freshFolder()
  const rows = async <Row>(sql: string): Promise<Row[]> => (await admin.query(sql)).rows as Row[]
  const audit = (): Promise<{ row: string }[]> => rows(`SELECT format('%s', a) AS row FROM public.audit_logs AS a`)
  const given = new Set((await audit()).map(({ row }) => row))
  const ended: Ended[] = []
  const run = async (...words: string[]): Promise<Ended> => {
    const env = { DATABASE_URL: url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: 'archive', METRICS_TEXTFILE: `${folder.path}/worker.prom` }
    const end = await command(words, { env, cwd: folder.path })
    ended.push(end)
    return end
  }
  await run('--run-now', '--dry-run')
  await run('migrate')
  // Somebody holds a row: it is passed over in the first run, and goes with the second.
  await admin.query(`BEGIN; SELECT FROM public.audit_logs WHERE id OPERATOR(pg_catalog.=) 7::int8 FOR UPDATE`)
  const runs = [await run('--run-now')]
  await admin.query('ROLLBACK')
  runs.push(await run('--run-now'))
  const { stdout: sound } = await run('archive', 'verify')
  await run('archive', 'list')
  await run('archive', 'restore')
  await run('archive', 'restore', '--into', 'audit_logs')
  await run('status', '--json')
  await run('history', '--json')
  await run('partition', 'plan')
  await run('doctor', '--json')
  await run('subject', 'find', '--user', 'u50', '--json')
  await indexOutside(url)
  const restored = await rows<{ row: string }>(`SELECT format('%s', a) AS row FROM public.audit_logs_restored AS a`)
  const count = async (table: string): Promise<number> =>
    Number((await rows<{ n: string }>(`SELECT count(*) AS n FROM public.${table}`))[0]!.n)
  return {
    codes: ended.map(({ code }) => code),
    left: {
      audit_logs: await count('audit_logs'),
      sessions: await count('sessions'),
      policy_decisions: await count('policy_decisions'),
      restored: restored.length,
    },
    deleted: runs.flatMap(({ lines }) =>
      lines.filter(({ event }) => event === 'job.finished').map(({ job, outcome, deleted, locked }) => ({ job, outcome, deleted, locked })),
    ),
    sound: sound.replace(/\d+ bytes in .*/, ''),
    restoredAsTheyWere: restored.every(({ row }) => given.has(row)),
    indexes: (
      await rows<{ name: string }>(
        `SELECT relname AS name FROM pg_class WHERE relkind OPERATOR(pg_catalog.=) 'i' AND relnamespace OPERATOR(pg_catalog.=) 'public'::regnamespace::oid ORDER BY 1`,
      )
    ).map(({ name }) => name),
  }
}

/** The way of a migration that no transaction holds, and that of a second worker that waits for the first. */
async function indexOutside(url: string): Promise<void> {
  await using database = await opened(url)
  const files = await readMigrationFiles(PACKAGE_ROOT)
  const next = String(Math.max(...files.map(({ version }) => version)) + 1).padStart(3, '0')
  const outside = made(
    `${next}_index`,
    `-- @no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS idx_outside ON audit_logs (tool_name);`,
  )
  await using second = await opened(url)
  await database.withMigrationLock({ timeoutMs: 20_000, signal: new AbortController().signal, waiting: () => {} }, async () => {
    const lock = { timeoutMs: 1, signal: new AbortController().signal, waiting: () => {} }
    await assert.rejects(
      second.withMigrationLock(lock, () => Promise.resolve()),
      /another worker that is migrating: server process/,
    )
  })
  await migrate(optionsFor(database, [...files, ...outside]))
}
