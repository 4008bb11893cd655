import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import type { Database } from '../../../src/database/database.ts'
import { markOf } from '../../../src/database/postgres/partitioning/function-text.ts'
import { functionStatements } from '../../../src/database/postgres/partitioning/functions.ts'
import { handsOn, isLive, isWellAhead, markedBound, type Hands, type NewRange } from '../../../src/database/postgres/partitioning/hands.ts'
import { boundTime, readTree, type PartitioningOptions, type Tree } from '../../../src/database/postgres/partitioning/tree.ts'
import { stateOf } from '../../../src/database/postgres/postgres-errors.ts'
import { DAY, HOUR, hostClock } from '../../../src/time/clock.ts'
import { migrated, opened } from '../../runs/support.ts'
import { POSTGRES_MAJORS } from '../../support/databases.ts'
import { ENGINES, type TestDatabase } from '../../support/engines.ts'
import { midnight, partitioned } from '../../support/partitioned.ts'
import { ensured, purgedByAnother, quoted, urlOf, type PurgedByAnother } from './partition-roles.ts'

const COLUMN = { table: 'audit_logs', column: 'timestamp' }
const SERVERS = ENGINES.filter(({ name }) => name.startsWith('postgres'))

function optionsOf(database: Database): PartitioningOptions {
  const look: Database['transaction'] = (work) => database.transaction(work)
  return { query: database, look, scan: look, schema: 'public', timeZone: 'UTC', column: COLUMN }
}

async function treeOf(database: Database): Promise<Tree> {
  const tree = await readTree(optionsOf(database))
  assert.ok(tree)
  return tree
}

async function handsOf(database: Database): Promise<Hands> {
  const { hands, problem } = await handsOn(optionsOf(database), await treeOf(database))
  assert.equal(problem, undefined)
  assert.ok(hands)
  return hands
}

function range(day: number, name = `audit_logs_p${midnight(day).slice(0, 10).replaceAll('-', '')}`): NewRange {
  return { name, from: boundTime(midnight(day))!, to: boundTime(midnight(day + 1))! }
}

