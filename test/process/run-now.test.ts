import assert from 'node:assert/strict'
import { test } from 'node:test'
import { POSTGRES_MAJORS, withoutGatewayDatabase } from '../support/databases.ts'
import { command, events, type Ended } from '../support/command.ts'
import { ENGINES, postgresDatabase, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { bringUpToDate } from '../support/gateway.ts'

const JOBS = ['purge-audit-logs', 'purge-policy-decisions', 'purge-sessions', 'purge-rate-limits']

function runNow(database: TestDatabase, words: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return command(['--run-now', ...words], { env: { DATABASE_URL: database.url, ...env } })
}

function finished(ended: Ended): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  return Object.fromEntries(events(ended, 'job.finished').map((line) => [line['job'], line]))
}

async function count(database: TestDatabase, table: string): Promise<number> {
  return (await database.sql<{ n: number }>(`SELECT count(*) AS n FROM ${table}`))[0]!.n
}

for (const engine of ENGINES) {
  test(`${engine.name}: an empty database gets its tables, and one job.finished for each job, in order`, async () => {
    await using database = await engine.fresh()
    const first = await runNow(database)
    assert.equal(first.code, 0, first.stdout + first.stderr)
    assert.deepEqual(
      events(first, 'job.finished').map((line) => [line['job'], line['outcome'], line['deleted']]),
      JOBS.map((job) => [job, 'succeeded', 0]),
    )
    assert.equal(events(first, 'migration.applied').length, events(first, 'migrations.current')[0]!['latest'])
    for (const table of ['tools', 'audit_logs', 'mcp_servers', 'policy_decisions', 'api_keys', 'sessions'])
      assert.equal(await count(database, table), 0)
    const second = await runNow(database)
    assert.equal(second.code, 0)
    assert.equal(events(second, 'migration.applied').length, 0)
  })

  test(`${engine.name}: expired rows go, rows to be kept stay, and a dry run foretells both without a change`, async () => {
    await using database = await engine.fresh()
    await runNow(database)
    const moment = (seconds: number): string => engine.moment(seconds)
    const day = 86_400
    for (const at of [-91 * day, -90 * day - 60, -90 * day + 60, -1]) {
      await database.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'invoke', 'success', ${moment(at)})`,
      )
    }
    for (const at of [-60, 60]) {
      await database.sql(
        `INSERT INTO policy_decisions (user_identifier, resource, action, decision, expires_at) VALUES ('u', 'r', 'a', 'allow', ${moment(at)})`,
      )
      await database.sql(`INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ('t${at}', 'u', ${moment(at)})`)
      await database.sql(
        `INSERT INTO api_keys (key_hash, name, user_identifier, expires_at, created_by) VALUES ('k${at}', 'n', 'u', ${moment(at)}, 'me')`,
      )
    }
    for (const at of [-60, 60]) {
      await database.sql(
        `INSERT INTO rate_limits (subject, resource, window_start, window_seconds, request_count, expires_at)
         VALUES ('u', 'tool:1', ${moment(at - 60)}, 60, 7, ${moment(at)})`,
      )
    }
    const dry = await runNow(database, ['--dry-run'])
    assert.equal(dry.code, 0, dry.stdout)
    const foretold = finished(dry)
    assert.deepEqual(
      JOBS.map((job) => [foretold[job]!['expired'], foretold[job]!['deleted'], foretold[job]!['dryRun']]),
      [
        [2, 0, true],
        [1, 0, true],
        [1, 0, true],
        [1, 0, true],
      ],
    )
    assert.equal(await count(database, 'audit_logs'), 4)

    const wet = finished(await runNow(database))
    assert.deepEqual(
      JOBS.map((job) => wet[job]!['deleted']),
      [2, 1, 1, 1],
    )
    assert.equal(await count(database, 'audit_logs'), 2)
    assert.equal(await count(database, 'policy_decisions'), 1)
    assert.equal(await count(database, 'sessions'), 1)
    assert.equal(await count(database, 'rate_limits'), 1)
    assert.equal(await count(database, 'api_keys'), 2)
  })

  test(`${engine.name}: --job runs that job alone, and a disabled job is skipped and says why`, async () => {
    await using database = await engine.fresh()
    const one = await runNow(database, ['--job', 'purge-sessions'])
    assert.deepEqual(Object.keys(finished(one)), ['purge-sessions'])
    const without = finished(await runNow(database, [], { PURGE_SESSIONS_ENABLED: 'false' }))
    assert.equal(without['purge-sessions']!['outcome'], 'skipped')
    assert.match(String(without['purge-sessions']!['reason']), /jobs\.purgeSessions\.enabled/)
  })
}

test(
  'gateway-orm.sqlite: completed and purged of exactly the rows older than 90 days',
  { skip: withoutGatewayDatabase('gateway-orm.sqlite') },
  async () => {
    await using database = await sqliteDatabase('gateway-orm.sqlite')
    const expired = await bringUpToDate(database, 'sqlite', { table: 'audit_logs', column: 'timestamp', days: 90 })
    const before = await count(database, 'audit_logs')
    assert.ok(expired > 100 && expired < before)
    const first = await runNow(database)
    assert.equal(first.code, 0, first.stdout)
    assert.equal(finished(first)['purge-audit-logs']!['deleted'], expired)
    assert.equal(await count(database, 'audit_logs'), before - expired)
    const made = await database.sql<{ name: string; type: string }>("SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view')")
    for (const table of ['tools', 'audit_logs', 'mcp_servers', 'policy_decisions', 'api_keys', 'sessions']) {
      assert.ok(made.some((each) => each.name === table && each.type === 'table'))
    }
    for (const view of ['recent_audit_activity', 'policy_violations', 'tool_usage_stats']) {
      assert.ok(made.some((each) => each.name === view && each.type === 'view'))
    }
    const second = await runNow(database)
    assert.equal(second.code, 0)
    assert.equal(events(second, 'migration.applied').length, 0)
    assert.equal(finished(second)['purge-audit-logs']!['deleted'], 0)
  },
)

for (const major of POSTGRES_MAJORS) {
  const skip = withoutGatewayDatabase('gateway-half-applied.pg.sql')

  test(`postgres ${major}: gateway-half-applied is completed and purged, and its views tell users apart`, { skip }, async () => {
    await using database = await postgresDatabase(major, 'gateway-half-applied.pg.sql')
    const decisions = await bringUpToDate(database, 'postgres', { table: 'public.policy_decisions', column: 'expires_at', days: 0 })
    const sessions = await bringUpToDate(database, 'postgres', { table: 'public.sessions', column: 'expires_at', days: 0 })
    const before = { decisions: await count(database, 'policy_decisions'), sessions: await count(database, 'sessions') }
    const ended = await runNow(database)
    assert.equal(ended.code, 0, ended.stdout)
    assert.equal(finished(ended)['purge-policy-decisions']!['deleted'], decisions)
    assert.equal(finished(ended)['purge-sessions']!['deleted'], sessions)
    assert.equal(await count(database, 'policy_decisions'), before.decisions - decisions)
    assert.equal(await count(database, 'sessions'), before.sessions - sessions)

    for (const user of ['ann@example.com', 'bob@example.com']) {
      await database.sql(`INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('sql', $1, 'invoke', 'success')`, [user])
      await database.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, error) VALUES ('sql', $1, 'invoke', 'policy_violation', 'no')`,
        [user],
      )
    }
    assert.deepEqual(await database.sql('SELECT "user", reason FROM policy_violations ORDER BY "user"'), [
      { user: 'ann@example.com', reason: 'no' },
      { user: 'bob@example.com', reason: 'no' },
    ])
    assert.deepEqual(await database.sql('SELECT invocation_count, unique_users FROM tool_usage_stats'), [
      { invocation_count: 2, unique_users: 2 },
    ])
    const again = await runNow(database)
    assert.equal(events(again, 'migration.applied').length, 0)
  })

  test(
    `postgres ${major}: gateway-flyway is refused untouched, and purged once migrations are disabled`,
    { skip: withoutGatewayDatabase('gateway-flyway.pg.sql') },
    async () => {
      await using database = await postgresDatabase(major, 'gateway-flyway.pg.sql')
      const expired = await bringUpToDate(database, 'postgres', { table: 'public.audit_logs', column: 'timestamp', days: 90 })
      const relations = "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
      const before = { rows: await count(database, 'audit_logs'), relations: await database.sql(relations) }

      const refused = await runNow(database)
      assert.equal(refused.code, 4, refused.stdout)
      const told = refused.lines.map((line) => String(line['msg'])).join('\n')
      assert.match(told, /audit_logs/)
      assert.match(told, /flyway_schema_history/)
      assert.match(told, /MIGRATIONS_ENABLED=false/)
      assert.equal(await count(database, 'audit_logs'), before.rows)
      assert.deepEqual(await database.sql(relations), before.relations)

      const purged = await runNow(database, [], { MIGRATIONS_ENABLED: 'false' })
      assert.equal(purged.code, 0, purged.stdout)
      assert.equal(finished(purged)['purge-audit-logs']!['deleted'], expired)
      assert.equal(finished(purged)['purge-policy-decisions']!['outcome'], 'skipped')
      assert.equal(finished(purged)['purge-sessions']!['outcome'], 'skipped')
      assert.equal(await count(database, 'audit_logs'), before.rows - expired)
      assert.deepEqual(await database.sql(relations), before.relations)
    },
  )
}

