import assert from 'node:assert/strict'
import { test } from 'node:test'
import { graceOf, JOBS } from '../../src/catalogue.ts'
import { command, events } from '../support/command.ts'
import { ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { migrated } from './support.ts'

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

for (const engine of ENGINES) {
  for (const { name, table, keep } of BY_EXPIRY) {
    test(`${engine.name}: ${name} keeps rows for the grace after they have expired, and counts them only from then on`, async () => {
      await using fixture = await migrated(engine)
      for (const seconds of [-60, 30, 240, 400, 4_000]) await expiredSince(fixture.outside, engine, table, seconds)
      const env = { DATABASE_URL: fixture.outside.url }
      const graced = { ...env, [keep.environment]: '5m' }
      const left = async (): Promise<number> => (await fixture.outside.sql(`SELECT 1 AS one FROM ${table}`)).length
      const only = ['--job', name]

      const waiting = async (settings: Record<string, string>): Promise<unknown> => {
        const status = JSON.parse((await command(['status', '--json'], { env: settings })).stdout) as {
          jobs: { job: string; grace: string; backlog: { rows: number } }[]
        }
        const { grace, backlog } = status.jobs.find(({ job }) => job === name)!
        return [grace, backlog.rows]
      }
      assert.deepEqual(await waiting(graced), ['5m', 2])
      assert.deepEqual(await waiting(env), ['0s', 4])

      const dry = events(await command(['--run-now', '--dry-run', ...only], { env: graced }), 'job.finished')
      assert.deepEqual(
        dry.map(({ expired }) => expired),
        [2],
      )
      assert.equal(events(await command(['--run-now', ...only], { env: graced }), 'job.finished')[0]!['deleted'], 2)
      assert.equal(await left(), 3)
      assert.equal(events(await command(['--run-now', ...only], { env }), 'job.finished')[0]!['deleted'], 2)
      assert.equal(await left(), 1)
    })
  }
}