async function partsOf(outside: TestDatabase): Promise<readonly string[]> {
  const rows = await outside.sql<{ name: string }>(
    `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

/** What the catalogue has of a table that its owner decides. */
async function likeness(outside: TestDatabase, table: string): Promise<unknown> {
  const [row] = await outside.sql(
    `SELECT pg_get_userbyid(c.relowner) AS owner, c.relrowsecurity, c.relreplident,
       (SELECT array_agg(concat(x.grantee, x.privilege_type, x.is_grantable) ORDER BY 1) FROM aclexplode(c.relacl) AS x WHERE x.grantee <> c.relowner)::text AS acl,
       (SELECT array_agg(concat(a.attname, x.grantee, x.privilege_type) ORDER BY 1) FROM pg_attribute AS a CROSS JOIN aclexplode(a.attacl) AS x WHERE a.attrelid = c.oid)::text AS columns,
       (SELECT count(*) FROM pg_index WHERE indrelid = c.oid) AS indexes,
       (SELECT array_agg(tgname ORDER BY 1) FROM pg_trigger WHERE tgrelid = c.oid)::text AS triggers
     FROM pg_class AS c WHERE c.oid = '${table}'::regclass`,
  )
  return row
}

const WHO = { owner: 'the owner’s role', functions: 'the purging role by the functions', superuser: 'a superuser' } as const

for (const { name: server } of SERVERS) {
  const major = Number(server.split(' ')[1]) as (typeof POSTGRES_MAJORS)[number]
  describe(`making, taking out and dropping partitions on ${server}`, () => {
    for (const how of ['owner', 'functions', 'superuser'] as const) {
      it(`${WHO[how]} makes one that is as its table`, async () => {
        await using place = await purgedByAnother(major, { functions: true, days: [2, 3] })
        const { outside, gateway, purger } = place
        await outside.sql(`CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`)
        await outside.sql(`CREATE TRIGGER noted BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION noted()`)
        await outside.sql(
          `GRANT INSERT ON audit_logs TO ${quoted(purger)} WITH GRANT OPTION; GRANT UPDATE (tool_name, status) ON audit_logs TO PUBLIC`,
        )
        await outside.sql(`ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, TRUNCATE ON TABLES TO PUBLIC`)
        await outside.sql('ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY')
        await outside.sql(`ALTER TABLE audit_logs REPLICA IDENTITY FULL`)
        await using owner = await ownersDatabase(place, how)
        const database = how === 'functions' ? place.database : owner
        const hands = await handsOf(database)
        await database.transaction((tx) => hands.make(tx, range(3)))
        const made = range(3).name
        assert.deepEqual(await likeness(outside, made), await likeness(outside, 'audit_logs'))
        assert.deepEqual(
          (await partsOf(outside)).filter((name) => name === made),
          [made],
        )
        const [{ bound, tableOwner }] = (await outside.sql<{ bound: string; tableOwner: string }>(
          `SELECT pg_get_expr(relpartbound, oid) AS bound, pg_get_userbyid(relowner) AS "tableOwner" FROM pg_class WHERE relname = '${made}'`,
        )) as [{ bound: string; tableOwner: string }]
        assert.deepEqual([bound, tableOwner], [`FOR VALUES FROM ('${midnight(3)}') TO ('${midnight(4)}')`, gateway])
        // Made again, or where a part of the range is taken.
        await assert.rejects(
          database.transaction((tx) => hands.make(tx, range(3))),
          (error) => stateOf(error) === '42P07',
        )
        await assert.rejects(
          database.transaction((tx) => hands.make(tx, { ...range(3), name: 'audit_logs_p20990101' })),
          (error) => stateOf(error) === '42P17',
        )
      })

      it(`${WHO[how]} takes one out, makes it a partition again, takes it out and drops it`, async () => {
        await using place = await purgedByAnother(major, { functions: true, boundDay: -5, days: [-5, 3] })
        const { outside } = place
        await using owner = await ownersDatabase(place, how)
        const database = how === 'functions' ? place.database : owner
        const hands = await handsOf(database)
        const { name } = range(-3)
        const before = await partsOf(outside)
        for (const each of [name, 'audit_logs_legacy']) {
          await database.transaction((tx) => hands.detach(tx, each))
          assert.deepEqual(
            await partsOf(outside),
            before.filter((part) => part !== each),
          )
          const [{ comment }] = (await outside.sql<{ comment: string }>(`SELECT obj_description('${each}'::regclass) AS comment`)) as [
            { comment: string },
          ]
          const bound = markedBound(comment, 'public', 'audit_logs')
          assert.deepEqual([bound?.from?.text, bound?.to.text], each === name ? [midnight(-3), midnight(-2)] : [undefined, midnight(-5)])
          await database.transaction((tx) => hands.attach(tx, each))
          assert.deepEqual(await partsOf(outside), before)
          assert.deepEqual(await outside.sql(`SELECT obj_description('${each}'::regclass) AS comment`), [{ comment: null }])
          await assert.rejects(
            database.transaction((tx) => hands.drop(tx, each)),
            /was not taken out of audit_logs/,
          )
        }
        await database.transaction((tx) => hands.detach(tx, name))
        await database.transaction((tx) => hands.drop(tx, name))
        assert.deepEqual(await outside.sql(`SELECT FROM pg_class WHERE relname = '${name}'`), [])
      })

      it(`${WHO[how]} refuses what is live, has no end, is not plain, belongs to others or is no partition`, async () => {
        await using place = await purgedByAnother(major, { functions: true, boundDay: -5, days: [-5, 3] })
        const { outside } = place
        await outside.sql('CREATE TABLE other (LIKE audit_logs)')
        await outside.sql(`CREATE TABLE "odd ""; DROP TABLE other; --" (LIKE audit_logs)`)
        await outside.sql(
          `COMMENT ON TABLE other IS 'mcp-gateway-maintenance took this out of "public"."sessions": FOR VALUES FROM (MINVALUE) TO (''2020-01-01 00:00:00'')'`,
        )
        await outside.sql('RESET ROLE')
        await outside.sql(`ALTER TABLE ${range(-4).name} OWNER TO CURRENT_USER`)
        await using owner = await ownersDatabase(place, how)
        const database = how === 'functions' ? place.database : owner
        const hands = await handsOf(database)
        const before = await partsOf(outside)
        const refused = async (work: (hands: Hands, tx: Parameters<Hands['drop']>[0]) => Promise<void>, pattern: RegExp): Promise<void> => {
          await assert.rejects(
            database.transaction((tx) => work(hands, tx)),
            pattern,
          )
          assert.deepEqual(await partsOf(outside), before)
        }
        for (const day of [-1, 0, 2])
          await refused((h, tx) => h.detach(tx, range(day).name), /ends at .*, so rows may still be written to it/)
        await refused((h, tx) => h.detach(tx, 'audit_logs_default'), /has no end, so it cannot be over/)
        for (const name of [range(-4).name, 'other', 'sessions', 'missing', `x"; DROP TABLE other; --`, ''])
          await refused((h, tx) => h.detach(tx, name), /is no partition of audit_logs of the same owner and schema/)
        for (const name of ['other', `odd "; DROP TABLE other; --`])
          await refused((h, tx) => h.drop(tx, name), /was not taken out of audit_logs/)
        await refused((h, tx) => h.drop(tx, range(-3).name), /was not taken out of audit_logs/)
        for (const name of ['other', 'missing']) await refused((h, tx) => h.attach(tx, name), /was not taken out of audit_logs/)
        for (const name of ['other', 'audit_logs_p2026', `audit_logs_p20991231"; DROP TABLE other; --`, 'sessions_p20991231'])
          await refused((h, tx) => h.make(tx, range(30, name)), /is no name of a partition of audit_logs/)
        await refused((h, tx) => h.make(tx, { ...range(30), to: { text: 'infinity', reading: Infinity } }), /is no range of times/)
        await refused((h, tx) => h.make(tx, { ...range(30), to: range(31).to }), /is more than a day/)
        await refused((h, tx) => h.guard(tx, range(1)), /may be written already/)
        assert.equal((await outside.sql('SELECT FROM other')).length, 0)
      })
    }

    it('in a schema whose name has every kind of character', async () => {
      await using fixture = await migrated(SERVERS.find(({ name }) => name === server)!)
      const { outside } = fixture
      await partitioned(outside, { boundDay: -5, days: [-5, 3] })
      const schema = `Odd "sch\\ema's 🙂 %I`
      const views = ['recent_audit_activity', 'policy_violations', 'tool_usage_stats', 'maintenance_history', 'maintenance_archive_history']
      await outside.sql(`DROP VIEW ${views.join(', ')}; ALTER SCHEMA public RENAME TO ${quoted(schema)}`)
      const owner = (await outside.sql<{ me: string }>('SELECT current_user::text AS me'))[0]!.me
      for (const statement of functionStatements({ schema, ...COLUMN, owner, roles: [owner] }).ensure) await outside.sql(statement)
      await using database = await opened(outside.url, hostClock(), { schema })
      const options = { ...optionsOf(database), schema }
      const tree = (await readTree(options))!
      for (const [at, isOwner] of [true, false].entries()) {
        const { hands, problem } = await handsOn(options, { ...tree, isOwner })
        assert.ok(hands, problem)
        await database.transaction((tx) => hands.make(tx, range(3 + at)))
        await database.transaction((tx) => hands.detach(tx, range(-3).name))
        await database.transaction((tx) => hands.attach(tx, range(-3).name))
      }
      assert.equal((await readTree(options))!.parts.length, tree.parts.length + 2)
    })

    it('a leftover of the name goes if it is empty, and else nothing is made', async () => {
      await using fixture = await migrated(SERVERS.find(({ name }) => name === server)!)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 3] })
      const hands = await handsOf(database)
      const { name } = range(3)
      await outside.sql(`CREATE TABLE ${name} (id int)`)
      await outside.sql(`INSERT INTO ${name} VALUES (1)`)
      await assert.rejects(
        database.transaction((tx) => hands.make(tx, range(3))),
        /is there, has rows, and is no partition of audit_logs/,
      )
      await outside.sql(`DELETE FROM ${name}`)
      await database.transaction((tx) => hands.make(tx, range(3)))
      assert.ok((await partsOf(outside)).includes(name))
      await outside.sql(`CREATE VIEW ${range(4).name} AS SELECT 1`)
      await assert.rejects(
        database.transaction((tx) => hands.make(tx, range(4))),
        /is there, and is no partition of audit_logs/,
      )
    })

    it('a lock in the way is waited for shortly, also by the functions of a role that has no limit of its own', async () => {
      await using place = await purgedByAnother(major, { functions: true, boundDay: -5, days: [-5, 3] })
      const { outside, purger } = place
      await outside.sql('BEGIN')
      await outside.sql('SELECT FROM audit_logs LIMIT 1')
      const client = new Client({ connectionString: urlOf(outside.url, purger) })
      await client.connect()
      try {
        const startedMs = performance.now()
        await assert.rejects(client.query(`SELECT maintenance_remove_partition('detach', '${range(-3).name}')`), { code: '55P03' })
        assert.ok(performance.now() - startedMs < 3_000)
        assert.deepEqual((await client.query('SHOW lock_timeout')).rows, [{ lock_timeout: '0' }])
      } finally {
        await client.end()
        await outside.sql('ROLLBACK')
      }
    })

    it('without the functions, without the right to call them, or with others of their names, nothing is called and the sentence says what to run', async () => {
      await using place = await purgedByAnother(major, { functions: false, days: [2, 3] })
      const { outside, gateway, purger, database } = place
      const problem = async (): Promise<string> => {
        const { hands, problem: sentence } = await handsOn(optionsOf(database), await treeOf(database))
        assert.equal(hands, undefined)
        return sentence ?? ''
      }
      assert.match(await problem(), /are missing\. As Gateway ".*", the owner, run: mcp-gateway-maintenance partition start$/)
      for (const statement of ensured(gateway, gateway)) await outside.sql(statement)
      const forbidden = await problem()
      const grant = /Run: (GRANT EXECUTE ON FUNCTION .*)$/.exec(forbidden)?.[1]
      assert.ok(grant?.endsWith(`TO ${quoted(purger)}`), forbidden)
      await outside.sql(grant ?? '')
      await handsOf(database)

      await outside.sql(`ALTER FUNCTION maintenance_remove_partition(text, text) SET search_path = public`)
      assert.match(await problem(), /are not those of this version of the worker/)
      for (const statement of ensured(gateway, purger)) await outside.sql(statement)
      await handsOf(database)
      await outside.sql('RESET ROLE')
      await outside.sql(`ALTER FUNCTION maintenance_add_partition(text, text, text, text) OWNER TO CURRENT_USER`)
      assert.match(await problem(), /do not belong to Gateway .*, the owner of the table, and were not called/)
      for (const statement of ensured(gateway, purger)) await outside.sql(statement)
      await outside.sql(
        `CREATE OR REPLACE FUNCTION maintenance_remove_partition(wanted text, relation text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN DROP TABLE sessions; END'`,
      )
      assert.match(await problem(), /are not those of this version of the worker/)
      for (const statement of functionStatements({ schema: 'public', ...COLUMN, owner: gateway, roles: [] }).drop)
        await outside.sql(statement)
      assert.match(await problem(), /are missing/)
    })

    it('the functions can be called by nobody else', async () => {
      await using place = await purgedByAnother(major, { functions: true, days: [2, 3] })
      const rows = await place.outside.sql<{ role: string }>(
        `SELECT DISTINCT x.grantee::regrole::text AS role FROM pg_proc AS p CROSS JOIN aclexplode(p.proacl) AS x WHERE p.proname LIKE 'maintenance_%_partition' ORDER BY 1`,
      )
      assert.deepEqual(rows.map(({ role }) => role).toSorted(), [quoted(place.gateway), quoted(place.purger)].toSorted())
    })
  })
}