test('LOG_LEVEL=debug says what each run decides: its batches, and why it waits', async () => {
  await using database = await sqliteDatabase()
  await runNow(database)
  await database.sql(`INSERT INTO sessions (session_token, user_identifier, expires_at)
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 50) SELECT 't' || n, 'ann', '2020-01-01 00:00:00' FROM n`)
  const quiet = await runNow(database, ['--dry-run'])
  assert.deepEqual([events(quiet, 'job.started'), events(quiet, 'job.batch')], [[], []])
  const ended = await runNow(database, ['--job', 'purge-sessions'], { LOG_LEVEL: 'DEBUG' })
  assert.deepEqual(
    events(ended, 'job.started').map(({ level, job, trigger }) => [level, job, trigger]),
    [['debug', 'purge-sessions', 'run-now']],
  )
  const batches = events(ended, 'job.batch')
  assert.deepEqual([batches.at(-1)!['total'], batches.reduce((sum, batch) => sum + Number(batch['rows']), 0)], [50, 50])
})

for (const [word, level] of [
  ['warning', 'warn'],
  ['WARNING', 'warn'],
  ['Critical', 'fatal'],
  ['err', 'error'],
] as const)
  test(`LOG_LEVEL=${word} is ${level}`, async () => {
    const { stdout } = await command(['config', '--json'], { env: { LOG_LEVEL: word } })
    assert.equal((JSON.parse(stdout) as Record<string, { value: unknown }>)['log.level']?.value, level)
  })
