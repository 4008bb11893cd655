import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Client } from 'pg'
import type { Database } from '../../../src/database/database.ts'
import type { Transaction } from '../../../src/database/query.ts'
import type { Ahead, MakingStep, Missing, PartitionTerms } from '../../../src/database/partitioning.ts'
import { plannedWays } from '../../../src/database/postgres/partitioning/making.ts'
import { midnight as midnightBound } from '../../../src/database/postgres/partitioning/days.ts'
import { DAY, HOUR, hostClock } from '../../../src/time/clock.ts'
import { migrated, opened } from '../../runs/support.ts'
import { POSTGRES_MAJORS } from '../../support/databases.ts'
import { converted } from '../../support/converting.ts'
import { ENGINES, type TestDatabase } from '../../support/engines.ts'
import { midnight, partition, partitioned } from '../../support/partitioned.ts'
import { purgedByAnother, quoted, urlOf } from './partition-roles.ts'

const COLUMN = { table: 'audit_logs', column: 'timestamp' }
const WINDOW = 14

function termsAt(now = Date.now(), aheadMs = WINDOW * DAY): PartitionTerms {
  return { now, aheadMs, periods: [{ name: 'AUDIT_LOGS_RETENTION', keptMs: 90 * DAY }] }
}

async function aheadOf(database: Database, terms = termsAt()): Promise<Ahead> {
  const partitions = database.partitions(COLUMN)
  assert.ok(partitions)
  return partitions.ahead(terms.now + terms.aheadMs, terms)
}

async function missingOf(database: Database, terms = termsAt()): Promise<Missing> {
  const ahead = await aheadOf(database, terms)
  assert.ok(ahead.kind === 'missing', JSON.stringify(ahead))
  return ahead
}

/** Does what is to be done, and answers with the names of what was made. */
async function made(database: Database, terms = termsAt()): Promise<readonly string[]> {
  const { partitions, leftover } = await missingOf(database, terms)
  const names: string[] = []
  if (leftover !== undefined) await done(database, leftover)
  for (const { name, steps } of partitions) {
    const results: string[] = []
    for (const step of steps) results.push(await done(database, step))
    if (results.every((each) => each === 'made')) names.push(name)
  }
  return names
}

function done(database: Database, step: MakingStep): Promise<string> {
  return database.transaction((tx) => step.run(tx), { takesMs: step.takesMs })
}

function nameOf(day: number): string {
  return `audit_logs_p${midnight(day).slice(0, 10).replaceAll('-', '')}`
}

function daysFrom(first: number, last: number): readonly string[] {
  return Array.from({ length: last - first + 1 }, (_, at) => nameOf(first + at))
}

async function boundsOf(outside: TestDatabase): Promise<Readonly<Record<string, string>>> {
  await outside.sql(`SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'`)
  const rows = await outside.sql<{ name: string; bound: string }>(
    `SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'audit_logs'::regclass ORDER BY 1`,
  )
  return Object.fromEntries(rows.map(({ name, bound }) => [name, bound]))
}

