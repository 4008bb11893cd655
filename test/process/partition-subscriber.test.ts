import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { command } from '../support/command.ts'
import { midnight, partition, partitioned } from '../support/partitioned.ts'
import { POSTGRES_MAJORS, startPostgres, type PostgresMajor, type PostgresServer } from '../support/postgres-server.ts'
import { asked } from '../support/standby.ts'

const JOB = 'purge-audit-logs'
/** Days whose rows have expired: one goes as a whole; of the other a rule keeps a row. */
const WHOLE = -95
const WITH_KEPT = -94
const RULES = `[{ name: denied, match: { status: [denied] }, retention: 180d }]`

/** A gateway's server, and one that subscribes to its audit_logs. */
interface Subscribed extends AsyncDisposable {
  readonly url: string
  readonly subscriber: string
  /** Resolves once the subscriber has received all that was committed before. Rejects when its subscription has stopped. */
  readonly received: () => Promise<void>
  readonly run: (...words: string[]) => Promise<string>
}

async function subscribed(
  major: PostgresMajor,
  prepared: (url: string) => Promise<void>,
  published = 'TABLE audit_logs',
): Promise<Subscribed> {
  await using stack = new AsyncDisposableStack()
  const started = async (settings: Readonly<Record<string, string>>): Promise<PostgresServer> => {
    const server = await startPostgres(major, { settings })
    stack.defer(() => server.stop())
    return server
  }
  const { url } = await started({ wal_level: 'logical' })
  const { url: subscriber } = await started({})
  const run = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await command(words, { env: { DATABASE_URL: url, AUDIT_LOGS_RETENTION_RULES: RULES } })
    assert.equal(code, 0, `${words.join(' ')}\n${stdout}${stderr}`)
    return stdout
  }
  await run('migrate')
  await command(['migrate'], { env: { DATABASE_URL: subscriber } })
  await prepared(url)
  await asked(url, `CREATE PUBLICATION audit FOR ${published} WITH (publish_via_partition_root = true)`)
  // Where all tables are copied, ours come from there as well.
  if (published === 'ALL TABLES')
    await asked(
      subscriber,
      `DO $$ DECLARE t record; BEGIN SET LOCAL session_replication_role = replica;
       FOR t IN SELECT relname FROM pg_class WHERE relname LIKE 'maintenance_%' AND relkind = 'r' LOOP EXECUTE format('TRUNCATE %I CASCADE', t.relname); END LOOP; END $$`,
    )
  const { port } = new URL(url)
  await asked(
    subscriber,
    `CREATE SUBSCRIPTION audit CONNECTION 'host=127.0.0.1 port=${port} user=postgres dbname=postgres' PUBLICATION audit`,
  )
  const received = async (): Promise<void> => {
    const [at] = await asked<{ lsn: string }>(url, 'SELECT pg_current_wal_lsn()::text AS lsn')
    for (;;) {
      const [found] = await asked<{ done: boolean | null }>(
        url,
        `SELECT bool_and(replay_lsn >= '${at!.lsn}' AND state = 'streaming') AS done FROM pg_stat_replication WHERE application_name = 'audit'`,
      )
      const [table] = await asked<{ ready: boolean | null }>(
        subscriber,
        `SELECT bool_and(srsubstate = 'r') AS ready FROM pg_subscription_rel`,
      )
      const [errors] = await asked<{ n: number | null }>(
        subscriber,
        'SELECT sum(apply_error_count + sync_error_count)::int AS n FROM pg_stat_subscription_stats',
      )
      assert.ok((errors?.n ?? 0) === 0, 'the subscription has stopped at an error')
      if (found?.done === true && table?.ready === true) return
      await sleep(50)
    }
  }
  const owned = stack.move()
  return { url, subscriber, received, run, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
}

async function write(url: string, day: number, rows: number): Promise<void> {
  await asked(
    url,
    `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp")
     SELECT 'tool', 'user@example.org', 'invoke', 'success', $1::timestamp + n * interval '1 second' FROM generate_series(1, $2::integer) AS n`,
    [midnight(day), rows],
  )
}

async function ids(url: string): Promise<readonly number[]> {
  return (await asked<{ id: number }>(url, 'SELECT id FROM audit_logs ORDER BY id')).map(({ id }) => id)
}

