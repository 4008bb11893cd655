import type { Value } from '../../query.ts'
import { EQ, LE, LT, millisecondsOf } from '../exact.ts'
import { asText } from '../times.ts'
import { after, isExpired, type TimedTable } from './slice-sql.ts'
import { bindingTo, isFree, type SparedTest } from './spared-sql.ts'

/** The first `most` rows from `$2` on, in order. */
function inOrder(timed: TimedTable, inclusive: boolean, upTo: string, columns = ''): string {
  const { table, column } = timed
  return `SELECT t.${column} AS at${columns} FROM ${table} AS t WHERE ${after(timed, inclusive)}${upTo} ORDER BY t.${column}`
}

function upToSql({ column, type }: TimedTable, end: 'before' | 'with' | undefined, number: number): string {
  return end === undefined ? '' : ` AND t.${column} ${end === 'with' ? LE : LT} $${number}::pg_catalog.${type}`
}

/** Among the first `$4` rows: the first time that is free, and the `$3`th; if there are fewer, the time of the row behind all of them. Adds to `values`. */
export function edgesNearSql(
  timed: TimedTable,
  inclusive: boolean,
  end: 'before' | 'with' | undefined,
  spared: readonly SparedTest[],
  values: Value[],
): string {
  const upTo = upToSql(timed, end, 5)
  const last = end === undefined ? '' : `,\n  e.first ${EQ} $5::pg_catalog.${timed.type} AS last`
  return `SELECT ${asText('e.first')} AS first, CASE WHEN e.free ${EQ} $3::bigint THEN ${asText('e.latest')} END AS bound,
  CASE WHEN e.free ${LT} $3::bigint THEN (SELECT ${asText('b.at')} FROM (${inOrder(timed, inclusive, upTo)} OFFSET $4::bigint LIMIT 1) AS b) END AS ended${last}
FROM (SELECT pg_catalog.min(f.at) AS first, pg_catalog.max(f.at) AS latest, pg_catalog.count(*) AS free FROM (
  SELECT r.at FROM (${inOrder(timed, inclusive, upTo, `, ${isFree(spared, bindingTo(values))} AS free`)} LIMIT $4::bigint) AS r WHERE r.free ORDER BY r.at LIMIT $3::bigint
) AS f) AS e`
}

/** Among the first `$3` rows from `$2` on: the first time that is free, the last time, and whether that is the first one too. Adds to `values`. */
export function firstFreeSql(
  timed: TimedTable,
  end: 'before' | 'with' | undefined,
  spared: readonly SparedTest[],
  values: Value[],
): string {
  const last = end === undefined ? '' : `, coalesce(p.first, p.ended) ${EQ} $4::pg_catalog.${timed.type} AS last`
  return `SELECT ${asText('p.first')} AS first, ${asText('p.ended')} AS ended, p.passed, p.ended ${EQ} $2::pg_catalog.${timed.type} AS equal${last}
FROM (SELECT pg_catalog.min(r.at) FILTER (WHERE r.free) AS first, pg_catalog.max(r.at) AS ended, pg_catalog.count(*) AS passed FROM (
  ${inOrder(timed, true, upToSql(timed, end, 4), `, ${isFree(spared, bindingTo(values))} AS free`)} LIMIT $3::bigint
) AS r) AS p`
}

/** Of the first `$2` expired rows, how many are free, and the earliest of these in milliseconds since 1970. `also`: as in `boundedSql`. Adds to `values`. */
export function boundedFreeSql(timed: TimedTable, also: string, spared: readonly SparedTest[], values: Value[]): string {
  const { table, column } = timed
  return `SELECT pg_catalog.count(*) FILTER (WHERE r.free) AS free, pg_catalog.count(*) AS passed, ${millisecondsOf('pg_catalog.min(r.at) FILTER (WHERE r.free)')}::pg_catalog.float8 AS oldest
FROM (SELECT t.${column} AS at, ${isFree(spared, bindingTo(values))} AS free FROM ${table} AS t WHERE ${isExpired(timed)}${also} ORDER BY t.${column} LIMIT $2::bigint) AS r`
}