describe('what is live, and what a mark says', () => {
  it('a partition is live for a day after its end, and a range is well ahead a day before its beginning in the earliest zone', () => {
    const to = boundTime('2026-11-30 00:00:00')!
    assert.ok(isLive(to, to.reading + DAY - 1))
    assert.ok(!isLive(to, to.reading + DAY))
    assert.ok(isWellAhead(to, to.reading - DAY - 14 * HOUR))
    assert.ok(!isWellAhead(to, to.reading - DAY - 14 * HOUR + 1))
  })

  it('only a mark of this table has bounds', () => {
    const mark = markOf({ schema: 'a"b', table: 'audit_logs' })
    const bounds = `FOR VALUES FROM ('2026-11-29 00:00:00') TO ('2026-11-30 00:00:00')`
    assert.equal(markedBound(`${mark}${bounds}`, 'a"b', 'audit_logs')?.to.text, '2026-11-30 00:00:00')
    assert.equal(markedBound(`${mark}${bounds}`, 'public', 'audit_logs'), undefined)
    assert.equal(markedBound(`${mark}DEFAULT`, 'a"b', 'audit_logs'), undefined)
    assert.equal(markedBound(`${mark}FOR VALUES FROM ('2026-11-29 00:00:00') TO (MAXVALUE)`, 'a"b', 'audit_logs'), undefined)
    assert.equal(markedBound(null, 'public', 'audit_logs'), undefined)
  })
})

function ownersDatabase({ outside, gateway }: PurgedByAnother, how: keyof typeof WHO): Promise<Database> {
  return opened(how === 'superuser' ? outside.url : urlOf(outside.url, gateway))
}