for (const major of POSTGRES_MAJORS) {
  for (const published of ['TABLE audit_logs', 'ALL TABLES']) {
    test(`postgres ${major}: a subscriber to ${published} has each row once, also those that start sets aside and undo moves back`, async () => {
      await using pair = await subscribed(major, (url) => write(url, -2, 500), published)
      const { url, subscriber, received, run } = pair
      const same = async (what: string): Promise<void> => {
        await received()
        assert.deepEqual(await ids(subscriber), await ids(url), what)
      }
      await write(url, 5, 50)
      await write(url, 700, 50)
      await same('before')
      await run('partition', 'start')
      await same('after partition start')
      await write(url, 6, 100)
      await write(url, 700, 10)
      await run('partition', 'undo')
      await write(url, 6, 20)
      await asked(url, 'DELETE FROM audit_logs WHERE id IN (SELECT id FROM audit_logs WHERE "timestamp" >= $1 ORDER BY id LIMIT 5)', [
        midnight(6),
      ])
      await same('after partition undo')
      assert.equal((await ids(subscriber)).length, 725)
    })
  }

  test(`postgres ${major}: a logical subscriber goes on across a conversion, new partitions and the undoing`, async () => {
    await using pair = await subscribed(major, (url) => write(url, -2, 500))
    const { url, subscriber, received, run } = pair
    await received()
    assert.equal((await ids(subscriber)).length, 500, 'the first copy')
    const same = async (what: string): Promise<void> => {
      await received()
      assert.deepEqual(await ids(subscriber), await ids(url), what)
    }
    await write(url, -1, 100)
    await run('partition', 'start')
    await write(url, -1, 100)
    await same('after partition start')
    await write(url, 5, 100)
    await same('rows of a partition of their own')
    await asked(url, 'DELETE FROM audit_logs WHERE "timestamp" >= $1', [midnight(5)])
    await same('rows that are deleted there')
    await run('--run-now', '--job', JOB)
    await run('partition', 'undo')
    await write(url, -1, 100)
    await asked(url, 'DELETE FROM audit_logs WHERE id IN (SELECT id FROM audit_logs ORDER BY id LIMIT 50)')
    await same('after partition undo')
    assert.equal((await ids(subscriber)).length, 750)
  })

  test(`postgres ${major}: a logical subscriber goes on when a partition is dropped, and keeps its rows; those that go by batches go there too`, async () => {
    await using pair = await subscribed(major, async (url) => {
      const outside = {
        url,
        sql: <Row>(text: string, values?: readonly (string | number | null)[]) => asked<Row>(url, text, values),
        [Symbol.asyncDispose]: async () => {},
      }
      await partitioned(outside, { boundDay: WHOLE, days: [WHOLE, WHOLE + 2] })
      for (let day = -2; day < 14; day += 1) await partition(outside, day)
      await write(url, WHOLE, 300)
      await write(url, WITH_KEPT, 200)
      await asked(url, `UPDATE audit_logs SET status = 'denied' WHERE id = (SELECT max(id) FROM audit_logs)`)
      await write(url, -1, 100)
      // Never expires: it moves to DEFAULT when the first partition goes.
      await asked(
        url,
        `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'timeless', 'a', 's', '-infinity')`,
      )
    })
    const { url, subscriber, received, run } = pair
    await received()
    assert.equal((await ids(subscriber)).length, 601)
    const log = await run('--run-now', '--job', JOB)
    assert.match(log, /"deleted":499[,}]/)
    for (const name of [nameOf(WHOLE), 'audit_logs_legacy'])
      assert.deepEqual(await asked(url, 'SELECT FROM pg_class WHERE relname = $1', [name]), [], `${name} went as a whole`)
    assert.deepEqual(await asked(url, `SELECT "user" FROM audit_logs_default`), [{ user: 'timeless' }])
    await write(url, -1, 100)
    await received()
    assert.deepEqual(await asked(subscriber, `SELECT count(*) AS n FROM audit_logs WHERE "timestamp" = '-infinity'`), [{ n: 1 }])
    const found = await asked<{ whole: number; kept: number; n: number }>(
      subscriber,
      `SELECT count(*) FILTER (WHERE "timestamp" < $2) AS whole, count(*) FILTER (WHERE status = 'denied') AS kept, count(*) AS n
       FROM audit_logs WHERE "timestamp" >= $1`,
      [midnight(WHOLE), midnight(WHOLE + 1)],
    )
    assert.deepEqual(
      found,
      [{ whole: 300, kept: 1, n: 501 }],
      'a DROP is not sent to a subscriber; batches are, and all that is written afterwards',
    )
  })
}

function nameOf(day: number): string {
  return `audit_logs_p${midnight(day).slice(0, 10).replaceAll('-', '')}`
}
