import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import { makeAhead, MAKING, type MadeAhead, type NotMade } from '../../src/runs/make-ahead.ts'
import type { KeptRows } from '../../src/runs/partition-terms.ts'
import { TERM_MS } from '../../src/runs/lease.ts'
import { matchOf } from '../../src/policy/match.ts'
import { DAY, hostClock, SECOND, type Clock } from '../../src/time/clock.ts'
import { POSTGRES_MAJORS } from '../support/databases.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { midnight, partition, partitioned } from '../support/partitioned.ts'
import { AUDIT_LOGS, intercepted, migrated, opened } from './support.ts'

const WINDOW = 14
const KEPT: KeptRows = { job: AUDIT_LOGS, retentionMs: 90 * DAY, rules: [] }

interface Making {
  readonly worker?: string
  readonly clock?: Clock
  readonly stopping?: AbortSignal
  readonly kept?: KeptRows
}

/** With pauses that take no time, unless a clock is given. */
function making(
  database: Database,
  { worker = 'host-a:1', clock = impatient().clock, stopping, kept = KEPT }: Making = {},
): Promise<MadeAhead> {
  return makeAhead({ database, clock, worker, stopping: stopping ?? new AbortController().signal }, kept, WINDOW * DAY)
}

/** The host's clock, which sleeps not at all, except while a lease is kept alive. */
function impatient(): { readonly clock: Clock; readonly slept: number[] } {
  const clock = hostClock()
  const slept: number[] = []
  const sleep: Clock['sleep'] = (ms, signal) => {
    if (ms === TERM_MS / 3) return clock.sleep(ms, signal)
    slept.push(ms)
    return clock.sleep(0, signal)
  }
  return { slept, clock: { ...clock, sleep } }
}

function texts(failed: readonly NotMade[]): string {
  return failed.map(({ text }) => text).join('\n')
}

function nameOf(day: number): string {
  return `audit_logs_p${midnight(day).slice(0, 10).replaceAll('-', '')}`
}

function daysFrom(first: number, last: number): readonly string[] {
  return Array.from({ length: last - first + 1 }, (_, at) => nameOf(first + at))
}

function leases(outside: TestDatabase): Promise<readonly unknown[]> {
  return outside.sql(`SELECT holder, expires_at AS until, fence FROM maintenance_leases WHERE job = '${MAKING}'`)
}

