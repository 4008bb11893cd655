import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import type { Converted, PartitionState } from '../../../src/database/partitioning.ts'
import type { Database } from '../../../src/database/database.ts'
import { DAY, hostClock } from '../../../src/time/clock.ts'
import { migrated, opened } from '../../runs/support.ts'
import { POSTGRES_MAJORS } from '../../support/databases.ts'
import { ENGINES, type TestDatabase } from '../../support/engines.ts'
import { midnight, partition, partitioned } from '../../support/partitioned.ts'
import { halfUndone, undo } from './undoing.ts'
import { purgedByAnother, quoted } from './partition-roles.ts'

const COLUMN = { table: 'audit_logs', column: 'timestamp' }

async function stateOf(database: Database): Promise<PartitionState> {
  const state = await database.partitions(COLUMN)?.state()
  assert.ok(state)
  return state
}

async function convertedState(database: Database): Promise<Converted> {
  const state = await stateOf(database)
  assert.ok(state.kind === 'converted', state.kind)
  return state
}

function at(day: number): number {
  return Date.parse(`${midnight(day).replace(' ', 'T')}Z`)
}

function written(outside: TestDatabase, day: number, rows = 1): Promise<unknown> {
  return outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't', 'u', 'a', 's', timestamp '${midnight(day)}' + interval '1 hour' FROM generate_series(1, ${rows})`,
  )
}

function told(name: string): RegExp {
  return new RegExp(
    `^public\\.maintenance_detached has a row of audit_logs that the worker never writes, with the name ${name}, so no table is dropped`,
  )
}

function stopBeforeTheLast(step: string): Promise<void> {
  if (step.startsWith('drops what is not needed')) throw new Error('stopped before the last step')
  return Promise.resolve()
}

for (const major of POSTGRES_MAJORS) {
  const engine = ENGINES.find(({ name }) => name === `postgres ${major}`)!
  describe(`what partitions a table has, on PostgreSQL ${major}`, () => {
    it('a plain table, and one that somebody else has partitioned, in each way', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      assert.deepEqual(await stateOf(database), { kind: 'plain' })
      const reasonWith = async (statement: string): Promise<string> => {
        await outside.sql(`ALTER TABLE audit_logs RENAME TO plain; ${statement}`)
        const state = await stateOf(database)
        await outside.sql('DROP TABLE audit_logs CASCADE; ALTER TABLE plain RENAME TO audit_logs')
        return state.kind === 'foreign' ? state.reason : state.kind
      }
      const like = 'CREATE TABLE audit_logs (LIKE plain)'
      assert.equal(await reasonWith(`${like} PARTITION BY RANGE ("timestamp")`), 'somebody else has partitioned it by its time')
      for (const by of ['RANGE (id, "timestamp")', 'LIST (status)', 'HASH (id)', `RANGE (date_trunc('day', "timestamp"))`])
        assert.equal(
          await reasonWith(`${like} PARTITION BY ${by}`),
          'somebody else has partitioned it, and not by ranges of "timestamp" alone',
          by,
        )
      assert.equal(await reasonWith(`${like}; CREATE TABLE child () INHERITS (audit_logs)`), 'other tables inherit from it')
      await outside.sql('CREATE EXTENSION IF NOT EXISTS plpgsql; CREATE SCHEMA _timescaledb_internal')
      assert.equal(
        await reasonWith(`${like}; CREATE TABLE _timescaledb_internal._hyper_1_1_chunk () INHERITS (audit_logs)`),
        'TimescaleDB manages its partitions',
      )
      await outside.sql(
        `CREATE TABLE part_config (parent_table text, retention text); INSERT INTO part_config VALUES ('public.audit_logs', NULL)`,
      )
      assert.equal(await reasonWith(`${like} PARTITION BY RANGE ("timestamp")`), 'pg_partman manages its partitions')
    })

    it('a conversion that has begun, with and without the constraint that refuses rows, and one that is taken back', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await outside.sql(
        `INSERT INTO maintenance_partitioned (table_name, first_partition, bound, began_at) VALUES ('audit_logs', 'audit_logs_legacy', '${midnight(2)}', 1000)`,
      )
      assert.deepEqual(await stateOf(database), { kind: 'converting', since: 1000, refusesFrom: undefined })
      await outside.sql(
        `ALTER TABLE audit_logs ADD CONSTRAINT audit_logs_legacy_bound CHECK ("timestamp" IS NOT NULL AND "timestamp" < '${midnight(3)}') NOT VALID`,
      )
      await outside.sql(`ALTER DATABASE "${await nameOf(outside)}" SET datestyle = 'German, DMY'`)
      await using german = await opened(outside.url)
      assert.deepEqual(await stateOf(german), { kind: 'converting', since: 1000, refusesFrom: at(3) })
      await using kiritimati = await opened(outside.url, hostClock(), { timeZone: 'Pacific/Kiritimati' })
      assert.deepEqual(await stateOf(kiritimati), { kind: 'converting', since: 1000, refusesFrom: at(3) - 14 * 3_600_000 })

      await outside.sql('UPDATE maintenance_partitioned SET converted_at = 2000')
      assert.match(JSON.stringify(await stateOf(database)), /"foreign".*somebody has made it a plain table since/)
      await outside.sql('UPDATE maintenance_partitioned SET undoing_since = 3000; CREATE TABLE rest () INHERITS (audit_logs)')
      assert.deepEqual(await stateOf(database), { kind: 'undoing', since: 3000, isPartitioned: false, tables: 1 })
      await outside.sql('DROP TABLE rest')
      assert.deepEqual(await stateOf(database), { kind: 'undoing', since: 3000, isPartitioned: false, tables: 0 })
    })

    it('an undo: rows in tables beside it, then all at home with something left to be dropped', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 6] })
      await written(outside, 3, 20)
      await halfUndone(fixture)
      const half = await stateOf(database)
      assert.ok(half.kind === 'undoing')
      assert.deepEqual([half.isPartitioned, half.tables > 0], [false, true])
      await assert.rejects(undo(fixture, stopBeforeTheLast), /stopped before the last step/)
      assert.deepEqual(await stateOf(database), { kind: 'undoing', since: half.since, isPartitioned: false, tables: 0 })
      await undo(fixture)
      assert.deepEqual(await stateOf(database), { kind: 'plain' })
    })

    it('a converted table: how far it is covered, what DEFAULT has, what was taken out, and what it was', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 6] })
      await written(outside, 20, 3)
      await outside.sql(
        `INSERT INTO maintenance_detached VALUES ('audit_logs_p20200101', 'audit_logs', '2020-01-01 00:00:00', '2020-01-02 00:00:00', 4000)`,
      )
      const state = await convertedState(database)
      assert.ok(Date.now() - state.since < 60_000)
      assert.deepEqual(
        { ...state, since: 0 },
        {
          kind: 'converted',
          since: 0,
          coveredUntil: at(6),
          partitions: 5,
          unplaced: { rows: 3, more: false },
          detached: [{ name: 'audit_logs_p20200101', since: 4000 }],
          first: { name: 'audit_logs_legacy', until: at(2) },
          problems: [],
          notes: [],
        },
      )
      await outside.sql('ALTER TABLE audit_logs DETACH PARTITION audit_logs_legacy')
      const later = await convertedState(database)
      assert.equal(later.first, undefined)
      // Nothing takes today's rows, so nothing is covered.
      assert.ok(Math.abs(later.coveredUntil - Date.now()) < 60_000)
      assert.match(later.notes.join(), /No partition of public\.audit_logs takes rows of .*, so they go to DEFAULT until one is made\./)
    })

    it('a gap ends what is covered, unless DEFAULT has rows of it, since then nothing can be made', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      for (const day of [5, 6]) await partition(outside, day)
      assert.equal((await convertedState(database)).coveredUntil, at(4))
      await written(outside, 4)
      const state = await convertedState(database)
      assert.equal(state.coveredUntil, at(7))
      assert.deepEqual(state.problems, [])
      assert.deepEqual(state.notes, [
        `DEFAULT has rows of ${midnight(4).slice(0, 10)}, so that day has no partition of public.audit_logs: rows go to DEFAULT, and are deleted in batches once they have expired.`,
      ])
      await outside.sql(`CREATE TABLE rest (LIKE audit_logs INCLUDING ALL EXCLUDING IDENTITY)`)
      await outside.sql(`ALTER TABLE audit_logs ATTACH PARTITION rest FOR VALUES FROM ('${midnight(7)}') TO (MAXVALUE)`)
      assert.equal((await convertedState(database)).coveredUntil, Date.UTC(9999, 11, 31))
    })

    it('says the same to sessions of every style and zone, and of both types of time', async () => {
      for (const type of ['timestamp', 'timestamptz']) {
        await using fixture = await migrated(engine)
        const { outside } = fixture
        if (type === 'timestamptz') await toZoned(outside)
        await partitioned(outside, { days: [2, 6] })
        await outside.sql(
          `ALTER DATABASE "${await nameOf(outside)}" SET datestyle = 'German, DMY'; ALTER DATABASE "${await nameOf(outside)}" SET timezone = 'Pacific/Kiritimati'`,
        )
        await using database = await opened(outside.url)
        assert.equal((await convertedState(database)).coveredUntil, at(6), type)
        await using elsewhere = await opened(outside.url, hostClock(), { timeZone: 'Pacific/Kiritimati' })
        // A reading without a zone comes fourteen hours earlier there.
        assert.equal((await convertedState(elsewhere)).coveredUntil, type === 'timestamptz' ? at(6) : at(6) - (14 * DAY) / 24)
      }
    })

    it('records that the worker never writes are told of, whatever they hold, and nothing is concluded from them', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 6] })
      const record = (name: string, lower: string | null, upper: string, since: string): Promise<unknown> =>
        outside.sql('INSERT INTO maintenance_detached VALUES ($1, $2, $3, $4, $5::numeric)', [name, 'audit_logs', lower, upper, since])
      const [from, to] = ['2020-01-01 00:00:00', '2020-01-02 00:00:00']
      await record('x'.repeat(100_000), from, to, '4000')
      await record('late', from, to, String(2n ** 63n - 1n))
      await record('\u001b[2J\nDROP TABLE tools', 'yesterday', to, '4000')
      await record('"; DROP TABLE tools; --', from, `${to}${'0'.repeat(1_000_000)}`, '4000')
      await record('tools', from, to, '4000')
      await record('elsewhere.audit_logs_p20200101', from, to, '5000')
      const state = await convertedState(database)
      assert.deepEqual(
        state.detached.map(({ name }) => name),
        ['elsewhere.audit_logs_p20200101', 'tools'],
      )
      for (const pattern of [
        told('one that is too long'),
        told('"late"'),
        told(String.raw`"\\u001b\[2J\\nDROP TABLE tools"`),
        told(String.raw`"\\"; DROP TABLE tools; --"`),
        /^public\.tools, which is on record as a partition taken out of public\.audit_logs, was left as it is: .*; find out what it is, attach or drop it by hand only if it was a partition/,
      ])
        assert.equal(state.problems.filter((each) => pattern.test(each)).length, 1, `${String(pattern)}\n${state.problems.join('\n')}`)
      assert.equal(state.problems.length, 5)
      assert.ok(state.problems.every(({ length }) => length < 500))

      for (const [column, value] of [
        ['bound', `'tomorrow'`],
        ['first_partition', `repeat('x', 1000000)`],
        ['converted_at', '9223372036854775807'],
        ['undoing_since', '-9223372036854775807'],
      ] as const) {
        const [before] = await outside.sql<Record<string, string | number | null>>(`SELECT ${column} AS value FROM maintenance_partitioned`)
        await outside.sql(`UPDATE maintenance_partitioned SET ${column} = ${value}`)
        assert.match(
          JSON.stringify(await stateOf(database)),
          /"foreign".*its row of public\.maintenance_partitioned is none that the worker writes/,
          column,
        )
        assert.deepEqual(await database.partitions(COLUMN)!.ahead(Date.now(), { now: Date.now(), aheadMs: DAY, periods: [] }), {
          kind: 'not-ours',
        })
        assert.deepEqual((await database.partitions(COLUMN)!.expired(Date.now())).tables, [])
        await outside.sql(`UPDATE maintenance_partitioned SET ${column} = $1`, [before!['value']!])
      }
      assert.equal((await stateOf(database)).kind, 'converted')
    })

    it('names what stands in the way, each with what to run', async () => {
      await using place = await purgedByAnother(major, { functions: false, days: [2, 4] })
      const { outside, purger, gateway, database } = place
      await outside.sql(`REVOKE SELECT ON audit_logs_default FROM ${quoted(purger)}`)
      await outside
        .sql('CREATE SCHEMA elsewhere')
        .catch(() =>
          outside.sql(
            `RESET ROLE; CREATE SCHEMA elsewhere; GRANT ALL ON SCHEMA elsewhere TO ${quoted(gateway)}; SET ROLE ${quoted(gateway)}`,
          ),
        )
      await outside.sql(`ALTER TABLE audit_logs_p${digits(2)} SET SCHEMA elsewhere`)
      await outside.sql(`CREATE TABLE sub (LIKE audit_logs INCLUDING ALL EXCLUDING IDENTITY) PARTITION BY RANGE ("timestamp")`)
      await outside.sql(`ALTER TABLE audit_logs ATTACH PARTITION sub FOR VALUES FROM ('${midnight(4)}') TO ('${midnight(5)}')`)
      await outside.sql(`ALTER TABLE audit_logs_default ADD CONSTRAINT maintenance_partition_guard CHECK (true) NOT VALID`)
      await outside.sql('RESET ROLE')
      await outside.sql(
        `ALTER TABLE audit_logs_p${digits(3)} OWNER TO CURRENT_USER; REVOKE CREATE ON SCHEMA public FROM ${quoted(gateway)}; ALTER SCHEMA public OWNER TO CURRENT_USER`,
      )
      await outside.sql(`GRANT SELECT ON audit_logs_p${digits(3)} TO ${quoted(purger)}`)
      const state = await convertedState(database)
      assert.deepEqual(state.unplaced, { rows: 0, more: false })
      for (const pattern of [
        /are missing\. As Gateway/,
        /may not create in schema|may not create tables in schema public/,
        /may not read audit_logs_default, so its rows were not counted\. Run: GRANT SELECT ON "public"\."audit_logs_default" TO "purge-/,
        /audit_logs_default has the constraint maintenance_partition_guard/,
        /is in schema elsewhere, .*Run: ALTER TABLE "elsewhere"\..* SET SCHEMA "public"/,
        /belongs to the role .*Run: ALTER TABLE .* OWNER TO "Gateway/,
      ])
        assert.equal(state.problems.filter((each) => pattern.test(each)).length, 1, `${String(pattern)}\n${state.problems.join('\n')}`)
      assert.equal(state.problems.length, 6)
      assert.match(state.notes.join('\n'), /^sub is partitioned itself, so .* Make it a plain partition, or leave it to the batches\.$/)
      // What it says to run is right.
      for (const command of state.problems.flatMap((each) => /Run: ((?:ALTER|GRANT) .*)$/.exec(each)?.[1] ?? [])) await outside.sql(command)
      const mended = await convertedState(database)
      assert.deepEqual(mended.problems.length, 2, mended.problems.join('\n'))
    })

    it('an interrupted DETACH CONCURRENTLY of somebody else, and a table without DEFAULT', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 4] })
      await outside.sql('DROP TABLE audit_logs_default')
      const reader = new Client({ connectionString: outside.url })
      await reader.connect()
      try {
        await reader.query('BEGIN; SELECT count(*) FROM audit_logs')
        await outside.sql(`SET statement_timeout = '1s'`)
        await assert.rejects(outside.sql(`ALTER TABLE audit_logs DETACH PARTITION audit_logs_p${digits(3)} CONCURRENTLY`))
      } finally {
        await reader.end()
      }
      const { problems } = await convertedState(database)
      assert.equal(problems.length, 2, problems.join('\n'))
      assert.match(problems[0]!, /has no DEFAULT partition, so rows of days without a partition are refused\. Run: CREATE TABLE/)
      const finalize = /was interrupted.* Run: (.* FINALIZE)$/.exec(problems[1]!)?.[1]
      assert.ok(finalize)
      await outside.sql(finalize)
      await outside.sql(/Run: (.*)$/.exec(problems[0]!)?.[1] ?? '')
      assert.deepEqual((await convertedState(database)).problems, [])
    })

    it('in a schema and of a table whose names need quotes', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside, { days: [2, 4] })
      const views = ['recent_audit_activity', 'policy_violations', 'tool_usage_stats', 'maintenance_history', 'maintenance_archive_history']
      await outside.sql(`DROP VIEW ${views.join(', ')}; ALTER SCHEMA public RENAME TO "Odd ""schema"`)
      await using database = await opened(outside.url, hostClock(), { schema: 'Odd "schema' })
      const state = await convertedState(database)
      assert.deepEqual([state.coveredUntil, state.problems, state.partitions], [at(4), [], 3])
    })
  })
}

function digits(day: number): string {
  return midnight(day).slice(0, 10).replaceAll('-', '')
}

async function nameOf(outside: TestDatabase): Promise<string> {
  return (await outside.sql<{ name: string }>('SELECT current_database() AS name'))[0]!.name
}

async function toZoned(outside: TestDatabase): Promise<void> {
  const views = await outside.sql<{ name: string; body: string }>(
    `SELECT c.relname AS name, pg_get_viewdef(c.oid) AS body FROM pg_class AS c WHERE c.relname IN ('recent_audit_activity', 'policy_violations', 'tool_usage_stats')`,
  )
  await outside.sql(`SET timezone = 'UTC'; DROP VIEW ${views.map(({ name }) => name).join(', ')}`)
  await outside.sql(`ALTER TABLE audit_logs ALTER "timestamp" TYPE timestamptz USING "timestamp" AT TIME ZONE 'UTC'`)
}
