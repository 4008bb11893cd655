import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { migrated } from '../../runs/support.ts'
import { ENGINES, type TestDatabase } from '../../support/engines.ts'
import { converted } from '../../support/converting.ts'
import { midnight, partitioned, takenOut } from '../../support/partitioned.ts'
import { shapeOf } from '../../support/schema-shape.ts'
import { startReader, startWriter, STANDING } from '../../partition-faults/traffic.ts'
import { fill, halfUndone, rowsOf, undo } from './undoing.ts'

const COMMENTED = `COMMENT ON TABLE audit_logs IS 'what was done'`
const QUOTED_BOUND = `'${midnight(2)}'`

function partitionOf(day: number): string {
  return `audit_logs_p${midnight(day).slice(0, 10).replaceAll('-', '')}`
}

/** The server chooses the names of NOT NULL constraints, which it has from 18 on. */
function withoutNotNulls(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => !line.includes('| n | NOT NULL'))
}

for (const engine of ENGINES.slice(1)) {
  describe(`partition undo on ${engine.name}`, () => {
    it('gives back the plain table with every row, as it was before, and the ids go on', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await fill(outside, [-3, 0])
      await outside.sql(`COMMENT ON INDEX idx_audit_logs_status IS 'by status'`)
      await outside.sql(COMMENTED)
      const before = await shapeOf(outside)
      await partitioned(outside)
      await outside.sql(COMMENTED)
      await fill(outside, [1, 2, 3, 40, 'infinity', '-infinity'])
      const rows = await rowsOf(outside)
      assert.equal(rows.length, 24)
      const { locks } = await undo(fixture)
      assert.deepEqual(await rowsOf(outside), rows)
      assert.deepEqual(await shapeOf(outside), before)
      assert.equal(locks.length > 0, true)
      assert.deepEqual(await outside.sql('SELECT * FROM maintenance_partitioned'), [])
      await fill(outside, [0], 1)
      assert.deepEqual(await outside.sql('SELECT max(id) AS id FROM audit_logs'), [{ id: 25 }])
    })

    it('has nothing to move as long as no row lies behind the bound', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await fill(outside, [-3, 0])
      const before = await shapeOf(outside)
      await partitioned(outside)
      const rows = await rowsOf(outside)
      const { steps } = await undo(fixture)
      assert.deepEqual(
        steps.filter((step) => step.startsWith('moves')),
        [],
      )
      assert.deepEqual(await rowsOf(outside), rows)
      assert.deepEqual(await shapeOf(outside), before)
    })

    it('makes a new table where the first partition was dropped', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      const before = await shapeOf(outside)
      await partitioned(outside, { boundDay: -5, days: [-5, 5] })
      await fill(outside, [-4, 0, 3, 50])
      await outside.sql('DROP TABLE audit_logs_legacy')
      const rows = await rowsOf(outside)
      await undo(fixture)
      assert.deepEqual(await rowsOf(outside), rows)
      assert.deepEqual(withoutNotNulls(await shapeOf(outside)), withoutNotNulls(before))
      await fill(outside, [0], 1)
      assert.deepEqual(await outside.sql('SELECT count(*) AS rows, max(id) AS id FROM audit_logs'), [{ rows: 13, id: 13 }])
    })

    it('brings back tables that were taken out and not dropped, and leaves alone what only bears such a name', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside, { boundDay: -100, days: [-100, -96] })
      await fill(outside, [-99, -98, 0])
      const rows = await rowsOf(outside)
      const taken = await takenOut(outside, -99, 5)
      await outside.sql(`CREATE TABLE audit_logs_p20010101 (LIKE audit_logs)`)
      await outside.sql(`INSERT INTO maintenance_detached VALUES ('audit_logs_p20010101', 'audit_logs', $1, $2, 5)`, [
        midnight(-99),
        midnight(-98),
      ])
      await outside.sql(`INSERT INTO maintenance_detached VALUES ('sessions', 'audit_logs', NULL, 'never', 5)`)
      assert.equal((await rowsOf(outside)).length, 6)
      const { steps } = await undo(fixture)
      assert.deepEqual(await rowsOf(outside), rows)
      assert.match(steps.join('\n'), /leaves a table alone .* public\.audit_logs_p20010101: /)
      assert.match(steps.join('\n'), /leaves a table alone .* "sessions": its record is none that the worker writes/)
      assert.deepEqual(await outside.sql('SELECT relation FROM maintenance_detached ORDER BY relation'), [
        { relation: 'audit_logs_p20010101' },
        { relation: 'sessions' },
      ])
      assert.deepEqual(await outside.sql(`SELECT to_regclass('${taken}') AS is, to_regclass('audit_logs_p20010101')::text AS other`), [
        { is: null, other: 'audit_logs_p20010101' },
      ])
    })

    it('refuses, and changes nothing, where ids are double or something else depends on the partitions', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside)
      await fill(outside, [0, 2])
      await outside.sql(
        `INSERT INTO audit_logs (id, tool_name, "user", action, status, "timestamp") SELECT 1, 't', 'u', 'a', 's', $1::timestamp`,
        [midnight(3)],
      )
      const before = await shapeOf(outside)
      await assert.rejects(
        undo(fixture),
        /1 value of "id" is on more than one row of public\.audit_logs.* SELECT "id", count\(\*\) FROM public\.audit_logs GROUP BY "id" HAVING count\(\*\) > 1/,
      )
      await outside.sql(`DELETE FROM audit_logs WHERE "timestamp" = $1::timestamp`, [midnight(3)])
      for (const [made, said, unmade] of [
        [
          'CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM audit_logs',
          /materialized view counted/i,
          'DROP MATERIALIZED VIEW counted',
        ],
        [
          'CREATE TABLE notes (id bigint, t timestamp, FOREIGN KEY (id, t) REFERENCES audit_logs (id, "timestamp"))',
          /constraint .* on table notes/i,
          'DROP TABLE notes',
        ],
        [
          `CREATE SCHEMA elsewhere; ALTER TABLE ${partitionOf(3)} SET SCHEMA elsewhere`,
          /The partition "elsewhere"\.\S+ is in another schema than public\.audit_logs\. Run: ALTER TABLE "elsewhere"\.\S+ SET SCHEMA "public"$/,
          `ALTER TABLE elsewhere.${partitionOf(3)} SET SCHEMA public; DROP SCHEMA elsewhere`,
        ],
        [`CREATE VIEW of_default AS SELECT id FROM audit_logs_default`, /view of_default/i, 'DROP VIEW of_default'],
      ] as const) {
        await outside.sql(made)
        await assert.rejects(undo(fixture), said)
        await outside.sql(unmade)
      }
      assert.deepEqual(
        (await shapeOf(outside)).filter((line) => !line.includes('undo_key')),
        before,
      )
      await undo(fixture)
    })

    it('fires no trigger for a row that moves, and every one for rows that come and go meanwhile', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await outside.sql(`CREATE TABLE told (what text); CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO told VALUES (TG_OP || ' ' || TG_LEVEL || ' ' || TG_NAME); RETURN coalesce(NEW, OLD); END $$`)
      await outside.sql(`CREATE TRIGGER each_row AFTER INSERT OR DELETE ON audit_logs FOR EACH ROW EXECUTE FUNCTION tell();
        CREATE TRIGGER early BEFORE INSERT ON audit_logs FOR EACH ROW WHEN (NEW.status = 'success') EXECUTE FUNCTION tell();
        CREATE TRIGGER each_statement AFTER INSERT ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION tell();
        ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER early`)
      const before = await shapeOf(outside)
      const triggers = await outside.sql<{ sql: string; name: string }>(
        `SELECT pg_get_triggerdef(oid) AS sql, tgname AS name FROM pg_trigger WHERE tgrelid = 'audit_logs'::regclass`,
      )
      await outside.sql(triggers.map(({ name }) => `DROP TRIGGER ${name} ON audit_logs`).join(';'))
      await partitioned(outside)
      await outside.sql(`${triggers.map(({ sql }) => sql).join(';')}; ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER early`)
      await fill(outside, [0, 2, 3, 40], 700)
      await outside.sql('DELETE FROM told')
      await halfUndone(fixture)
      assert.deepEqual(await outside.sql('SELECT * FROM told'), [])
      await outside.sql(`DELETE FROM audit_logs WHERE "timestamp" = (SELECT max("timestamp") FROM audit_logs) AND tool_name = 't7'`)
      await fill(outside, [2], 1)
      const now = ['DELETE ROW each_row', 'INSERT ROW each_row', 'INSERT ROW early', 'INSERT STATEMENT each_statement']
      assert.deepEqual(
        await outside.sql('SELECT what FROM told ORDER BY what'),
        now.map((what) => ({ what })),
      )
      await undo(fixture)
      assert.deepEqual(
        await outside.sql('SELECT what FROM told ORDER BY what'),
        now.map((what) => ({ what })),
      )
      assert.deepEqual(await shapeOf(outside), before)
      await outside.sql('DELETE FROM told')
      await fill(outside, [0], 1)
      assert.deepEqual(await outside.sql('SELECT what FROM told ORDER BY what'), [
        { what: 'INSERT ROW each_row' },
        { what: 'INSERT ROW early' },
        { what: 'INSERT STATEMENT each_statement' },
      ])
    })

    it('keeps nobody waiting or in the dark who writes and reads meanwhile', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside, { boundDay: -2, days: [-2, 6] })
      await fill(outside, [-3, -1, 0, 2, 40], 2_000)
      await outside.sql(`UPDATE audit_logs SET status = '${STANDING}' WHERE tool_name IN ('t1', 't700', 't1999')`)
      const writer = startWriter(outside.url)
      const reader = startReader(outside.url, 15)
      await undo(fixture)
      const { tokens, ids, unknown } = await writer.end()
      const { looks, seen } = await reader.end()
      assert.deepEqual([seen, unknown], [[], []])
      assert.ok(looks > 5 && tokens.length > 5, `${looks} looks, ${tokens.length} rows`)
      assert.deepEqual(
        ids,
        ids.toSorted((a, b) => a - b),
      )
      const found = await outside.sql<{ n: number; ids: number }>('SELECT count(*) AS n, count(DISTINCT id) AS ids FROM audit_logs')
      assert.deepEqual(found, [{ n: 10_000 + tokens.length, ids: 10_000 + tokens.length }])
    })

    it('before the table was converted takes back what was prepared, with the rows that were set aside', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await fill(outside, [-3, 0, 5, 'infinity'])
      const before = await shapeOf(outside)
      const rows = await rowsOf(outside)
      await setAside(outside)
      assert.equal((await rowsOf(outside)).length, 6)
      await undo(fixture)
      assert.deepEqual(await rowsOf(outside), rows)
      assert.deepEqual(await shapeOf(outside), before)
      assert.deepEqual(await outside.sql('SELECT * FROM maintenance_partitioned'), [])
    })

    it('brings back rows that were set aside when the table has been given a column since', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await fill(outside, [0, 5])
      await setAside(outside)
      await outside.sql(`ALTER TABLE audit_logs ADD COLUMN note text`)
      await undo(fixture)
      assert.equal((await rowsOf(outside)).length, 6)
      assert.deepEqual(await outside.sql(`SELECT to_regclass('audit_logs_new') AS new, to_regclass('audit_logs_default') AS other`), [
        { new: null, other: null },
      ])
    })

    it('gives back a table whose numbers are serial and whose time may be missing, after partition start', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await outside.sql(`ALTER TABLE audit_logs ALTER id DROP IDENTITY, ALTER "timestamp" DROP NOT NULL; CREATE SEQUENCE audit_logs_id_seq OWNED BY audit_logs.id;
        ALTER TABLE audit_logs ALTER id SET DEFAULT nextval('audit_logs_id_seq')`)
      await fill(outside, [-3, -1])
      const before = await shapeOf(outside)
      await converted(outside.url)
      await fill(outside, [3, 50, null])
      const rows = await rowsOf(outside)
      assert.equal(rows.length, 15)
      await undo(fixture)
      assert.deepEqual(await rowsOf(outside), rows)
      assert.deepEqual(await shapeOf(outside), before)
      await fill(outside, [0], 1)
      assert.deepEqual(await outside.sql('SELECT max(id) AS id FROM audit_logs'), [{ id: 16 }])
    })

    it('does nothing to a plain table, and nothing to one that somebody else has partitioned', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      assert.deepEqual((await undo(fixture)).steps, ['public.audit_logs is a plain table; there is nothing to undo'])
      await partitioned(outside)
      await outside.sql('DELETE FROM maintenance_partitioned')
      const before = await shapeOf(outside)
      await assert.rejects(undo(fixture), /public\.audit_logs was not turned into partitions by this program/)
      assert.deepEqual(await shapeOf(outside), before)
    })

    it('a table that became its child in the meantime is none of its business', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside)
      await fill(outside, [2, 3])
      const rows = await rowsOf(outside)
      let isStrange = false
      await assert.rejects(
        undo(fixture, async (step) => {
          if (step.startsWith('makes'))
            await outside.sql('CREATE TABLE strange (LIKE audit_logs_legacy INCLUDING ALL); CREATE TABLE stranger () INHERITS (strange)')
          if (step.includes('moves the rows of audit_logs_p'))
            await outside.sql(isStrange ? 'SELECT' : 'ALTER TABLE strange INHERIT audit_logs')
          isStrange ||= step.includes('moves the rows of audit_logs_p')
        }),
        /"public"\."strange" is a child of public\.audit_logs, but was no partition of it/,
      )
      assert.deepEqual(await rowsOf(outside), rows)
      await outside.sql('ALTER TABLE strange NO INHERIT audit_logs; DROP TABLE stranger, strange')
      await undo(fixture)
      assert.deepEqual(await rowsOf(outside), rows)
    })
  })
}

