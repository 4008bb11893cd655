import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../../src/database/database.ts'
import { NO_TERMS } from '../../../src/database/purging.ts'
import { freshPostgres, POSTGRES_MAJORS } from '../../support/databases.ts'
import { opened, purged } from './fixture.ts'
import { inspected, runs } from './inspected.ts'

function judged(url: string, archived: readonly string[] = [], keeping: readonly string[] = []): Promise<string> {
  return inspected(url, { table: 'rows', column: 'at' }, { ...NO_TERMS, archived, keeping })
}

const filled = (table: string, from = 1, to = 60_000): string =>
  `INSERT INTO ${table} (id, at, note) SELECT i, timestamp '2026-01-01' + i * interval '1 minute', repeat('x', 60) FROM generate_series(${from}, ${to}) AS i`

const ROWS = 'CREATE TABLE rows (id bigint, at timestamp, note text)'

for (const major of POSTGRES_MAJORS) {
  describe(`whether an index serves the walk on PostgreSQL ${major}`, () => {
    for (const [what, sql, lacking] of [
      [
        'a child by inheritance has none',
        `${ROWS}; CREATE INDEX ON rows (at); CREATE TABLE rows_2026 () INHERITS (rows); ${filled('rows_2026')}`,
        /in public\.rows_2026, so/,
      ],
      [
        'the parent has none, and its children have',
        `${ROWS}; CREATE TABLE rows_2026 () INHERITS (rows); CREATE INDEX ON rows_2026 (at); ${filled('rows')}; ${filled('rows_2026', 1, 10)}`,
        /"at", so/,
      ],
      [
        'a grandchild has none, and its column has another number',
        `${ROWS}; CREATE INDEX ON rows (at); CREATE TABLE a () INHERITS (rows); CREATE INDEX ON a (at);
         CREATE TABLE b (more int, at timestamp, id bigint, note text); ALTER TABLE b INHERIT a; CREATE INDEX ON b (id, at); ${filled('b')}`,
        /in public\.b, so/,
      ],
      [
        'an interrupted build left it invalid',
        `${ROWS}; CREATE INDEX rows_at ON rows (at); ${filled('rows')}; UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'rows_at'::regclass`,
        /Run: REINDEX INDEX CONCURRENTLY "public"\."rows_at"$/,
      ],
      [
        'it is of another method',
        `${ROWS}; CREATE INDEX ON rows USING brin (at); CREATE INDEX ON rows USING hash (at); ${filled('rows')}`,
        /"at", so/,
      ],
      ['it has not all rows', `${ROWS}; CREATE INDEX ON rows (at) WHERE at IS NOT NULL; ${filled('rows')}`, /"at", so/],
      ['another column comes first', `${ROWS}; CREATE INDEX ON rows (id, at); ${filled('rows')}`, /"at", so/],
      ['an expression comes first', `${ROWS}; CREATE INDEX ON rows ((at + interval '1 h'), at); ${filled('rows')}`, /"at", so/],
      [
        'it has an order of its own, which the planner cannot use',
        `CREATE OPERATOR CLASS turned FOR TYPE timestamp USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 turned_cmp(timestamp, timestamp);
         ${ROWS}; CREATE INDEX ON rows (at turned); ${filled('rows')}`,
        /"at", so/,
      ],
      [
        'one partition has none',
        `${ROWS} PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF rows FOR VALUES FROM (0) TO (50000); CREATE TABLE p2 PARTITION OF rows FOR VALUES FROM (50000) TO (900000);
         CREATE INDEX ON p1 (at); ${filled('rows', 1, 100_000)}`,
        /in public\.p2, so .* ON ONLY .*CREATE INDEX CONCURRENTLY .*ATTACH PARTITION/,
      ],
      [
        'partitions of partitions have none',
        `${ROWS} PARTITION BY RANGE (id); CREATE TABLE "p 1" PARTITION OF rows FOR VALUES FROM (0) TO (900000) PARTITION BY RANGE (id);
         CREATE TABLE p11 PARTITION OF "p 1" FOR VALUES FROM (0) TO (30000); CREATE TABLE p12 PARTITION OF "p 1" FOR VALUES FROM (30000) TO (900000); ${filled('rows')}`,
        /in public\.p11, public\.p12, so/,
      ],
      [
        'the index of a partitioned table is not attached everywhere',
        `${ROWS} PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF rows FOR VALUES FROM (0) TO (900000); CREATE INDEX whole ON ONLY rows (at); ${filled('rows')}`,
        /Run: CREATE INDEX CONCURRENTLY "p1_at_purge" ON "public"\."p1" \("at"\); ALTER INDEX "public"\."whole" ATTACH PARTITION "public"\."p1_at_purge"$/,
      ],
    ] as const)
      it(`a large table is refused where ${what}, and the statements in the message help`, async () => {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(
          `CREATE FUNCTION turned_cmp(timestamp, timestamp) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN pg_catalog.timestamp_cmp($2, $1); END'; ${sql}`,
        )
        const message = await judged(fresh.url)
        assert.match(
          message,
          /^Table public\.rows has more than 50,000 rows and no index that begins with "at".*Nothing was deleted\. Run: /,
        )
        assert.match(message, lacking)
        await runs(fresh, message)
        assert.equal(await judged(fresh.url), '')
        const { rows } = await fresh.admin.query(`SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid`)
        assert.deepEqual(rows, [])
      })

    it('a small child needs none', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(
        `${ROWS}; CREATE INDEX ON rows (at); ${filled('rows')}; CREATE TABLE rows_2026 () INHERITS (rows); ${filled('rows_2026', 1, 1_000)}; ANALYZE`,
      )
      assert.equal(await judged(fresh.url), '')
    })

    it('an index that the planner does not choose by itself is chosen for the walk, with a note', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`${ROWS}; CREATE INDEX ON rows (at); ${filled('rows')}; ANALYZE rows`)
      assert.equal(await judged(fresh.url), '')
      await fresh.admin.query(
        `ALTER DATABASE "${fresh.name}" SET enable_indexscan = off; ALTER DATABASE "${fresh.name}" SET enable_bitmapscan = off`,
      )
      assert.match(
        await judged(fresh.url),
        /^the planner would rather read or sort the whole of public\.rows than search its index on "at", .*enable_indexscan/,
      )
      await using database = await opened(fresh.url)
      await database.inspect({ table: 'rows', column: 'at' })
      const before = await scans(database)
      assert.deepEqual((await purged(database, 'rows', Date.UTC(2026, 0, 8), 5_000)).sizes, [5_000, 5_000, 79])
      const after = await scans(database)
      assert.equal(after.whole, before.whole)
      assert.ok(after.index > before.index)
    })

    describe('where another program drops partitions', () => {
      const PARTITIONED = `${ROWS} PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF rows DEFAULT; CREATE SCHEMA partman; CREATE SCHEMA timescaledb_information`
      for (const [program, sql, end] of [
        [
          'pg_partman',
          `CREATE TABLE partman.part_config (parent_table text, retention text); INSERT INTO partman.part_config VALUES ('public.other', '1 day'), ('public.rows', '30 days')`,
          /older than "30 days" \(partman\.part_config\)/,
        ],
        [
          'TimescaleDB',
          `CREATE TABLE of_jobs (proc_name name, hypertable_schema name, hypertable_name name, config jsonb); CREATE VIEW timescaledb_information.jobs AS SELECT * FROM of_jobs;
           INSERT INTO of_jobs VALUES ('policy_retention', 'public', 'rows', '{"drop_after": "30 days"}'), ('policy_retention', 'public', 'others', '{}')`,
          /older than "30 days" \(timescaledb_information\.jobs\)/,
        ],
      ] as const)
        it(`${program} is refused with the archive, and told without`, async () => {
          await using fresh = await freshPostgres(major)
          await fresh.admin.query(`${PARTITIONED}; ${sql}`)
          const refusal = await judged(fresh.url, ['rows'])
          assert.match(refusal, new RegExp(`^${program} drops partitions of public\\.rows that are `))
          assert.match(
            refusal,
            /whether or not their rows are in the archive\. Nothing was deleted\. Set ARCHIVE_ENABLED=false, or .* Run: /,
          )
          assert.match(refusal, end)
          assert.match(await judged(fresh.url), /drops partitions of public\.rows .* as well, and no count/)
          assert.match(
            await judged(fresh.url, ['rows'], ['rows']),
            /whether or not a legal hold or a retention rule keeps rows of them\. Nothing was deleted\. /,
          )
          await fresh.admin.query(program === 'pg_partman' ? (/Run: (.*)/.exec(refusal)?.[1] ?? 'none') : 'DELETE FROM of_jobs')
          assert.equal(await judged(fresh.url, ['rows']), '')
        })

      it('what a stranger planted by their names is not read, and what may not be read is told', async () => {
        await using fresh = await freshPostgres(major)
        const name = `${fresh.name}_role`
        await fresh.admin.query(`CREATE ROLE ${name} LOGIN; ${PARTITIONED}; GRANT ALL ON SCHEMA partman TO ${name};
          SET ROLE ${name}; CREATE FUNCTION partman.bad() RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''called''; END';
          CREATE VIEW partman.part_config AS SELECT partman.bad() AS parent_table, partman.bad() AS retention; RESET ROLE`)
        try {
          assert.match(
            await judged(fresh.url, ['rows']),
            new RegExp(`whether pg_partman drops .* cannot be told, because partman\\.part_config belongs to role ${name}`),
          )
          await fresh.admin.query(`DROP VIEW partman.part_config; CREATE TABLE partman.part_config (parent_table text, retention text);
            GRANT SELECT, DELETE ON rows TO ${name}`)
          assert.match(
            await judged(fresh.url.replace('postgres@', `${name}@`)),
            /cannot be told, because partman\.part_config may not be read by this role/,
          )
        } finally {
          await fresh.admin.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`)
        }
      })
    })
  })
}

/** How often the table has been read as a whole, and how often by its index. */
async function scans(database: Database): Promise<{ whole: number; index: number }> {
  await database.query('SELECT pg_catalog.pg_stat_force_next_flush()')
  const { rows } = await database.query<{ whole: number; index: number }>(
    `SELECT seq_scan AS whole, idx_scan AS index FROM pg_stat_user_tables WHERE relname = 'rows'`,
  )
  return rows[0]!
}
