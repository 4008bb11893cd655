import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { A_DAY, BOUND, exists, names, OLDEST, partitionOf, POLICY, POSTGRES, prepared, rowsBefore } from './partitioned-rows.ts'
import { ahead, count, run, type Told } from './support.ts'

const QUICK = { ...hostClock(), sleep: (_: number, signal?: AbortSignal) => hostClock().sleep(1, signal) }

for (const engine of POSTGRES) {
  describe(`what is in the way of a drop, on ${engine.name}`, () => {
    it('behind an old transaction nobody queues: the rows go in batches, one warning names it, and the next run drops what is empty', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const before = await names(outside)
      const reader = new Client({ connectionString: outside.url, application_name: 'nightly-dump' })
      await reader.connect()
      try {
        await reader.query(`BEGIN; SELECT count(*) FROM audit_logs; SELECT pg_sleep(1.1)`)
        const told: Told = { warnings: [] }
        const result = await run(database, POLICY, { partitions: true, told, clock: QUICK })
        assert.equal(result.outcome, 'succeeded', String(result.error))
        // On a machine with much to do the run may warn of rows that take long, too.
        const ofPartitions = told.warnings.filter((each) => each.includes('partition'))
        assert.equal(ofPartitions.length, 1, String(told.warnings))
        assert.match(
          ofPartitions[0]!,
          /partition audit_logs_legacy of audit_logs was not dropped: held up by server process \d+ \(nightly-dump /,
        )
        assert.deepEqual(await names(outside), before)
        assert.equal(await rowsBefore(outside, 'bob'), 0)
      } finally {
        await reader.end()
      }
      const told: Told = { warnings: [] }
      const result = await run(database, POLICY, { partitions: true, told })
      assert.deepEqual([result.outcome, told.warnings], ['succeeded', []], String(result.error))
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
      assert.ok(!(await names(outside)).includes(partitionOf(-7)))
    })

    it('a young transaction costs a tenth of a second, and the transaction of the run survives it', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const partitions = database.partitions(POLICY.job)!
      const [part] = (await partitions.expired(Date.now() - POLICY.retentionMs)).tables
      const reader = new Client({ connectionString: outside.url })
      await reader.connect()
      try {
        await reader.query('BEGIN; SELECT count(*) FROM audit_logs')
        const asked = { spared: [], lasting: [], onlyEmpty: false }
        const outcome = await database.transaction(async (tx) => {
          const done = await part!.detach(tx, asked)
          await tx.query('SELECT 1')
          return done
        })
        assert.equal(outcome.kind, 'busy')
        assert.match(outcome.kind === 'busy' ? outcome.by : '', /held up by server process \d+/)
        await reader.query('COMMIT')
        const { kind } = await database.transaction((tx) => part!.detach(tx, asked))
        assert.equal(kind, 'detached')
      } finally {
        await reader.end()
      }
    })

    for (const [what, says, options, earlier] of [
      ['the clock is far ahead', /clock/, { clock: ahead(365 * DAY) }, undefined],
      ['the retention is shorter than before', /--accept-shorter-retention/, {}, { retentionMs: 90 * DAY }],
      ['the table would be empty', /--accept-empty-table/, {}, 'old rows alone'],
    ] as const)
      it(`a run that is stopped because ${what} gives no order that would change a table`, async () => {
        await using fixture = await prepared(engine)
        const { database, outside } = fixture
        if (earlier === 'old rows alone')
          await outside.sql(`DELETE FROM audit_logs WHERE "timestamp" >= now() - interval '6 days';
            INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't', 'bob', 'invoke', 'success', now() - interval '8 days' FROM generate_series(1, 1000)`)
        else if (earlier !== undefined)
          assert.equal((await run(database, { ...POLICY, ...earlier }, { partitions: true })).outcome, 'succeeded')
        await outside.sql(`CREATE TABLE ddl (tag text); CREATE FUNCTION note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO public.ddl VALUES (tg_tag); END $$; CREATE EVENT TRIGGER ddl ON ddl_command_start EXECUTE FUNCTION note_ddl()`)
        const before = [await names(outside), await count(outside, 'audit_logs')]
        const result = await run(database, POLICY, { partitions: true, ...options })
        assert.equal(result.outcome, 'stopped')
        assert.match(String(result.error), says)
        assert.deepEqual([await names(outside), await count(outside, 'audit_logs')], before)
        assert.deepEqual(await outside.sql('SELECT tag FROM ddl'), [])
        assert.equal(await count(outside, 'maintenance_detached'), 0)
        // The trigger sees what a run that goes on does.
        const [part] = (await database.partitions(POLICY.job)!.expired(Date.now() - POLICY.retentionMs)).tables
        await database.transaction((tx) => part!.detach(tx, { spared: [], lasting: [], onlyEmpty: false }))
        assert.ok((await count(outside, 'ddl')) > 0)
      })

    it('where a trigger acts on each row that is deleted, it does, and partitions go once they are empty', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      await outside.sql(`CREATE TABLE seen (id bigint)`)
      await outside.sql(
        `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (OLD.id); RETURN OLD; END $$`,
      )
      await outside.sql(`CREATE TRIGGER noting BEFORE DELETE ON audit_logs FOR EACH ROW EXECUTE FUNCTION note()`)
      const told: Told = { warnings: [] }
      const result = await run(database, POLICY, { partitions: true, told, toldOnce: new Set() })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(await count(outside, 'seen'), result.deleted)
      assert.ok(result.deleted > (BOUND - OLDEST) * A_DAY)
      assert.equal(told.warnings.length, 1, String(told.warnings))
      assert.match(told.warnings[0]!, /dropped once they are empty: a trigger or rule acts on each row that is deleted \("noting"\)/)
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
    })

    it('a foreign key to the table keeps every partition, and one to a partition, or a view of it, keeps that', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const partitions = database.partitions(POLICY.job)!
      const cutoff = Date.now() - POLICY.retentionMs
      const namesOf = async (): Promise<string[]> => (await partitions.expired(cutoff)).tables.map(({ name }) => name)
      const all = await namesOf()
      assert.deepEqual(all, ['audit_logs_legacy', partitionOf(-9), partitionOf(-8), partitionOf(-7), partitionOf(-6)])
      await outside.sql(`CREATE VIEW eighth AS SELECT * FROM ${partitionOf(-8)}`)
      assert.deepEqual(
        await namesOf(),
        all.filter((name) => name !== partitionOf(-8)),
      )
      await outside.sql(
        `CREATE TABLE ref (id bigint, at timestamp, CONSTRAINT to_ninth FOREIGN KEY (id, at) REFERENCES ${partitionOf(-9)} (id, "timestamp"))`,
      )
      assert.deepEqual(
        await namesOf(),
        all.filter((name) => name !== partitionOf(-8) && name !== partitionOf(-9)),
      )
      await outside.sql(
        `CREATE TABLE refs (id bigint, at timestamp, CONSTRAINT to_logs FOREIGN KEY (id, at) REFERENCES audit_logs (id, "timestamp"))`,
      )
      const { tables, notes } = await partitions.expired(cutoff)
      assert.deepEqual(tables, [])
      assert.match(notes.join('\n'), /a foreign key refers to it \(public\.refs \(to_logs\)\)/)
    })

    it('a partition goes if it ends at the cutoff, and stays if it ends a microsecond later', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      const partitions = database.partitions(POLICY.job)!
      const end = new Date(Date.now() - 20 * DAY).toISOString().slice(0, 10)
      await outside.sql('ALTER TABLE audit_logs DETACH PARTITION audit_logs_legacy')
      const one = async (upper: string): Promise<string[]> => {
        await outside.sql(`ALTER TABLE audit_logs ATTACH PARTITION audit_logs_legacy FOR VALUES FROM (MINVALUE) TO ('${upper}')`)
        const found = (await partitions.expired(Date.parse(`${end}T00:00:00Z`))).tables.map(({ name }) => name)
        await outside.sql('ALTER TABLE audit_logs DETACH PARTITION audit_logs_legacy')
        return found
      }
      await outside.sql('TRUNCATE audit_logs_legacy')
      assert.deepEqual(await one(`${end} 00:00:00`), ['audit_logs_legacy'])
      assert.deepEqual(await one(`${end} 00:00:00.000001`), [])
      assert.deepEqual(await one(`${end} 00:00:00.001`), [])
    })

    it('rows at -infinity, which never expire, move to DEFAULT', async () => {
      await using fixture = await prepared(engine)
      const { database, outside } = fixture
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'timeless', 'invoke', 'success', '-infinity')`,
      )
      const result = await run(database, POLICY, { partitions: true })
      assert.equal(result.outcome, 'succeeded', String(result.error))
      assert.equal(result.unreadable, 1)
      assert.equal(await exists(outside, 'audit_logs_legacy'), false)
      assert.deepEqual(await outside.sql(`SELECT "user" FROM audit_logs_default`), [{ user: 'timeless' }])
    })
  })
}