/** As `partition start` leaves the table before the last of its steps. */
async function setAside(outside: TestDatabase): Promise<void> {
  await outside.sql(`CREATE TABLE audit_logs_new (LIKE audit_logs INCLUDING ALL EXCLUDING IDENTITY EXCLUDING INDEXES) PARTITION BY RANGE ("timestamp");
        CREATE TABLE audit_logs_default PARTITION OF audit_logs_new DEFAULT;
        CREATE TABLE audit_logs_p20991231 PARTITION OF audit_logs_new FOR VALUES FROM ('2099-12-31') TO ('2100-01-01');
        CREATE UNIQUE INDEX audit_logs_legacy_key ON audit_logs (id, "timestamp");
        WITH aside AS (DELETE FROM audit_logs WHERE "timestamp" >= ${QUOTED_BOUND} RETURNING *) INSERT INTO audit_logs_default SELECT * FROM aside;
        ALTER TABLE audit_logs ADD CONSTRAINT audit_logs_legacy_bound CHECK ("timestamp" IS NOT NULL AND "timestamp" < ${QUOTED_BOUND})`)
  await outside.sql(`INSERT INTO maintenance_partitioned VALUES ('audit_logs', 'audit_logs_legacy', $1, 1, NULL, NULL)`, [midnight(2)])
}
