import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseError } from '../../src/database/database-error.ts'
import { archivedRows, freshFolder } from '../archive/support.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { Proxy } from '../faults/proxy.ts'
import { listening, made, opened, optionsFor } from '../migrations/support.ts'
import { command, events, start, type CommandOptions, type Line } from '../support/command.ts'
import { POSTGRES_MAJORS } from '../support/postgres-server.ts'
import { asked, bothHosts, ReplicatedPair } from '../support/standby.ts'

/** Rows that take this long to delete, so that there is time for a failover. */
const ROWS = 900
const SLOW = [
  `CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN NULL; END $$`,
  'CREATE TRIGGER slowly AFTER DELETE ON audit_logs FOR EACH ROW EXECUTE FUNCTION slowly()',
]
const EXPIRED = `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
  SELECT 'go-' || n, 'u', 'invoke', 'success', now() AT TIME ZONE 'UTC' - interval '100 days' - n * interval '1 second' FROM generate_series(1, ${ROWS}) AS n`
const FRESH = `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
  SELECT 'stay-' || n, 'u', 'invoke', 'success', now() AT TIME ZONE 'UTC' FROM generate_series(1, 200) AS n`
const PURGE = ['--run-now', '--job', 'purge-audit-logs']

/** Debug lines, because they tell how far the run is. */
function settings(pair: ReplicatedPair): CommandOptions['env'] & object {
  return { DATABASE_URL: bothHosts(pair), LOG_LEVEL: 'debug' }
}

async function withRows(pair: ReplicatedPair): Promise<void> {
  assert.equal((await command(['migrate'], { env: settings(pair) })).code, 0)
  for (const sql of [...SLOW, EXPIRED, FRESH]) await asked(pair.primaryUrl, sql)
  await pair.caughtUp()
}

function deletedMoreThan(rows: number): (line: Line) => boolean {
  return (line) => line['event'] === 'job.batch' && Number(line['total']) > rows
}

async function left(pair: ReplicatedPair): Promise<number> {
  const [row] = await asked<{ n: number }>(pair.primaryUrl, `SELECT count(*)::int AS n FROM audit_logs WHERE tool_name LIKE 'go-%'`)
  return row!.n
}

