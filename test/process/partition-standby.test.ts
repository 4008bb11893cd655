import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { command } from '../support/command.ts'
import { midnight, partition, partitioned } from '../support/partitioned.ts'
import { POSTGRES_MAJORS } from '../support/postgres-server.ts'
import { asked, ReplicatedPair } from '../support/standby.ts'
import { until } from '../support/until.ts'

/** PostgreSQL's own default is 30 s. */
const DELAY_MS = 2_000
/** The standby looks at its delay, cancels, and goes on: more than this is a machine that is busy. */
const SLACK_MS = 20_000
const EXPIRED = -95

const READING = `state = 'active' AND wait_event = 'PgSleep' AND query LIKE '%FROM audit_logs'`

interface LongReader {
  /** With what the server said when it was cancelled. */
  readonly ended: Promise<string>
  readonly isReading: () => Promise<boolean>
  readonly cancel: () => Promise<unknown>
}

/** A statement on the standby that goes on until it is cancelled, and reads the whole table. Resolves when the primary knows of it. */
async function longReader({ primaryUrl, standbyUrl: url }: ReplicatedPair): Promise<LongReader> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  const ended = client
    .query('SELECT count(*), pg_sleep(60) FROM audit_logs')
    .then(
      () => 'it was not cancelled',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
    .then(async (outcome) => {
      await client.end().catch(() => {})
      return outcome
    })
  const isReading = async (): Promise<boolean> => (await asked(url, `SELECT FROM pg_stat_activity WHERE ${READING}`)).length > 0
  await until('the standby is read', async () => (await isReading()) || undefined)
  await until('the primary is told of it', async () => {
    const found = await asked(primaryUrl, 'SELECT FROM pg_stat_replication WHERE backend_xmin IS NOT NULL')
    return found.length > 0 || undefined
  })
  return { ended, isReading, cancel: () => asked(url, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE ${READING}`) }
}

/** For how long nothing is replayed on the standby, at most, although the primary writes all the time. */
function watchReplay({ primaryUrl, standbyUrl }: ReplicatedPair): { readonly end: () => Promise<number> } & AsyncDisposable {
  const ending = new AbortController()
  const work = (async () => {
    let longestMs = 0
    let [last, sinceMs] = ['', performance.now()]
    while (!ending.signal.aborted) {
      await asked(primaryUrl, 'SELECT txid_current()')
      const [found] = await asked<{ at: string }>(standbyUrl, 'SELECT pg_last_wal_replay_lsn()::text AS at')
      if (found!.at !== last) [last, sinceMs] = [found!.at, performance.now()]
      longestMs = Math.max(longestMs, performance.now() - sinceMs)
      await sleep(20)
    }
    return longestMs
  })()
  // A body that fails stops the servers under it: what failed first is what is told.
  work.catch(() => {})
  const end = (): Promise<number> => {
    ending.abort()
    return work
  }
  return { end, [Symbol.asyncDispose]: async () => void (await end().catch(() => {})) }
}

for (const major of POSTGRES_MAJORS) {
  test(`postgres ${major}: conversion, drop and undoing wait on a standby for a long reader, no longer than max_standby_streaming_delay, which then cancels it, whatever hot_standby_feedback says; batches do not`, async (t) => {
    const settings = { max_standby_streaming_delay: `${DELAY_MS}ms`, hot_standby_feedback: 'on', wal_receiver_status_interval: '1s' }
    await using pair = await ReplicatedPair.start(major, { servers: [{}, { settings }] })
    const { primaryUrl, standbyUrl } = pair
    const run = async (...words: string[]): Promise<string> => {
      const { code, stdout, stderr } = await command(words, { env: { DATABASE_URL: primaryUrl } })
      assert.equal(code, 0, `${words.join(' ')}\n${stdout}${stderr}`)
      return stdout
    }
    const write = (day: number): Promise<unknown> =>
      asked(
        primaryUrl,
        `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 'tool', 'u', 'invoke', 'success', $1::timestamp FROM generate_series(1, 500)`,
        [midnight(day)],
      )
    const beside = async (what: string, work: () => Promise<unknown>): Promise<void> => {
      await pair.caughtUp()
      const reader = await longReader(pair)
      await using replay = watchReplay(pair)
      await work()
      await pair.caughtUp()
      assert.match(await reader.ended, /conflict with recovery/, what)
      const stoodMs = await replay.end()
      t.diagnostic(`${what}: replay stood for ${Math.round(stoodMs)} ms, of ${DELAY_MS}`)
      assert.ok(stoodMs > DELAY_MS / 2, `${what}: the standby did not wait for its reader`)
      assert.ok(stoodMs < DELAY_MS + SLACK_MS, `${what}: the standby stood for ${stoodMs} ms`)
      const counted = 'SELECT count(*)::integer AS n, sum(id)::integer AS sum FROM audit_logs'
      assert.deepEqual(await asked(standbyUrl, counted), await asked(primaryUrl, counted), `${what}: the same rows on both`)
    }

    await run('migrate')
    await write(EXPIRED)
    await write(-1)
    await pair.caughtUp()
    const undisturbed = await longReader(pair)
    assert.match(await run('--run-now', '--job', 'purge-audit-logs'), /"deleted":500[,}]/)
    await asked(primaryUrl, 'VACUUM audit_logs')
    // All of it is replayed, and the reader is still there.
    await pair.caughtUp()
    assert.ok(await undisturbed.isReading(), 'batches, and the vacuum after them')
    await undisturbed.cancel()
    assert.match(await undisturbed.ended, /user request/)
    await beside('partition start', () => run('partition', 'start'))
    await beside('partition undo', () => run('partition', 'undo'))

    const outside = {
      url: primaryUrl,
      sql: <Row>(text: string, values?: readonly (string | number | null)[]) => asked<Row>(primaryUrl, text, values),
      [Symbol.asyncDispose]: async () => {},
    }
    await asked(primaryUrl, 'DELETE FROM audit_logs')
    await partitioned(outside, { boundDay: EXPIRED, days: [EXPIRED, EXPIRED + 1] })
    for (let day = -2; day < 14; day += 1) await partition(outside, day)
    const gone = `audit_logs_p${midnight(EXPIRED).slice(0, 10).replaceAll('-', '')}`
    await write(EXPIRED)
    await write(-1)
    await beside('the drop of a partition', async () => {
      const log = await run('--run-now', '--job', 'purge-audit-logs')
      const [left] = await asked<{ n: number }>(primaryUrl, 'SELECT count(*) AS n FROM pg_class WHERE relname = $1', [gone])
      assert.equal(left!.n, 0, `the partition went as a whole\n${log}`)
    })
  })
}
