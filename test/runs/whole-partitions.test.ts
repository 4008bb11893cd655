import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DAY, type EpochMs } from '../../src/time/clock.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { partitioned } from '../support/partitioned.ts'
import { placedHold } from './keeping.ts'
import { AUDIT_LOGS, count, migrated, run, stored, type Fixture, type Told } from './support.ts'

/** Rows of a day, at every hour of it. */
const A_DAY = 24
/** Of the retention of all runs here. */
const DAYS = 5
/** Where the partition of the oldest rows ends, and each day behind it has its own. */
const BOUND = -9
const OLDEST = -12

const POSTGRES = ENGINES.filter(({ name }) => name !== 'sqlite')

/** The beginning of a day, so many from today. */
function dayAt(day: number): EpochMs {
  return (Math.floor(Date.now() / DAY) + day) * DAY
}

/** Partitions, with rows of each day from `OLDEST` on, half of them Alice's. */
async function filled(outside: TestDatabase): Promise<void> {
  await partitioned(outside, { boundDay: BOUND, days: [BOUND, 3] })
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp")
     SELECT 't', CASE n % 2 WHEN 0 THEN 'alice' ELSE 'bob' END, 'invoke', 'success', date_trunc('day', now() AT TIME ZONE 'UTC') + make_interval(days => d, hours => n)
     FROM generate_series($1::integer, 0) AS d, generate_series(0, ${A_DAY - 1}) AS n WHERE d < 0 OR n = 0`,
    [OLDEST],
  )
}

const POLICY = { job: AUDIT_LOGS, retentionMs: DAYS * DAY } as const

async function names(outside: TestDatabase): Promise<string[]> {
  const rows = await outside.sql<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'audit_logs'::regclass ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

function partitionOf(day: number): string {
  return `audit_logs_p${new Date(dayAt(day)).toISOString().slice(0, 10).replaceAll('-', '')}`
}

async function exists(outside: TestDatabase, table: string): Promise<boolean> {
  return (await outside.sql<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [table]))[0]!.there
}

async function prepared(engine: (typeof POSTGRES)[number]): Promise<Fixture> {
  const fixture = await migrated(engine)
  await filled(fixture.outside)
  return fixture
}

for (const engine of POSTGRES) {
  describe(`whole partitions, on ${engine.name}`, () => {
    it('what has expired as a whole is dropped, the day of the cutoff goes row by row, and a dry run counts the same', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const told: Told = { warnings: [] }
      const before = await count(outside, 'audit_logs')
      const dry = await run(database, { ...POLICY, dryRun: true }, { partitions: true })
      const result = await run(database, POLICY, { partitions: true, told })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.deepEqual(told.warnings, [])
      assert.equal(result.deleted, dry.expired)
      assert.equal(before - (await count(outside, 'audit_logs')), result.deleted)
      const [kept] = await outside.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs WHERE "timestamp" < $1::timestamp', [
        new Date(result.cutoff!).toISOString().slice(0, -1),
      ])
      assert.equal(kept!.n, 0)
      const left = await names(outside)
      assert.ok(!left.includes('audit_logs_legacy') && !left.includes(partitionOf(-6)), String(left))
      assert.ok(left.includes(partitionOf(-5)) && left.includes(partitionOf(-4)), String(left))
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
      assert.equal(await count(outside, 'maintenance_detached'), 0)
      const [row] = await stored(outside)
      assert.deepEqual([row!.rows_deleted, row!.batches], [result.deleted, result.batches])
    })

    it('without PARTITIONS_ENABLED nothing is dropped', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const before = await names(outside)
      const result = await run(database, POLICY)
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.deepEqual(await names(outside), before)
    })

    it('a hold keeps its rows where everybody sees them, few of them in DEFAULT, and the rest of their partition goes', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      await placedHold(outside, 'case-1', { user: ['alice'] })
      const held = await aliceBefore(outside, dayAt(-DAYS))
      const result = await run(database, POLICY, { partitions: true })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(await aliceBefore(outside, dayAt(-DAYS)), held)
      assert.equal(await bobBefore(outside, dayAt(-DAYS)), 0)
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
      assert.equal(await count(outside, 'audit_logs_default'), held)
    })

    it('what a rule keeps stays in its partition, the others go row by row, and the partition goes once it is empty', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const rules = [{ name: 'security', match: { user: ['alice'] }, retentionMs: 7 * DAY }]
      const result = await run(database, { ...POLICY, rules }, { partitions: true })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      const left = await names(outside)
      assert.ok(!left.includes(partitionOf(-9)) && left.includes(partitionOf(-6)), String(left))
      assert.equal(await count(outside, partitionOf(-6)), A_DAY / 2)
      assert.equal(await bobBefore(outside, dayAt(-DAYS)), 0)
      assert.equal(await count(outside, 'audit_logs_default'), 0)
    })
  })
}

async function before(outside: TestDatabase, user: string, time: EpochMs): Promise<number> {
  const [row] = await outside.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs WHERE "user" = $1 AND "timestamp" < $2::timestamp', [
    user,
    new Date(time).toISOString().slice(0, -1),
  ])
  return row!.n
}

function aliceBefore(outside: TestDatabase, time: EpochMs): Promise<number> {
  return before(outside, 'alice', time)
}

function bobBefore(outside: TestDatabase, time: EpochMs): Promise<number> {
  return before(outside, 'bob', time)
}
