import assert from 'node:assert/strict'
import { test } from 'node:test'
import { graceOf, JOBS } from '../../src/catalogue.ts'
import { command, events } from '../support/command.ts'
import { MINUTE } from '../../src/time/clock.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { count, migrated, run } from './support.ts'

const BY_EXPIRY = JOBS.filter((job) => graceOf(job) !== undefined)

/** What the other columns of these tables need. */
const ROWS: Readonly<Record<string, { readonly columns: string; readonly values: string }>> = {
  sessions: { columns: 'session_token, user_identifier', values: "'s' || $1, 'u'" },
  policy_decisions: { columns: 'user_identifier, resource, action, decision', values: `'u' || $1, 'r', 'a', 'allow'` },
  rate_limits: { columns: 'subject, resource, window_start, window_seconds', values: `'u' || $1, 'r', $moment, 60` },
}

async function expiredSince(outside: TestDatabase, engine: TestEngine, table: string, seconds: number): Promise<void> {
  const { columns, values } = ROWS[table]!
  const moment = engine.moment(-seconds)
  await outside.sql(`INSERT INTO ${table} (${columns}, expires_at) VALUES (${values.replace('$moment', moment)}, ${moment})`, [
    String(seconds),
  ])
}

for (const engine of BOTH_ENGINES) {
  for (const job of BY_EXPIRY) {
    test(`${engine.name}: ${job.name} keeps rows for the grace after they have expired, and counts them only from then on`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      for (const seconds of [-60, 30, 240, 400, 4_000]) await expiredSince(outside, engine, job.table, seconds)
      for (const [graceMs, expired, left] of [
        [5 * MINUTE, 2, 3],
        [0, 2, 1],
      ] as const) {
        const dry = await run(database, { job, graceMs, dryRun: true })
        assert.deepEqual([dry.expired, dry.deleted], [expired, 0])
        assert.equal((await run(database, { job, graceMs })).deleted, expired)
        assert.equal(await count(outside, job.table), left)
      }
    })
  }
}

/** The grace of purge-sessions, and how many rows wait. */
async function backlog(settings: Record<string, string>): Promise<unknown> {
  const status = JSON.parse((await command(['status', '--json'], { env: settings })).stdout) as {
    jobs: { job: string; grace: string | null; backlog: { rows: number } }[]
  }
  return status.jobs.flatMap(({ job, grace, backlog: { rows } }) => (job === 'purge-sessions' ? [grace, rows] : []))
}

test('a grace is set in the environment, and status counts by it', async () => {
  const engine = BOTH_ENGINES[0]!
  await using fixture = await migrated(engine)
  for (const seconds of [30, 400]) await expiredSince(fixture.outside, engine, 'sessions', seconds)
  const env = { DATABASE_URL: fixture.outside.url }
  assert.deepEqual(await backlog({ ...env, SESSIONS_GRACE: '5m' }), ['5m', 1])
  assert.deepEqual(await backlog(env), ['0s', 2])
  const ran = await command(['--run-now', '--job', 'purge-sessions'], { env: { ...env, SESSIONS_GRACE: '5m' } })
  assert.equal(events(ran, 'job.finished')[0]!['deleted'], 1)
})