for (const major of POSTGRES_MAJORS) {
  test(`postgres ${major}: a purge goes on at the other host, and its record says how many rows came back`, async () => {
    await using pair = await ReplicatedPair.start(major)
    await withRows(pair)
    const running = start(PURGE, { env: settings(pair) })
    await running.line(deletedMoreThan(200))
    await pair.cutReplication()
    const [known] = await asked<{ n: number }>(pair.standbyUrl, 'SELECT rows_deleted::int AS n FROM maintenance_runs')
    await running.line(deletedMoreThan(known!.n + 100))
    const [held] = await asked<{ n: number }>(pair.primaryUrl, 'SELECT rows_deleted::int AS n FROM maintenance_runs')
    await pair.promoteStale()

    const ended = await running.ended
    assert.equal(ended.code, 0, ended.stdout)
    const [finished] = events(ended, 'job.finished')
    const cameBack = Number(finished?.['cameBack'])
    assert.equal(finished?.['outcome'], 'succeeded')
    assert.ok(
      cameBack >= held!.n - known!.n,
      `${cameBack} rows came back, and the record of the old primary had ${held!.n}, of the new one ${known!.n}`,
    )
    // The walk had passed them: they are left to the next run.
    assert.equal(await left(pair), cameBack)
    assert.equal(Number(finished['deleted']) + cameBack, ROWS)
    const sentence = new RegExp(`${cameBack.toLocaleString('en-US')} rows that this run had deleted came back`)
    assert.match(String(events(ended, 'job.warning').at(-1)?.['msg']), sentence)
    assert.match((await command(['history'], { env: settings(pair) })).stdout, sentence)
    assert.match((await command(['status'], { env: settings(pair) })).stdout, sentence)

    const next = await command(PURGE, { env: settings(pair) })
    assert.equal(events(next, 'job.finished')[0]?.['deleted'], cameBack)
    assert.equal(await left(pair), 0)
  })

  test(`postgres ${major}: a purge whose beginning the new primary has never heard of is begun again there`, async () => {
    await using pair = await ReplicatedPair.start(major)
    await withRows(pair)
    await pair.cutReplication()
    const running = start(PURGE, { env: settings(pair) })
    await running.line(deletedMoreThan(100))
    await pair.promoteStale()
    const ended = await running.ended
    assert.equal(ended.code, 0, ended.stdout)
    const [finished, second] = events(ended, 'job.finished')
    assert.equal(second, undefined)
    assert.deepEqual([finished?.['outcome'], finished?.['deleted']], ['succeeded', ROWS])
    assert.ok(Number(finished?.['cameBack']) > 100)
    assert.equal(await left(pair), 0)
    assert.deepEqual(await asked(pair.primaryUrl, 'SELECT outcome, rows_deleted::int AS n FROM maintenance_runs'), [
      { outcome: 'succeeded', n: ROWS },
    ])
  })

  test(`postgres ${major}: an archiving purge whose part the new primary has never heard of stops there, and archive reconcile is the way on`, async () => {
    await using folder = await freshFolder()
    await using pair = await ReplicatedPair.start(major)
    const env = { ...settings(pair), ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path }
    await withRows(pair)
    const running = start(PURGE, { env })
    // The record of the run is there, and the first part is not.
    await running.line((line) => line['event'] === 'job.started')
    await pair.cutReplication()
    await running.line(deletedMoreThan(100))
    await pair.promoteStale()
    const ended = await running.ended
    assert.equal(ended.code, 1, ended.stdout)
    assert.match(String(events(ended, 'job.finished')[0]?.['msg']), /are of runs that this database knows nothing of/)
    const [first] = await asked<{ head: string | null; position: number }>(
      pair.primaryUrl,
      'SELECT head, position::int FROM maintenance_archives',
    )
    assert.ok((first?.position ?? 0) === 0, 'files were numbered beside those that the database does not know')

    assert.equal((await command(['archive', 'reconcile'], { env })).code, 0)
    const next = await command(PURGE, { env })
    assert.equal(next.code, 0, next.stdout)
    const marks = (await archivedRows(folder.path)).map((row) => String(row['tool_name']))
    assert.deepEqual([marks.length, new Set(marks).size], [ROWS, ROWS])
    assert.equal((await command(['archive', 'verify'], { env })).code, 0)
  })

  test(`postgres ${major}: a migration that a failover cuts off is applied at the other host, once`, async () => {
    await using pair = await ReplicatedPair.start(major)
    await using database = await opened(bothHosts(pair), { connectTimeoutMs: 30_000 })
    const told = listening()
    const files = [
      ...made('001_a', 'CREATE TABLE a (n INTEGER);'),
      ...made('002_b', 'CREATE TABLE b (n INTEGER); SELECT pg_sleep(2); INSERT INTO b VALUES (1);'),
    ]
    const migrating = migrate(optionsFor(database, files, { listener: told.listener }))
    while (
      (await asked(pair.primaryUrl, `SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(2)%' AND pid <> pg_backend_pid()`)).length ===
      0
    )
      await sleep(20)
    await pair.switchOver()
    await migrating
    assert.deepEqual(told.events, ['applied 1', 'applied 2', 'current 2/2'])
    assert.deepEqual(await asked(pair.primaryUrl, 'SELECT n FROM b'), [{ n: 1 }])
  })
}

test('a statement to a server that has vanished is given up once another one takes the writes, and a slow one on a server that is there is not', async () => {
  await using pair = await ReplicatedPair.start(POSTGRES_MAJORS.at(-1)!)
  await using first = await Proxy.open(pair.primaryUrl)
  await using second = await Proxy.open(pair.standbyUrl)
  const url = bothHosts({ primaryUrl: first.through(pair.primaryUrl).href, standbyUrl: second.through(pair.standbyUrl).href })
  const lost: string[] = []
  const listener = {
    created: () => {},
    warning: () => {},
    note: () => {},
    awaiting: () => {},
    regained: () => {},
    lost: ({ message }: Error) => void lost.push(message),
  }
  await using database = await opened(url, { listener })
  await database.query('SELECT pg_sleep(6)')
  assert.deepEqual(lost, [])

  const startedMs = performance.now()
  const waiting = database.query('SELECT pg_sleep(55)')
  first.vanish()
  await pair.failOver({})
  await assert.rejects(waiting, (error) => error instanceof DatabaseError && error.kind === 'lost')
  assert.deepEqual(lost, ['The server does not answer any more, and another one takes the writes.'])
  assert.ok(performance.now() - startedMs < 40_000)
  await database.reconnected(new AbortController().signal)
  assert.equal((await database.query('SELECT 1')).rows.length, 1)
})
