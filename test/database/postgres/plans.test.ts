import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as sql from '../../../src/database/postgres/purging/slice-sql.ts'
import { boundedFreeSql, edgesNearSql, firstFreeSql } from '../../../src/database/postgres/purging/spared-scan-sql.ts'
import { unspared, type SparedTest } from '../../../src/database/postgres/purging/spared-sql.ts'
import type { Value } from '../../../src/database/query.ts'
import { freshPostgres, POSTGRES_MAJORS } from '../../support/databases.ts'

interface Plan {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly Plans?: readonly Plan[]
}

/** A statement that adds to its values, with these. */
function bound(make: (values: Value[]) => string, values: Value[]): readonly [string, readonly Value[]] {
  return [make(values), values]
}

/** How the statement reaches the table. */
function accesses(plan: Plan): string[] {
  const own = plan['Relation Name'] === undefined || plan['Node Type'] === 'ModifyTable' ? [] : [plan['Node Type']]
  return [...own, ...(plan.Plans ?? []).flatMap(accesses)]
}

const SEARCHES = new Set(['Index Scan', 'Index Only Scan', 'Bitmap Heap Scan', 'Tid Range Scan', 'Tid Scan'])

for (const major of POSTGRES_MAJORS) {
  void describe(`statements of the purge on PostgreSQL ${major}`, () => {
    for (const analyzed of [true, false]) {
      void test(`search an index of ${analyzed ? 'an analyzed table' : 'a table without statistics'}, and never scan`, async () => {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(`
          CREATE TABLE rows (id bigint PRIMARY KEY, at timestamp, note text) WITH (autovacuum_enabled = off);
          CREATE INDEX rows_at ON rows (at DESC);
          INSERT INTO rows SELECT i, timestamp '2026-01-01' + (i / 3) * interval '1 minute', repeat('x', 200) FROM generate_series(1, 60000) AS i;
          INSERT INTO rows SELECT i, '2026-01-05', repeat('x', 200) FROM generate_series(60001, 62000) AS i`)
        if (analyzed) await fresh.admin.query('ANALYZE rows')
        // As the program's own transactions have it.
        await fresh.admin.query('SET enable_seqscan = off')

        const timed: sql.TimedTable = { table: '"public"."rows"', title: 'public.rows', column: '"at"', type: 'timestamp' }
        const range = sql.rangeCondition(timed, '2026-01-20T00:00:00', '2026-01-03T00:00:00', '2026-01-04T00:00:00')
        const tie = sql.equalTimesCondition(timed, '2026-01-20T00:00:00', '2026-01-05T00:00:00', {
          relation: await oid(),
          from: '(10,0)',
          to: '(1800,7)',
        })
        const statements: readonly (readonly [string, readonly unknown[]])[] = [
          [sql.edgesSql(timed, false), ['2026-01-20T00:00:00', '-infinity', 1000]],
          [sql.edgesSql(timed, true), ['2026-01-20T00:00:00', '2026-01-03T00:00:00.000001', 5000]],
          [sql.edgesSql(timed, false, 'before'), ['2026-01-20T00:00:00', '-infinity', 1000, '2026-01-03T00:00:00.000001']],
          [sql.edgesSql(timed, true, 'with'), ['2026-01-20T00:00:00', '2026-01-03T00:00:00.000001', 5000, '2026-01-05T00:00:00']],
          [sql.heapRangesSql(timed), ['2026-01-05T00:00:00', 500]],
          [sql.placeSql(timed, tie), [...tie.values, 10]],
          [sql.boundedSql(timed), ['2026-01-20T00:00:00', 100_001]],
          [sql.boundedSql(timed), ['2026-01-05T00:00:00', 100]],
          [sql.oldestSql(timed), ['2026-01-20T00:00:00']],
          [sql.undatedSql(timed), []],
          [sql.minusInfinitySql(timed), []],
          ...[range, tie].flatMap((condition) =>
            [true, false].map((utc) => [sql.countByTimeSql(timed, utc, condition), condition.values] as const),
          ),
          ...[range, tie].flatMap((condition) =>
            [sql.countSql, sql.deleteSql, sql.deleteFreeSql].map((text) => [text(timed, condition), condition.values] as const),
          ),
        ]
        const spared: readonly SparedTest[] = [
          (bind) => `pg_catalog.lower(t.note COLLATE pg_catalog."C") OPERATOR(pg_catalog.=) ANY (${bind('{x,y}')}::pg_catalog.text[])`,
        ]
        const [cutoff, from] = ['2026-01-20T00:00:00', '2026-01-03T00:00:00']
        const inOrder = [
          bound((values) => edgesNearSql(timed, false, undefined, spared, values), [cutoff, '-infinity', 1001, 4004]),
          bound((values) => edgesNearSql(timed, true, 'with', spared, values), [cutoff, from, 1001, 4004, '2026-01-10T00:00:00']),
          bound((values) => firstFreeSql(timed, undefined, spared, values), [cutoff, from, 100_000]),
          bound((values) => firstFreeSql(timed, 'before', spared, values), [cutoff, from, 20_000, '2026-01-10T00:00:00']),
        ]
        for (const [text, values] of inOrder) {
          await fresh.admin.query(`BEGIN; ${sql.STEERED}`)
          const { rows } = await fresh.admin.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`EXPLAIN (FORMAT JSON) ${text}`, [...values])
          await fresh.admin.query('COMMIT')
          const plan = rows[0]!['QUERY PLAN'][0].Plan
          assert(
            accesses(plan).every((access) => access.startsWith('Index')) && !JSON.stringify(plan).includes('"Sort"'),
            `${JSON.stringify(plan)} of ${text}`,
          )
        }
        const kept = [range, tie].map((condition) => unspared(condition, spared))
        const bounded = bound((values) => boundedFreeSql(timed, '', spared, values), [cutoff, 100_001])
        const withSpared = kept.flatMap((condition) =>
          [sql.countSql, sql.deleteSql, sql.deleteFreeSql].map((text) => [text(timed, condition), condition.values] as const),
        )
        for (const [text, values] of [...statements, bounded, ...withSpared]) {
          const { rows } = await fresh.admin.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`EXPLAIN (FORMAT JSON) ${text}`, [...values])
          const plan = rows[0]?.['QUERY PLAN'][0].Plan
          assert(plan !== undefined)
          const used = accesses(plan)
          assert(used.length > 0 && used.every((access) => SEARCHES.has(access)), `${used.join()} in ${text}`)
        }

        async function oid(): Promise<number> {
          const { rows } = await fresh.admin.query<{ oid: number }>(`SELECT 'rows'::regclass::oid AS oid`)
          return rows[0]?.oid ?? 0
        }
      })
    }

    void test('the edges of a slice are found by the index even without the settings of a transaction', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`
        CREATE TABLE rows (id bigint PRIMARY KEY, at timestamptz); CREATE INDEX rows_at ON rows (at);
        INSERT INTO rows SELECT i, timestamptz '2026-01-01' + i * interval '1 minute' FROM generate_series(1, 60000) AS i; ANALYZE rows`)
      const timed: sql.TimedTable = { table: '"rows"', title: 'rows', column: '"at"', type: 'timestamptz' }
      for (const [lower, size] of [
        ['-infinity', 10_000],
        ['2026-01-10T00:00:00Z', 500],
      ] as const) {
        const { rows } = await fresh.admin.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`EXPLAIN (FORMAT JSON) ${sql.edgesSql(timed, true)}`, [
          '2027-01-01T00:00:00Z',
          lower,
          size,
        ])
        const plan = rows[0]?.['QUERY PLAN'][0].Plan
        assert(plan !== undefined)
        assert(
          accesses(plan).every((access) => access.startsWith('Index')),
          accesses(plan).join(),
        )
      }
    })
  })
}
