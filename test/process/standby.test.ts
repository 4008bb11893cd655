import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { Proxy } from '../faults/proxy.ts'
import { command, events, start, type Ended, type Line, type Running } from '../support/command.ts'
import { samplesOf } from '../support/exposition.ts'
import { POSTGRES_MAJORS, startPostgres } from '../support/postgres-server.ts'
import { ReplicatedPair } from '../support/standby.ts'

const EVERY_SECOND = { PURGE_SESSIONS_SCHEDULE: '* * * * * *', HTTP_ENABLED: 'true', HTTP_PORT: '0' }
const EXPIRED = `INSERT INTO sessions (session_token, user_identifier, expires_at)
  SELECT gen_random_uuid()::text, 'u', now() AT TIME ZONE 'UTC' - interval '1 hour' FROM generate_series(1, 10)`

async function ask(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

interface Shown {
  readonly attention: readonly string[]
  readonly connected: number | undefined
}

async function shown(worker: Running): Promise<Shown> {
  const url = String((await worker.line((line) => line['event'] === 'http.listening'))['url'])
  const { attention } = (await (await fetch(`${url}/status`)).json()) as { attention: string[] }
  const samples = samplesOf(await (await fetch(`${url}/metrics`)).text())
  return { attention, connected: samples.get('mcp_maintenance_database_connected') }
}

/** Until it is so; a test that waits in vain fails by its time limit. */
async function until(worker: Running, holds: (shown: Shown) => boolean): Promise<Shown> {
  for (;;) {
    const found = await shown(worker)
    if (holds(found)) return found
    await sleep(200)
  }
}

/** On a machine that is busy the database may take its time to answer. */
const WELL = ({ attention, connected }: Shown): boolean => attention.length === 0 && connected === 1

function succeededAfter(worker: Running, momentMs: number): Promise<Line> {
  return worker.line(
    (line) => line['outcome'] === 'succeeded' && line['job'] === 'purge-sessions' && Date.parse(String(line['time'])) > momentMs,
  )
}

async function endedWell(worker: Running): Promise<Ended> {
  worker.kill('SIGTERM')
  const ended = await worker.ended
  assert.equal(ended.code, 0, ended.stdout)
  assert.deepEqual(
    events(ended, 'job.finished').filter((line) => line['outcome'] === 'failed'),
    [],
  )
  return ended
}

async function saysStandby(url: string): Promise<boolean | null> {
  const { stdout } = await command(['status', '--json'], { env: { DATABASE_URL: url } })
  return (JSON.parse(stdout) as { database: { standby: boolean | null } }).database.standby
}

/** Where the server has TLS the worker takes it; what is tested here is the same without. */
const NO_TLS = '?sslmode=disable'

for (const major of POSTGRES_MAJORS) {
  test(`postgres ${major}: a worker that lands on a standby says so everywhere, does not stay there, and no run fails`, async () => {
    await using pair = await ReplicatedPair.start(major)
    await using proxy = await Proxy.open(pair.primaryUrl)
    const url = proxy.through(pair.primaryUrl).href + NO_TLS
    const worker = start([], { env: { DATABASE_URL: url, ...EVERY_SECOND }, timeoutMs: 115_000 })
    await succeededAfter(worker, 0)
    await pair.caughtUp()
    await until(worker, WELL)

    await ask(pair.primaryUrl, EXPIRED)
    proxy.leadTo(pair.standbyUrl)
    const awaiting = await worker.line((line) => line['event'] === 'database.awaiting')
    assert.equal(awaiting['err'], 'is a standby and takes no writes')
    const there = await until(worker, ({ attention }) => attention.some((each) => each.includes('standby')))
    assert.match(there.attention.join('\n'), /^The connection to PostgreSQL is lost: 127\.0\.0\.1:\d+ is a standby and takes no writes$/)
    assert.equal(there.connected, 0)
    const refused = await command(['--run-now'], { env: { DATABASE_URL: url, DATABASE_CONNECT_TIMEOUT: '1s' } })
    assert.equal(refused.code, 3)
    assert.match(
      String(events(refused, 'program.failed')[0]?.['msg']),
      /is a standby and takes no writes \(tried [^)]+\)\. Nothing was changed\. Point DATABASE_URL at the primary\./,
    )
    const dry = await command(['--run-now', '--dry-run', '--job', 'purge-sessions'], { env: { DATABASE_URL: url } })
    assert.equal(dry.code, 0, dry.stdout)
    assert.match(dry.stdout, /connected to a standby: the data may be older/)
    const status = await command(['status'], { env: { DATABASE_URL: url } })
    assert.equal(status.code, 0)
    assert.match(status.stdout, /^database .*, a standby: what is shown may be older than on the primary$/m)
    assert.equal(await saysStandby(url), true)

    const backMs = Date.now()
    proxy.leadTo(pair.primaryUrl)
    await succeededAfter(worker, backMs)
    await until(worker, WELL)
    assert.equal(await saysStandby(url), false)
    assert.doesNotMatch((await command(['status'], { env: { DATABASE_URL: url } })).stdout, /standby/)
    const ended = await endedWell(worker)
    assert.equal(events(ended, 'database.lost').length, events(ended, 'database.regained').length)
  })

  test(`postgres ${major}: a server that takes no writes from one moment on, under an open connection, is a lost one until it does again`, async () => {
    const server = await startPostgres(major)
    try {
      const worker = start([], { env: { DATABASE_URL: server.url, ...EVERY_SECOND }, timeoutMs: 115_000 })
      await succeededAfter(worker, 0)
      await ask(server.url, 'ALTER SYSTEM SET default_transaction_read_only = on')
      await ask(server.url, 'SELECT pg_reload_conf()')
      const lost = await worker.line((line) => line['event'] === 'database.lost')
      assert.match(String(lost['err']), /^The server no longer takes writes: cannot execute \w+ in a read-only transaction/)
      const there = await until(worker, ({ attention }) => attention.some((each) => each.includes('default_transaction_read_only')))
      assert.equal(there.connected, 0)
      const refused = await command(['migrate'], { env: { DATABASE_URL: server.url } })
      assert.equal(refused.code, 3)
      assert.match(refused.stdout, /is read-only for this role \(default_transaction_read_only\)\. Nothing was changed/)

      const backMs = Date.now()
      await ask(server.url, 'ALTER SYSTEM RESET default_transaction_read_only')
      await ask(server.url, 'SELECT pg_reload_conf()')
      await succeededAfter(worker, backMs)
      await until(worker, WELL)
      await endedWell(worker)
    } finally {
      await server.stop()
    }
  })

  test(`postgres ${major}: a start that meets a standby waits for the primary, and migrates there`, async () => {
    await using pair = await ReplicatedPair.start(major)
    await using proxy = await Proxy.open(pair.standbyUrl)
    const url = proxy.through(pair.primaryUrl).href + NO_TLS
    const migrating = start(['migrate'], { env: { DATABASE_URL: url } })
    await migrating.line((line) => line['event'] === 'database.awaiting' && String(line['err']).includes('standby'))
    proxy.leadTo(pair.primaryUrl)
    assert.equal((await migrating.ended).code, 0)
  })
}
