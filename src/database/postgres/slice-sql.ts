import type { Value } from '../database.ts'
import { literal } from './identifiers.ts'
import { asText, type TimeType } from './times.ts'

/** The statements of the purge. Each compares the bare column, so that the index on it serves; tests explain these very texts. */
export interface TimedTable {
  /** Qualified and quoted. */
  readonly table: string
  /** For messages. */
  readonly title: string
  /** Quoted. */
  readonly column: string
  readonly type: TimeType
}

/** What every statement on a slice repeats, so that a row renewed since it was chosen stays. */
export interface Condition {
  /** On the alias `t`, with `values` as `$1`, `$2`, … */
  readonly sql: string
  readonly values: readonly Value[]
}

/** Times from `from` (itself, or only what is behind it) to before `to`. */
export function rangeCondition(timed: TimedTable, from: string, inclusive: boolean, to: string): Condition {
  const { column, type } = timed
  return { sql: `t.${column} ${inclusive ? '>=' : '>'} $1::${type} AND t.${column} < $2::${type}`, values: [from, to] }
}

/** A stretch of the heap, behind `from` up to and with `to`. The place only narrows the condition on the time, it never stands alone. */
export interface Stretch {
  /** A partition's, where the table has them: places are only unique within one. */
  readonly relation: number
  readonly from: string
  readonly to: string
}

/** Part of the rows that bear one time. */
export function tieCondition({ column, type }: TimedTable, time: string, { relation, from, to }: Stretch): Condition {
  return {
    sql: `t.${column} = $1::${type} AND t.tableoid = $2::oid AND t.ctid > $3::tid AND t.ctid <= $4::tid`,
    values: [time, relation, from, to],
  }
}

/** The first time in the range as `first`, and the time `$3` rows behind it as `bound`. ORDER BY keeps a generic plan on the index. */
export function edgesSql(timed: TimedTable, inclusive: boolean): string {
  const { table, column } = timed
  const inOrder = `SELECT t.${column} AS at FROM ${table} AS t WHERE ${rangeCondition(timed, '', inclusive, '').sql} ORDER BY t.${column}`
  return `SELECT (SELECT ${asText('f.at')} FROM (${inOrder} LIMIT 1) AS f) AS first,
  (SELECT ${asText('b.at')} FROM (${inOrder} OFFSET $3::bigint LIMIT 1) AS b) AS bound`
}

/** Cuts the rows that bear the time `$1` into stretches of `$2` rows, in the order of the heap. */
export function stretchesSql({ table, column, type }: TimedTable): string {
  return `SELECT r.relation::bigint AS relation, r.place::text AS "to" FROM (
  SELECT t.tableoid AS relation, t.ctid AS place, row_number() OVER w AS n, lead(t.ctid) OVER w IS NULL AS last
  FROM ${table} AS t WHERE t.${column} = $1::${type} WINDOW w AS (PARTITION BY t.tableoid ORDER BY t.ctid)
) AS r WHERE r.n % $2::bigint = 0 OR r.last ORDER BY r.relation, r.place`
}

/** Where within a stretch so many of its rows end. */
export function placeSql({ table }: TimedTable, condition: Condition): string {
  return `SELECT t.ctid::text AS place FROM ${table} AS t WHERE ${condition.sql} ORDER BY t.ctid OFFSET $${condition.values.length + 1}::bigint LIMIT 1`
}

export function countSql({ table }: TimedTable, condition: Condition): string {
  return `SELECT count(*) AS rows FROM ${table} AS t WHERE ${condition.sql}`
}

/**
 * The same by the hour hand: readings, in milliseconds since 1970 as if they were UTC, each with how many rows. `utc` says that readings are UTC, so
 * that whole days will do.
 */
