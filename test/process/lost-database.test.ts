import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { JOBS } from '../../src/catalogue.ts'
import { expiredSessions, count } from '../runs/support.ts'
import { command, events, start, type Ended, type Running } from '../support/command.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { NEXT_MIGRATION, packageWith } from '../support/package-root.ts'
import { POSTGRES_MAJORS, startPostgres, type PostgresMajor } from '../support/postgres-server.ts'

const TERMINATE = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'mcp-gateway-maintenance%'`

async function deleted(database: TestDatabase): Promise<number> {
  return (await database.sql<{ n: number }>('SELECT coalesce(sum(rows_deleted), 0)::bigint AS n FROM maintenance_runs'))[0]!.n
}

for (const engine of ENGINES.filter(({ name }) => name !== 'sqlite')) {
  test(`${engine.name}: a connection lost in mid-run and again while idle is one line each to lose and to regain, and the work is done`, async () => {
    await using database = await engine.fresh()
    const env = { DATABASE_URL: database.url, PURGE_SESSIONS_SCHEDULE: '* * * * * *' }
    assert.equal((await command(['migrate'], { env })).code, 0)
    await expiredSessions(database, engine, 60_000)
    const worker = start([], { env })
    while ((await deleted(database)) === 0) await sleep(2)
    await database.sql(TERMINATE)
    const finished = await worker.line((line) => line['event'] === 'job.finished' && Number(line['deleted']) > 0)
    assert.deepEqual([finished['outcome'], finished['deleted']], ['succeeded', 60_000])
    assert.equal(await count(database, 'sessions'), 0)

    await sleep(300)
    await database.sql(TERMINATE)
    await expiredSessions(database, engine, 5)
    await worker.line((line) => line['event'] === 'job.finished' && line['deleted'] === 5)
    worker.kill('SIGTERM')
    const ended = await worker.ended
    assert.equal(ended.code, 0)
    assert.equal(events(ended, 'database.lost').length, 2)
    assert.equal(events(ended, 'database.regained').length, 2)
    assert.deepEqual(
      events(ended, 'job.finished').filter((line) => line['outcome'] === 'failed'),
      [],
    )
    assert.equal(await deleted(database), 60_005)
  })
}

/** As long as a start waits, and so as long as a run that ends waits for a server that was stopped. */
const CONNECT_TIMEOUT_MS = 3_000

for (const major of POSTGRES_MAJORS) {
  test(`postgres ${major}: --run-now waits no longer than at the start for a server that is stopped in mid-run and stays away`, async () => {
    await using server = await stoppable(major)
    const env = { DATABASE_URL: server.url, DATABASE_CONNECT_TIMEOUT: `${CONNECT_TIMEOUT_MS}ms` }
    assert.equal((await command(['migrate'], { env })).code, 0)
    await server.admin.query(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
      SELECT 't', 'u', 'a', 's', CASE WHEN n <= 200 THEN now() ELSE now() - interval '100 days' END FROM generate_series(1, 200199) AS n`)
    const running = start(['--run-now'], { env })
    for (let begun = false; !begun; await sleep(2)) {
      begun = (await server.admin.query('SELECT FROM maintenance_runs WHERE rows_deleted > 0')).rows.length > 0
    }
    const ended = await endedAfterStop(server, running)

    assert.equal(ended.code, 3, ended.stdout)
    assert.equal(events(ended, 'database.lost').length, 1)
    const jobs = events(ended, 'job.finished')
    assert.deepEqual(
      jobs.map((line) => [line['job'], line['outcome']]),
      JOBS.map((job) => [job.name, 'failed']),
    )
    assert.match(
      String(jobs[0]?.['msg']),
      /cannot be reached: .* \(tried \d+ times in [1-3](?:\.\d)? s\)\. What was committed before the connection was lost is kept; the rest was not done\./,
    )
    const rows = Number(jobs[0]?.['deleted'])
    assert.ok(rows > 0 && rows < 199_999, `${rows} rows`)
  })

  test(`postgres ${major}: migrate does the same, and says that the next start finds out whether the current file was applied`, async () => {
    await using server = await stoppable(major)
    await using program = await packageWith({
      [`${NEXT_MIGRATION}_slow.sql`]: 'SELECT pg_sleep(60);\n',
      [`${NEXT_MIGRATION}_slow_sqlite.sql`]: 'SELECT 1;\n',
    })
    const env = { DATABASE_URL: server.url, DATABASE_CONNECT_TIMEOUT: `${CONNECT_TIMEOUT_MS}ms` }
    const running = start(['migrate'], { env, packageRoot: program.root })
    for (let asleep = false; !asleep; await sleep(20)) {
      asleep = (await server.admin.query(`SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)).rows.length > 0
    }
    const ended = await endedAfterStop(server, running)
    assert.equal(ended.code, 3, ended.stdout)
    const told = events(ended, 'program.failed').map((line) => String(line['msg']))
    assert.match(
      told.join('\n'),
      /_slow\.sql:1:1 \(statement 1\)[^]*cannot be reached[^]*It is not known whether [^]*_slow\.sql was applied\. The next start finds out\.$/,
    )
  })
}

interface StoppableServer extends AsyncDisposable {
  readonly url: string
  readonly admin: Client
  stop(): Promise<void>
}

/** A server of the test's own. */
async function stoppable(major: PostgresMajor): Promise<StoppableServer> {
  const server = await startPostgres(major)
  const admin = new Client({ connectionString: server.url })
  admin.on('error', () => {})
  await admin.connect()
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= server.stop())
  return { url: server.url, admin, stop, [Symbol.asyncDispose]: stop }
}

async function endedAfterStop(server: StoppableServer, running: Running): Promise<Ended> {
  await server.stop()
  const stoppedMs = performance.now()
  const ended = await running.ended
  const tookMs = performance.now() - stoppedMs
  // One more second and a little for each job that asks again.
  assert.ok(tookMs < CONNECT_TIMEOUT_MS + 10_000, `${Math.round(tookMs)} ms`)
  return ended
}

for (const engine of ENGINES.filter(({ name }) => name !== 'sqlite')) {
  test(`${engine.name}: a connection that is lost while no run comes is made again at once`, async () => {
    await using database = await engine.fresh()
    const never = Object.fromEntries(JOBS.map((job) => [`${job.environment}_SCHEDULE`, '0 0 29 2 *']))
    const worker = start([], { env: { DATABASE_URL: database.url, SCHEDULE_CATCH_UP: 'false', ...never } })
    await worker.line((line) => line['event'] === 'migrations.current')
    await database.sql(TERMINATE)
    await worker.line((line) => line['event'] === 'database.regained')
    worker.kill('SIGTERM')
    assert.equal((await worker.ended).code, 0)
  })
}