async function attached(outside: TestDatabase): Promise<readonly string[]> {
  const rows = await outside.sql<{ name: string }>(
    `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass AND inhrelid::regclass::text LIKE 'audit_logs_p2%' ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

async function constraints(outside: TestDatabase): Promise<number> {
  return (await outside.sql(`SELECT FROM pg_constraint WHERE conname = 'maintenance_partition_guard'`)).length
}

for (const engine of ENGINES) {
  it(`${engine.name}: a table that was not turned into partitions is left as it is, and no lease is taken`, async () => {
    await using fixture = await migrated(engine)
    assert.deepEqual(await making(fixture.database), { kind: 'nothing' })
    assert.deepEqual(await leases(fixture.outside), [])
  })
}

for (const major of POSTGRES_MAJORS) {
  const engine = ENGINES.find(({ name }) => name === `postgres ${major}`)!
  describe(`making partitions ahead on PostgreSQL ${major}`, () => {
    it('what is missing is made under a lease, which is given back; then nothing is done at all', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      // While there is a hold, a lease is refused to a worker that does not know of holds.
      await outside.sql(
        `INSERT INTO maintenance_holds (name, job, matches, reason, placed_by, placed_at) VALUES ('h', 'purge-audit-logs', '{}', 'r', 'p', 1)`,
      )
      assert.deepEqual(await making(database), { kind: 'done', made: daysFrom(4, WINDOW), skipped: [], failed: [] })
      const left = [{ holder: 'host-a:1 (knows holds)', until: 0, fence: 1 }]
      assert.deepEqual(await leases(outside), left)
      assert.deepEqual(await making(database), { kind: 'nothing' })
      assert.deepEqual(await leases(outside), left)
      assert.deepEqual(await outside.sql('SELECT FROM maintenance_runs'), [])
    })

    it('another worker that is at it is left alone; one that died is succeeded once its lease is over', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      await outside.sql(
        `INSERT INTO maintenance_leases (job, holder, fence, expires_at) VALUES ('${MAKING}', 'host-b:2 (knows holds)', 7, $1)`,
        [Date.now() + 10_000],
      )
      assert.deepEqual(await making(database), { kind: 'elsewhere' })
      assert.deepEqual(await attached(outside), daysFrom(2, 3))
      await outside.sql('UPDATE maintenance_leases SET expires_at = $1', [Date.now() - 1])
      assert.equal((await making(database)).kind, 'done')
      assert.deepEqual(await attached(outside), daysFrom(2, WINDOW))
    })

    it('a worker that loses its lease in the middle makes no more', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      let made = 0
      const losing = intercepted(database, async (number, transact) => {
        // The first takes the lease.
        if (number === 4) await outside.sql(`UPDATE maintenance_leases SET holder = 'host-b:2', fence = fence + 1`)
        if (number > 1 && number < 4) made += 1
        return transact()
      })
      const result = await making(losing)
      assert.deepEqual(result.kind === 'done' ? result.made : [], daysFrom(4, 3 + made))
      assert.match(result.kind === 'done' ? texts(result.failed) : '', /has lost the lease of make-partitions/)
      assert.deepEqual(await attached(outside), daysFrom(2, 3 + made))
    })

    it('behind a lock it tries a few times, names who has it, and leaves the rest to the next hour', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      await outside.sql('BEGIN')
      await outside.sql('SELECT count(*) FROM audit_logs_default')
      const { clock, slept } = impatient()
      const result = await making(database, { clock })
      await outside.sql('ROLLBACK')
      assert.equal(result.kind, 'done')
      assert.deepEqual(result.kind === 'done' && result.made, [])
      const failed = result.kind === 'done' ? texts(result.failed) : ''
      assert.match(
        failed,
        /^11 partitions of audit_logs were not made ahead, and will be tried again within the hour: held up by server process \d+ \(/,
      )
      assert.deepEqual(
        slept.filter((ms) => ms >= 2 * SECOND),
        [2 * SECOND, 4 * SECOND],
      )
      assert.equal((await making(database)).kind, 'done')
      assert.deepEqual(await attached(outside), daysFrom(2, WINDOW))
    })

    it('one day that cannot be made keeps no other from it', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      await outside.sql(`CREATE TABLE ${nameOf(6)} (id int); INSERT INTO ${nameOf(6)} VALUES (1)`)
      const result = await making(database)
      assert.deepEqual(result.kind === 'done' && result.made, [...daysFrom(4, 5), ...daysFrom(7, WINDOW)])
      assert.match(
        result.kind === 'done' ? texts(result.failed) : '',
        new RegExp(`^partition ${nameOf(6)} was not made: .*has rows, and is no partition`),
      )
    })

    it('away for a month and back: nothing fails, and what was left by one that died is taken back', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { boundDay: -30, days: [-30, -16] })
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't', 'u', 'a', 's', now() AT TIME ZONE 'UTC' - n * interval '1 minute' FROM generate_series(0, 15000) AS n`,
      )
      await outside.sql(
        `ALTER TABLE audit_logs_default ADD CONSTRAINT maintenance_partition_guard CHECK ("timestamp" < '${midnight(5)}' OR "timestamp" >= '${midnight(6)}') NOT VALID`,
      )
      const result = await making(database)
      assert.deepEqual(result.kind === 'done' && result.made, daysFrom(1, WINDOW))
      assert.deepEqual(result.kind === 'done' && result.failed, [])
      assert.match(result.kind === 'done' ? result.skipped.join() : '', /^DEFAULT has rows of/)
      assert.equal(await constraints(outside), 0)
      assert.equal((await outside.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs_default'))[0]!.n, 15_001)
      assert.deepEqual(await making(database), { ...result, made: [] })
    })

    it('killed after any of its transactions, the next one ends what it began', async () => {
      for (const after of [2, 3, 4, 5]) {
        await using fixture = await migrated(engine)
        const { outside, database } = fixture
        await partitioned(outside, { days: [2, WINDOW - 1] })
        await outside.sql(
          `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't', 'u', 'a', 's', '${midnight(60)}' FROM generate_series(0, 10000)`,
        )
        const killed = intercepted(database, (number, transact) => (number > after ? Promise.reject(new Error('killed')) : transact()))
        await making(killed)
        await outside.sql('UPDATE maintenance_leases SET expires_at = 1')
        await making(database, { worker: 'host-b:2' })
        assert.equal(await constraints(outside), 0, `after ${after}`)
        assert.deepEqual(await attached(outside), daysFrom(2, WINDOW), `after ${after}`)
      }
    })

    it('several workers at once make each partition once, and none of them fails', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      await using second = await opened(outside.url)
      await using third = await opened(outside.url)
      const results = await Promise.all([database, second, third].map((each, at) => making(each, { worker: `host:${at}` })))
      const made = results.flatMap((each) => (each.kind === 'done' ? each.made : []))
      assert.deepEqual(made.toSorted(), daysFrom(4, WINDOW))
      assert.deepEqual(
        results.flatMap((each) => (each.kind === 'done' ? each.failed : [])),
        [],
      )
      assert.deepEqual(await attached(outside), daysFrom(2, WINDOW))
    })

    it('a worker that is told to stop stops between two partitions, and gives the lease back', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      const stopping = new AbortController()
      const told = intercepted(database, (number, transact) => {
        if (number === 3) stopping.abort()
        return transact()
      })
      const result = await making(told, { stopping: stopping.signal })
      assert.deepEqual(result.kind === 'done' && result.made, daysFrom(4, 5))
      assert.deepEqual(await leases(outside), [{ holder: 'host-a:1 (knows holds)', until: 0, fence: 1 }])
    })

    it('a rule that keeps rows too long refuses more partitions, but only while it matches rows', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      const match = matchOf({ status: ['denied'] })
      assert.ok(match)
      const kept: KeptRows = { ...KEPT, rules: [{ name: 'security', match, retentionMs: 400 * DAY }] }
      await partition(outside, 4)
      await outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('t', 'u', 'a', 'denied')`)
      const refused = await making(database, { kept })
      assert.match(refused.kind === 'done' ? texts(refused.failed) : '', /Rule "security" keeps rows for 400d/)
      assert.deepEqual(await attached(outside), daysFrom(2, 4))
      await outside.sql(`DELETE FROM audit_logs`)
      assert.deepEqual((await making(database, { kept })).kind, 'done')
      assert.deepEqual(await attached(outside), daysFrom(2, WINDOW))
    })
  })
}