export function countByTimeSql({ table, column, type }: TimedTable, utc: boolean, condition: Condition): string {
  const reading = type === 'timestamptz' ? `t.${column} AT TIME ZONE 'UTC'` : `t.${column}`
  return `SELECT floor(extract(epoch FROM r.at) * 1000)::float8 AS reading, r.rows FROM (
  SELECT date_trunc('${utc ? 'day' : 'minute'}', ${reading}) AS at, count(*) AS rows FROM ${table} AS t WHERE ${condition.sql} GROUP BY 1
) AS r`
}

export function deleteSql({ table }: TimedTable, condition: Condition): string {
  return `DELETE FROM ${table} AS t WHERE ${condition.sql}`
}

/** The same; `digest` is an expression on `t`, and of all rows that are gone one value comes back: as many rows would take longer than deleting them. */
export function deleteToldSql(timed: TimedTable, condition: Condition, digest: string): string {
  return `WITH gone AS (${deleteSql(timed, condition)} RETURNING ${digest} AS digest)
SELECT count(*) AS gone, string_agg(digest, '') AS digests FROM gone`
}

/** In the order of time. COPY takes no values from outside, so they stand in the text. */
export function copySql({ table, column }: TimedTable, condition: Condition, expressions: readonly string[]): string {
  const where = condition.sql.replace(/\$(\d+)/g, (_, number) => literal(String(condition.values[Number(number) - 1])))
  return `COPY (SELECT ${expressions.join(', ')} FROM ${table} AS t WHERE ${where} ORDER BY t.${column}) TO STDOUT (FORMAT binary)`
}

/** Deletes only what nobody else holds, without waiting; says how many rows were free and how many of those are gone. */
export function deleteFreeSql({ table }: TimedTable, condition: Condition, digest = 'NULL::bytea'): string {
  return `WITH free AS MATERIALIZED (
  SELECT t.tableoid AS relation, t.ctid AS place FROM ${table} AS t WHERE ${condition.sql} FOR UPDATE OF t SKIP LOCKED
), gone AS (
  DELETE FROM ${table} AS t USING free WHERE t.tableoid = free.relation AND t.ctid = free.place AND ${condition.sql} RETURNING ${digest} AS digest
)
SELECT (SELECT count(*) FROM free) AS free, (SELECT count(*) FROM gone) AS gone, (SELECT string_agg(digest, '') FROM gone) AS digests`
}

/** Counts the range no further than `$3` rows. */
export function boundedSql(timed: TimedTable): string {
  const { table, column } = timed
  return `SELECT count(*) AS rows FROM (SELECT FROM ${table} AS t WHERE ${rangeCondition(timed, '', false, '').sql} ORDER BY t.${column} LIMIT $3::bigint) AS r`
}

/** The first time in the range, in milliseconds since 1970; of a type without a zone as if its readings were UTC. */
export function oldestSql(timed: TimedTable): string {
  const { table, column } = timed
  return `SELECT floor(extract(epoch FROM t.${column}) * 1000)::float8 AS oldest FROM ${table} AS t WHERE ${rangeCondition(timed, '', false, '').sql} ORDER BY t.${column} LIMIT 1`
}

/** For the planner alone. */
export function rangeSql(timed: TimedTable): string {
  return `SELECT FROM ${timed.table} AS t WHERE ${rangeCondition(timed, '', false, '').sql}`
}

export function undatedSql({ table, column }: TimedTable): string {
  return `SELECT count(*) AS rows FROM ${table} AS t WHERE t.${column} IS NULL`
}

export function minusInfinitySql({ table, column, type }: TimedTable): string {
  return `SELECT count(*) AS rows FROM ${table} AS t WHERE t.${column} = '-infinity'::${type}`
}

/** Whether there is a row at or behind the time `$1`. ORDER BY keeps it on the index. */
export function sparesSql({ table, column, type }: TimedTable): string {
  return `SELECT EXISTS (SELECT FROM ${table} AS t WHERE t.${column} >= $1::${type} ORDER BY t.${column} DESC LIMIT 1) AS spares`
}
