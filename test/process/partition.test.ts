import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { widthOf } from '../../src/observe/width.ts'
import { applyMigrations } from '../runs/support.ts'
import { command, start, type Ended, type Running } from '../support/command.ts'
import { ENGINES, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { startPgBouncer, withoutPgBouncer } from '../support/pgbouncer.ts'
import { POSTGRES_MAJORS, startPostgres, type PostgresMajor } from '../support/postgres-server.ts'
import { onTerminal, WITHOUT_TERMINAL } from '../support/terminal.ts'

type Env = Readonly<Record<string, string>>

function partition(url: string, verb: 'plan' | 'start' | 'undo', env: Env = {}): Promise<Ended> {
  return command(['partition', verb], { env: { DATABASE_URL: url, ...env } })
}

/** One that keeps rows for ever. */
function rule(name: string, tool: string): object {
  return { name, match: { tool_name: [tool] }, retention: 'forever' }
}

/** 20,000 rows of the last two weeks, and two from the far future. */
async function rows(outside: TestDatabase): Promise<void> {
  await outside.sql(`INSERT INTO audit_logs ("timestamp", tool_name, "user", action, status)
    SELECT now() - n * interval '1 minute', 'a', 'b', 'invoke', 'success' FROM generate_series(1, 20000) AS n
    UNION ALL SELECT now() + n * interval '1 year', 'a', 'b', 'invoke', 'success' FROM generate_series(1, 2) AS n`)
}

async function facts(outside: TestDatabase): Promise<unknown> {
  return (
    await outside.sql(
      `SELECT (SELECT relkind FROM pg_class WHERE oid = 'audit_logs'::regclass) AS kind, count(*) AS rows, sum(id) AS ids, md5(string_agg("timestamp"::text, ',' ORDER BY id)) AS times FROM audit_logs`,
    )
  )[0]
}

function fatal(ended: Ended): string {
  const line = ended.stderr.split('\n').find((each) => each.includes('"program.failed"'))
  const { code, msg } = JSON.parse(line ?? '{}') as { code?: string; msg?: string }
  return `${code} ${msg}`
}

for (const engine of ENGINES.filter(({ name }) => name.startsWith('postgres'))) {
  void describe(`partition plan, start and undo on ${engine.name}`, () => {
    void test('there and back: each says what it did, and again does nothing; no row is lost', async () => {
      await using outside = await engine.copied(applyMigrations)
      await rows(outside)
      const before = await facts(outside)

      const plan = await partition(outside.url, 'plan')
      assert.equal(plan.code, 0, plan.stderr)
      assert.match(plan.stdout, /^audit_logs can be turned into partitions, one a day\. Nothing was changed\.\n/)
      assert.match(plan.stdout, /\naside +2 rows without a time, or with one from then on, /)
      assert.match(plan.stdout, /\nRun: mcp-gateway-maintenance partition start\n$/)
      assert.deepEqual(await facts(outside), before)

      const started = await partition(outside.url, 'start')
      assert.equal(started.code, 0, started.stderr)
      assert.match(started.stdout, /^Turns audit_logs into partitions: about [\d,]+ rows, /)
      assert.match(started.stdout, /\nBuilds the index .* on \(id, timestamp\)\n {2}done in /)
      assert.match(started.stdout, /; nobody could use the table for \d+ ms\n/)
      assert.match(started.stdout, /\naudit_logs is partitioned: a partition a day, /)
      assert.match(started.stdout, /\nothers +2 rows found no partition of their own\n/)
      assert.deepEqual(await facts(outside), { ...(before as object), kind: 'p' })

      for (const verb of ['start', 'plan'] as const) {
        const again = await partition(outside.url, verb)
        assert.equal(again.code, 0, again.stderr)
        assert.match(again.stdout, /^audit_logs is partitioned: /)
      }

      const undone = await partition(outside.url, 'undo')
      assert.equal(undone.code, 0, undone.stderr)
      assert.match(undone.stdout, /\naudit_logs is a plain table again\. /)
      assert.deepEqual(await facts(outside), before)
      const none = await partition(outside.url, 'undo')
      assert.deepEqual([none.code, none.stdout], [0, 'audit_logs is a plain table: nothing to undo.\n'])
    })

    void test('plan and start refuse for the same reasons, those of the settings too, with exit code 4', async () => {
      await using outside = await engine.copied(applyMigrations)
      await outside.sql('CREATE MATERIALIZED VIEW by_status AS SELECT status, count(*) FROM audit_logs GROUP BY status')
      await outside.sql('DELETE FROM maintenance_migrations WHERE version = (SELECT max(version) FROM maintenance_migrations)')
      const before = await facts(outside)
      const env = { AUDIT_LOGS_RETENTION: '201d', PARTITIONS_ENABLED: 'false' }
      const reasons = [
        /1 migration is pending \(\d{3}_\w+\), .* Run: mcp-gateway-maintenance migrate/,
        /PARTITIONS_ENABLED is false, /,
        /Materialized view public\.by_status reads public\.audit_logs /,
        /AUDIT_LOGS_RETENTION keeps rows for 201d, and with a partition a day no period may be longer than 200d/,
      ]
      const plan = await partition(outside.url, 'plan', env)
      assert.equal(plan.code, 4, plan.stdout)
      assert.match(plan.stdout, /^audit_logs is not turned into partitions, for 4 reasons\. Nothing was changed; /)
      const started = await partition(outside.url, 'start', env)
      assert.deepEqual([started.code, started.stdout], [4, ''])
      assert.match(fatal(started), /^PARTITION_REFUSED audit_logs is not turned into partitions, and nothing was changed:/)
      for (const reason of reasons) {
        assert.match(plan.stdout, reason)
        assert.match(started.stderr, reason)
      }
      assert.deepEqual(await facts(outside), before)
    })

    void test('a rule counts if it matches a row', async () => {
      await using outside = await engine.copied(applyMigrations)
      await rows(outside)
      const env = { AUDIT_LOGS_RETENTION_RULES: JSON.stringify([rule('nobody', 'zzz'), rule('somebody', 'A*')]) }
      const plan = await partition(outside.url, 'plan', env)
      assert.equal(plan.code, 4, plan.stderr)
      assert.match(plan.stdout, /for 1 reason\./)
      assert.match(plan.stdout, /Rule "somebody" keeps rows for ever, /)
    })

    void test('a signal ends it in order while it waits, it says how to go on, and it does', async () => {
      await using outside = await engine.copied(applyMigrations)
      await rows(outside)
      const before = await facts(outside)
      const other = new Client(outside.url)
      await other.connect()
      try {
        // An index that is built concurrently waits for this.
        await other.query('BEGIN; LOCK TABLE audit_logs IN ROW EXCLUSIVE MODE')
        await using running = start(['partition', 'start'], { env: { DATABASE_URL: outside.url } })
        await building(outside, running)
        const asked = performance.now()
        running.kill('SIGTERM')
        const ended = await running.ended
        assert.equal(ended.code, 143, ended.stderr)
        assert(performance.now() - asked < 9_000)
        assert.match(
          ended.stdout,
          /\nStopped before the end\. .* To go on, run: mcp-gateway-maintenance partition start\. To take everything back, run: mcp-gateway-maintenance partition undo\n$/,
        )
      } finally {
        await other.end()
      }
      assert.deepEqual(await facts(outside), before)
      const plan = await partition(outside.url, 'plan')
      assert.equal(plan.code, 0, plan.stdout + plan.stderr)
      assert.match(plan.stdout, /^An earlier start has not ended; /)
      const started = await partition(outside.url, 'start')
      assert.equal(started.code, 0, started.stderr)
      assert.match(started.stdout, /^Goes on turning audit_logs into partitions: /)
      assert.deepEqual(await facts(outside), { ...(before as object), kind: 'p' })
    })

    void test('a pooler is refused: an index is built outside a transaction', { skip: withoutPgBouncer() }, async () => {
      await using outside = await engine.copied(applyMigrations)
      await using pooler = await startPgBouncer(outside.url)
      const plan = await partition(pooler.through(outside.url), 'plan')
      assert.equal(plan.code, 4, plan.stderr)
      assert.match(
        plan.stdout,
        /The connection goes through a pooler, .* Run the command once with a DATABASE_URL that leads directly to the server\.\n$/,
      )
    })
  })
}

/** Until the index is being built. */
async function building(outside: TestDatabase, running: Running): Promise<void> {
  let over = false
  void running.ended.then(() => (over = true))
  for (;;) {
    const found = await outside.sql('SELECT FROM pg_stat_progress_create_index WHERE datname = current_database()')
    if (found.length > 0) return
    assert.ok(!over, 'the process ended before it built an index')
    await sleep(5)
  }
}

for (const major of POSTGRES_MAJORS)
  void test(`a server with little lock memory is refused, on PostgreSQL ${major}, and with the setting that is named it is not`, async () => {
    const refused = await planWith(major, 10)
    assert.equal(refused.code, 4, refused.stdout)
    const [, value] = /Run: ALTER SYSTEM SET max_locks_per_transaction = (\d+)\n$/.exec(refused.stdout) ?? []
    assert.notEqual(value, undefined, refused.stdout)
    const ready = await planWith(major, Number(value))
    assert.equal(ready.code, 0, ready.stdout)
  })

/** What the plan is on a server of its own that lets 20 in, of which five are connected besides. */
async function planWith(major: PostgresMajor, locks: number): Promise<Ended> {
  const server = await startPostgres(major, { settings: { max_locks_per_transaction: String(locks), max_connections: '20' } })
  const others = Array.from({ length: 5 }, () => new Client(server.url))
  try {
    await applyMigrations(server.url)
    for (const other of others) await other.connect()
    return await partition(server.url, 'plan')
  } finally {
    for (const other of others) await other.end()
    await server.kill()
  }
}

void test('SQLite has no partitions: one sentence, exit code 4', async () => {
  await using outside = await sqliteDatabase()
  await applyMigrations(outside.url)
  for (const verb of ['plan', 'start', 'undo'] as const) {
    const refused = await partition(outside.url, verb)
    assert.deepEqual([refused.code, refused.stdout], [4, ''])
    assert.match(fatal(refused), /^PARTITION_REFUSED A sqlite database has no partitions: /)
  }
})

/** The same on all: what the newest says. */
void test(
  'no line of the commands of partitions is wider than a terminal of 60, 80 and 120 columns',
  { skip: WITHOUT_TERMINAL },
  async () => {
    await using outside = await ENGINES.at(-1)!.copied(applyMigrations)
    await outside.sql('CREATE MATERIALIZED VIEW by_status AS SELECT status, count(*) FROM audit_logs GROUP BY status')
    const env = { DATABASE_URL: outside.url }
    const widest = async (columns: number, verb: string): Promise<void> => {
      const { sent } = await onTerminal(['partition', verb], { columns, env })
      // oxlint-disable-next-line no-control-regex
      for (const line of sent.replaceAll(/\u001B\[\d*[A-Za-z]/g, '').split(/\r?\n/))
        assert.ok(widthOf(line) <= columns, `${columns}: ${line}`)
    }
    for (const columns of [60, 80, 120]) for (const verb of ['plan', 'start']) await widest(columns, verb)
    await outside.sql('DROP MATERIALIZED VIEW by_status')
    for (const columns of [60, 80, 120]) for (const verb of ['plan', 'start', 'plan', 'undo']) await widest(columns, verb)
  },
)