/** Rows of these days, so many an hour after each midnight. */
function written(outside: TestDatabase, days: readonly [number, number], rows = 1): Promise<unknown> {
  return outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp")
     SELECT 't', 'u', 'a', 's', timestamp '${midnight(0)}' + day * interval '1 day' + interval '1 hour' FROM generate_series(1, ${rows}), generate_series(${days.join(', ')}) AS day`,
  )
}

/** Of every day up to the end of the window, what a row of that day goes to. */
async function placesOf(outside: TestDatabase, days: readonly [number, number]): Promise<readonly string[]> {
  await outside.sql('BEGIN')
  await written(outside, days)
  const rows = await outside.sql<{ name: string }>(
    `SELECT DISTINCT tableoid::regclass::text AS name, "timestamp" FROM audit_logs WHERE "timestamp" >= '${midnight(days[0])}' ORDER BY "timestamp"`,
  )
  await outside.sql('ROLLBACK')
  return [...new Set(rows.map(({ name }) => name))]
}

for (const major of POSTGRES_MAJORS) {
  const engine = ENGINES.find(({ name }) => name === `postgres ${major}`)!
  describe(`partitions ahead, on PostgreSQL ${major}`, () => {
    it('makes every day that is missing up to the end of the window, and then nothing', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      assert.deepEqual(await aheadOf(database), { kind: 'not-ours' })
      await partitioned(outside, { days: [2, 4] })
      assert.deepEqual(await made(database), daysFrom(4, WINDOW))
      assert.deepEqual(await made(database), [])
      assert.deepEqual(await placesOf(outside, [2, WINDOW]), daysFrom(2, WINDOW))
      assert.equal((await boundsOf(outside))[nameOf(5)], `FOR VALUES FROM ('${midnight(5)}') TO ('${midnight(6)}')`)
      await outside.sql('UPDATE maintenance_partitioned SET undoing_since = 1')
      assert.deepEqual(await aheadOf(database, termsAt(Date.now() + DAY)), { kind: 'not-ours' })
    })

    it('writes bounds that mean the same in every session: of the time’s type, of a German style, of the zone furthest ahead', async () => {
      for (const type of ['timestamp', 'timestamptz']) {
        await using fixture = await migrated(engine)
        const { outside } = fixture
        if (type === 'timestamptz')
          await outside.sql(`SET timezone = 'UTC'; DROP VIEW recent_audit_activity, policy_violations, tool_usage_stats;
            ALTER TABLE audit_logs ALTER "timestamp" TYPE timestamptz USING "timestamp" AT TIME ZONE 'UTC'`)
        await partitioned(outside, { days: [2, 4] })
        const [{ name }] = (await outside.sql<{ name: string }>('SELECT current_database() AS name')) as [{ name: string }]
        await outside.sql(
          `ALTER DATABASE "${name}" SET datestyle = 'German, DMY'; ALTER DATABASE "${name}" SET timezone = 'Pacific/Kiritimati'`,
        )
        await using database = await opened(outside.url, hostClock(), { timeZone: 'Pacific/Kiritimati' })
        const names = await made(database)
        assert.deepEqual(await made(database), [])
        // There it is tomorrow for fourteen hours of the day.
        const zone = type === 'timestamptz' ? '+00' : ''
        assert.ok(names.length >= WINDOW - 3 && names.length <= WINDOW - 2, names.join())
        assert.equal((await boundsOf(outside))[nameOf(5)], `FOR VALUES FROM ('${midnight(5)}${zone}') TO ('${midnight(6)}${zone}')`)
      }
    })

    it('days are those of the column’s clock, also where it changes: each has its partition once', async () => {
      const now = Date.UTC(2026, 2, 27, 23, 30)
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside, { boundDay: -400, days: [-400, -399] })
      await using database = await opened(outside.url, hostClock(), { timeZone: 'Europe/Berlin' })
      // Half past midnight of the 28th in Berlin; the clocks change in the night to the 29th, and back in October.
      assert.deepEqual(
        await made(database, termsAt(now, 3 * DAY)),
        ['28', '29', '30', '31'].map((day) => `audit_logs_p202603${day}`),
      )
      const back = Date.UTC(2026, 9, 24, 22, 30)
      assert.deepEqual(
        await made(database, termsAt(back, 2 * DAY)),
        ['25', '26'].map((day) => `audit_logs_p202610${day}`),
      )
      assert.deepEqual(await made(database, termsAt(back + 2 * HOUR, 2 * DAY)), ['audit_logs_p20261027'])
    })

    it('goes on behind what others have made, from their bounds and whatever its names, and fills gaps', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 3] })
      const attach = async (name: string, from: string, to: string): Promise<void> => {
        await outside.sql(`CREATE TABLE ${name} (LIKE audit_logs INCLUDING ALL EXCLUDING IDENTITY)`)
        await outside.sql(`ALTER TABLE audit_logs ATTACH PARTITION ${name} FOR VALUES FROM ('${from}') TO ('${to}')`)
      }
      await attach('weekly', midnight(4), midnight(6).replace('00:00:00', '18:30:00'))
      await attach('half', midnight(8).replace('00:00:00', '06:00:00'), midnight(9).replace('00:00:00', '06:00:00.25'))
      // A name that lies.
      await attach(nameOf(20), midnight(9).replace('00:00:00', '06:00:00.25'), midnight(10))
      const at = (day: number, clock: string): string => `${nameOf(day)}_${clock}`
      assert.deepEqual(await made(database), [nameOf(3), at(6, '183000'), nameOf(7), nameOf(8), ...daysFrom(10, WINDOW)])
      const bounds = await boundsOf(outside)
      assert.equal(bounds[at(6, '183000')], `FOR VALUES FROM ('${midnight(6).replace('00:00:00', '18:30:00')}') TO ('${midnight(7)}')`)
      assert.equal(bounds[nameOf(8)], `FOR VALUES FROM ('${midnight(8)}') TO ('${midnight(8).replace('00:00:00', '06:00:00')}')`)
      assert.equal((await placesOf(outside, [2, WINDOW])).includes('audit_logs_default'), false)
      await attach('rest', midnight(WINDOW + 1), midnight(WINDOW + 2))
      await outside.sql(
        `ALTER TABLE audit_logs DETACH PARTITION rest; ALTER TABLE audit_logs ATTACH PARTITION rest FOR VALUES FROM ('${midnight(WINDOW + 1)}') TO (MAXVALUE)`,
      )
      assert.deepEqual(await made(database, termsAt(Date.now(), 60 * DAY)), [])
    })

    it('away for a month and back: rows stay in DEFAULT, today’s go there until midnight, every later day is covered', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { boundDay: -30, days: [-30, -16] })
      await written(outside, [-16, 0], 3)
      const missing = await missingOf(database)
      assert.deepEqual(missing.skipped, [
        `DEFAULT has rows of ${midnight(0).slice(0, 10)} already, so that day has no partition of public.audit_logs: rows of it go to DEFAULT and are deleted in batches`,
      ])
      assert.deepEqual(await made(database), daysFrom(1, WINDOW))
      assert.deepEqual(await placesOf(outside, [1, WINDOW]), daysFrom(1, WINDOW))
      assert.deepEqual(await outside.sql(`SELECT count(*)::int AS rows FROM audit_logs_default`), [{ rows: 17 * 3 }])
      // One day further on a row came early: the others are made.
      await written(outside, [WINDOW + 3, WINDOW + 3])
      const later = termsAt(Date.now() + 4 * DAY)
      assert.deepEqual(await made(database, later), [...daysFrom(WINDOW + 1, WINDOW + 2), nameOf(WINDOW + 4)])
    })

    it('rows that come into DEFAULT after the look, and a partition that another worker makes at the same moment, are no failure', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      const terms = termsAt(Date.now(), 6 * DAY)
      const { partitions } = await missingOf(database, terms)
      assert.deepEqual(
        partitions.map(({ name }) => name),
        daysFrom(4, 6),
      )
      await partition(outside, 4)
      await written(outside, [5, 5])
      const results: string[] = []
      for (const { steps } of partitions) for (const step of steps) results.push(await done(database, step))
      assert.deepEqual(results, ['there', 'there', 'made'])
      assert.deepEqual(await placesOf(outside, [6, 6]), [nameOf(6)])
    })

    it('two workers at once: each partition is made once, and the one that is late takes no harm', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      await using other = await opened(outside.url)
      const steps = (await Promise.all([missingOf(database), missingOf(other)])).map(({ partitions }) =>
        partitions.flatMap((each) => each.steps),
      )
      const results: string[] = []
      for (const [at] of steps[0]!.entries()) {
        const both = await Promise.allSettled([done(database, steps[0]![at]!), done(other, steps[1]![at]!)])
        for (const each of both) {
          if (each.status === 'fulfilled') results.push(each.value)
          else assert.equal((each.reason as { kind: string }).kind, 'busy', String(each.reason))
        }
      }
      assert.equal(results.filter((each) => each === 'made').length, WINDOW - 3)
      assert.deepEqual(await placesOf(outside, [2, WINDOW]), daysFrom(2, WINDOW))
    })

    it('beside a DEFAULT with many rows these are looked at before, while others use it, and the constraint for it is gone again', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      await written(outside, [60, 60], 10_001)
      const { partitions } = await missingOf(database)
      assert.deepEqual(
        partitions.map(({ steps }) => steps.length),
        daysFrom(4, WINDOW).map(() => 3),
      )
      const client = new Client({ connectionString: outside.url })
      await client.connect()
      const notices: string[] = []
      client.on('notice', ({ message }) => void notices.push(message ?? ''))
      try {
        await client.query('SET client_min_messages = debug1')
        for (const step of partitions[0]!.steps) {
          await client.query('BEGIN; SET LOCAL row_security = off')
          assert.equal(await step.run(sessionOf(client)), 'made')
          // Nobody is kept from DEFAULT while its rows are looked at.
          if (step === partitions[0]!.steps[1])
            await outside.sql(
              `SET lock_timeout = '1s'; INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'u', 'a', 's', '${midnight(61)}')`,
            )
          await client.query('COMMIT')
        }
      } finally {
        await client.end()
      }
      assert.ok(
        notices.some((each) =>
          /updated partition constraint for default partition "audit_logs_default" is implied by existing constraints/.test(each),
        ),
        notices.join('\n'),
      )
      assert.deepEqual(await made(database), daysFrom(5, WINDOW))
      assert.deepEqual(
        await outside.sql(`SELECT conname FROM pg_constraint WHERE conrelid = 'audit_logs_default'::regclass AND contype = 'c'`),
        [],
      )
    })

    it('a role that may read the table dumps all of its partitions, those too that were made later', async (t) => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const reader = `reader-${randomBytes(4).toString('hex')}`
      await outside.sql(
        `CREATE ROLE ${quoted(reader)} LOGIN; GRANT SELECT ON audit_logs TO ${quoted(reader)}; GRANT SELECT ON SEQUENCE audit_logs_id_seq TO ${quoted(reader)}`,
      )
      try {
        await written(outside, [-1, 5])
        await converted(outside.url)
        assert.ok((await made(database, termsAt(Date.now(), 20 * DAY))).length > 0)
        await written(outside, [19, 19])
        const tables = await outside.sql<{ name: string }>(
          `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass`,
        )
        assert.ok(tables.length > 20)
        const client = new Client({ connectionString: urlOf(outside.url, reader) })
        await client.connect()
        try {
          // The statements that pg_dump sends.
          let rows = 0
          for (const { name } of tables) {
            await client.query(`BEGIN; LOCK TABLE ${name} IN ACCESS SHARE MODE`)
            rows += (await client.query(`SELECT * FROM ONLY ${name}`)).rows.length
            await client.query('COMMIT')
          }
          assert.equal(rows, 8)
        } finally {
          await client.end()
        }
        const version = await promisify(execFile)('pg_dump', ['--version']).catch(() => undefined)
        if (Number(/\) (\d+)/.exec(version?.stdout ?? '')?.[1] ?? 0) < major)
          return t.diagnostic('no pg_dump of this version on this machine')
        const { stdout } = await promisify(execFile)('pg_dump', ['--table=audit_logs*', `--dbname=${urlOf(outside.url, reader)}`])
        assert.equal(stdout.split('\n').filter((line) => /^\d+\tt\tu\ta\t/.test(line)).length, 8)
      } finally {
        await outside.sql(`DROP OWNED BY ${quoted(reader)}; DROP ROLE ${quoted(reader)}`)
      }
    })

    it('what an interrupted making has left is taken back by the next, whoever does it and though nothing is missing', async () => {
      await using place = await purgedByAnother(major, { functions: true, days: [2, 4] })
      const { outside, gateway, purger, database } = place
      await written(outside, [60, 60], 10_001)
      const { partitions } = await missingOf(database)
      await done(database, partitions[0]!.steps[0]!)
      const refused = written(outside, [4, 4])
      await assert.rejects(refused, /violates check constraint "maintenance_partition_guard"/)
      for (const { steps } of partitions.slice(1)) for (const step of steps) await done(database, step)
      await done(database, partitions[1]!.steps[0]!)
      await outside.sql(`CREATE TABLE ${nameOf(4)} (LIKE audit_logs INCLUDING ALL EXCLUDING IDENTITY)`)
      await outside.sql(`ALTER TABLE audit_logs ATTACH PARTITION ${nameOf(4)} FOR VALUES FROM ('${midnight(4)}') TO ('${midnight(5)}')`)
      const left = await missingOf(database)
      assert.deepEqual(left.partitions, [])
      assert.ok(left.leftover)
      await done(database, left.leftover)
      assert.deepEqual(await missingOf(database), { kind: 'missing', partitions: [], skipped: [], leftover: undefined })
      assert.deepEqual(
        await outside.sql(
          `SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname LIKE 'audit_logs_p2%'  AND relkind = 'r'`,
        ),
        [{ owner: gateway }],
      )
      assert.deepEqual(
        await outside.sql(
          `SELECT has_table_privilege('${purger}', '${nameOf(6)}', 'SELECT, DELETE') AS may, has_table_privilege('${purger}', '${nameOf(6)}', 'INSERT') AS more`,
        ),
        [{ may: true, more: false }],
      )
    })

    it('a role that may not: refused with what to run; what forbids more partitions: refused before anything is made', async () => {
      await using place = await purgedByAnother(major, { functions: false, days: [2, 4] })
      const { outside, purger, database } = place
      const ahead = await aheadOf(database)
      assert.match(
        ahead.kind === 'refused' ? ahead.reasons.join() : '',
        /Partitions of public\.audit_logs are neither made nor dropped by the role purge-.*partition start$/,
      )
      await outside.sql('RESET ROLE')
      await using owner = await opened(outside.url)
      const long: PartitionTerms = { ...termsAt(), periods: [{ name: 'rule "security"', keptMs: undefined }] }
      const refused = await aheadOf(owner, long)
      assert.match(refused.kind === 'refused' ? refused.reasons.join() : '', /Rule "security" keeps rows for ever/)
      // Enough of them are there: then nothing has to be asked.
      assert.deepEqual(await made(owner), daysFrom(4, WINDOW))
      assert.equal((await missingOf(owner, long)).partitions.length, 0)
      assert.equal((await missingOf(database)).partitions.length, 0)
      await outside.sql(
        `CREATE TABLE part_config (parent_table text, retention text); INSERT INTO part_config VALUES ('public.audit_logs', '90 days'); GRANT SELECT ON part_config TO ${quoted(purger)}`,
      )
      const managed = await aheadOf(owner, termsAt(Date.now() + DAY))
      assert.match(managed.kind === 'refused' ? managed.reasons.join() : '', /because pg_partman has settings for the table too/)
    })

    it('a table without partitions beside it that bears the name of one keeps the others from nothing', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      await outside.sql(`CREATE TABLE ${nameOf(4)} (id int); INSERT INTO ${nameOf(4)} VALUES (1)`)
      const { partitions } = await missingOf(database, termsAt(Date.now(), 5 * DAY))
      await assert.rejects(done(database, partitions[0]!.steps[0]!), /is there, has rows, and is no partition of audit_logs/)
      assert.equal(await done(database, partitions[1]!.steps[0]!), 'made')
      await outside.sql(`DELETE FROM ${nameOf(4)}`)
      assert.deepEqual(await made(database, termsAt(Date.now(), 5 * DAY)), [nameOf(4)])
    })

    if (major >= 17)
      it('a copy that includes the identity could not be attached', async () => {
        await using fixture = await migrated(engine)
        await partitioned(fixture.outside, { days: [2, 3] })
        await fixture.outside.sql('CREATE TABLE copied (LIKE audit_logs INCLUDING ALL)')
        await assert.rejects(
          fixture.outside.sql(`ALTER TABLE audit_logs ATTACH PARTITION copied FOR VALUES FROM ('${midnight(3)}') TO ('${midnight(4)}')`),
          /contains an identity column/,
        )
      })
  })
}

function sessionOf(client: Client): Transaction {
  const query = async (sql: string, values: readonly unknown[] = []): Promise<{ rows: never[]; changed: number }> => {
    const { rows, rowCount } = await client.query<never>(sql, [...values])
    return { rows, changed: rowCount ?? 0 }
  }
  return { now: Date.now(), query }
}

describe('how a partition is made beside DEFAULT', () => {
  const now = Date.UTC(2026, 11, 1, 12)
  const gaps = [0, 1, 2, 3, 4].map((day) => {
    const at = Date.UTC(2026, 11, 1 + day)
    return { from: midnightBound(at, 'timestamp'), to: midnightBound(at + DAY, 'timestamp') }
  })
  const shape = (crowded: { readonly bytes: number } | undefined): readonly (string | undefined)[] => {
    const { ways, late } = plannedWays(gaps, crowded, now)
    return gaps.map((gap) => (late.includes(gap) ? undefined : ways.find((each) => each.gap === gap)?.way))
  }

  it('at once beside few rows; guarded where nobody can be writing yet; not at all where that would keep others waiting', () => {
    assert.deepEqual(shape(undefined), ['at once', 'at once', 'at once', 'at once', 'at once'])
    assert.deepEqual(shape({ bytes: 100 }), ['at once', 'at once', 'at once', 'guarded', 'guarded'])
    assert.deepEqual(shape({ bytes: 10 ** 9 }), [undefined, undefined, undefined, 'guarded', 'guarded'])
  })
})
