import type { Value } from '../../query.ts'
import { EQ, GE, GT, LE, LT, millisecondsOf, MODULO, textOf } from '../exact.ts'
import { literal } from '../identifiers.ts'
import { asText, type TimeType } from '../times.ts'

/**
 * A table as the statements of the purge name it. They compare the bare column, so that the index on it serves; tests explain these very texts.
 */
export interface TimedTable {
  /** Qualified and quoted. */
  readonly table: string
  /** For messages. */
  readonly title: string
  /** Quoted. */
  readonly column: string
  readonly type: TimeType
}

/** Its type, and whether this role may lock its rows. */
export const TIME_COLUMN = `SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
  pg_catalog.has_table_privilege(a.attrelid, 'UPDATE'::pg_catalog.text) AS may_lock
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name AND a.attname ${EQ} $3::pg_catalog.name
  AND a.attnum ${GT} 0 AND NOT a.attisdropped`

/** What every statement on a slice repeats, so that a row renewed since it was chosen stays. */
export interface Condition {
  /** On the alias `t`, with `values` as `$1`, `$2`, … */
  readonly sql: string
  readonly values: readonly Value[]
}

/** What may go at all: times before `$1`, the cutoff. Bounds that the server has answered only narrow it, whatever they say. */
function expired({ column, type }: TimedTable): string {
  return `t.${column} ${GT} '-infinity'::pg_catalog.${type} AND t.${column} ${LT} $1::pg_catalog.${type}`
}

/** Times from `from` to before `to`. */
export function rangeCondition(timed: TimedTable, cutoff: string, from: string, to: string): Condition {
  const { column, type } = timed
  return {
    sql: `${expired(timed)} AND t.${column} ${GE} $2::pg_catalog.${type} AND t.${column} ${LT} $3::pg_catalog.${type}`,
    values: [cutoff, from, to],
  }
}

/** `fits`: a condition on the row itself, which takes no values. */
export function narrowed(condition: Condition, fits: string | undefined): Condition {
  return fits === undefined ? condition : { ...condition, sql: `${condition.sql} AND ${fits}` }
}

/** Of the first `$2` rows that have expired those that do not fit: the first few, each with how many there are. */
export function misfitsSql(timed: TimedTable, fits: string, id: string, few: number): string {
  const { table, column } = timed
  return `SELECT r.id, pg_catalog.count(*) OVER () AS rows FROM (
  SELECT ${id} AS id, ${fits} AS fits FROM ${table} AS t WHERE ${expired(timed)} ORDER BY t.${column} LIMIT $2::bigint
) AS r WHERE NOT r.fits LIMIT ${few}`
}

/** A range of the heap, behind `from` up to and with `to`. The place only narrows the condition on the time, it never stands alone. */
export interface HeapRange {
  /** A partition's, where the table has them: places are only unique within one. */
  readonly relation: number
  readonly from: string
  readonly to: string
}

/** Part of the rows that bear one time. */
export function equalTimesCondition(timed: TimedTable, cutoff: string, time: string, { relation, from, to }: HeapRange): Condition {
  const { column, type } = timed
  return {
    sql: `${expired(timed)} AND t.${column} ${EQ} $2::pg_catalog.${type}
  AND t.tableoid ${EQ} $3::pg_catalog.oid AND t.ctid ${GT} $4::pg_catalog.tid AND t.ctid ${LE} $5::pg_catalog.tid`,
    values: [cutoff, time, relation, from, to],
  }
}

/** From the time `$2` on (itself, or only what is behind it). */
function behind(timed: TimedTable, inclusive: boolean): string {
  return `${expired(timed)} AND t.${timed.column} ${inclusive ? GE : GT} $2::pg_catalog.${timed.type}`
}

/** The first time from `$2` on as `first`, and the time `$3` rows behind it as `bound`. ORDER BY keeps a generic plan on the index. */
export function edgesSql(timed: TimedTable, inclusive: boolean): string {
  const { table, column } = timed
  const inOrder = `SELECT t.${column} AS at FROM ${table} AS t WHERE ${behind(timed, inclusive)} ORDER BY t.${column}`
  return `SELECT (SELECT ${asText('f.at')} FROM (${inOrder} LIMIT 1) AS f) AS first,
  (SELECT ${asText('b.at')} FROM (${inOrder} OFFSET $3::bigint LIMIT 1) AS b) AS bound`
}

/** Cuts the rows that bear the time `$1` into ranges of `$2` rows, in the order of the heap. */
export function heapRangesSql({ table, column, type }: TimedTable): string {
  return `SELECT r.relation::bigint AS relation, ${textOf('r.place')} AS "to" FROM (
  SELECT t.tableoid AS relation, t.ctid AS place, pg_catalog.row_number() OVER w AS n, pg_catalog.lead(t.ctid) OVER w IS NULL AS last
  FROM ${table} AS t WHERE t.${column} ${EQ} $1::pg_catalog.${type} WINDOW w AS (PARTITION BY t.tableoid ORDER BY t.ctid)
) AS r WHERE (r.n ${MODULO} $2::bigint) ${EQ} 0::bigint OR r.last ORDER BY r.relation, r.place`
}

/** Where within a range so many of its rows end. */
export function placeSql({ table }: TimedTable, condition: Condition): string {
  return `SELECT ${textOf('t.ctid')} AS place FROM ${table} AS t WHERE ${condition.sql} ORDER BY t.ctid OFFSET $${condition.values.length + 1}::bigint LIMIT 1`
}

export function countSql({ table }: TimedTable, condition: Condition): string {
  return `SELECT pg_catalog.count(*) AS rows FROM ${table} AS t WHERE ${condition.sql}`
}

/**
 * The same by time: times without their zone, in milliseconds since 1970 as if they were UTC, each with how many rows. They are truncated to the day if
 * they are UTC (`utc`), otherwise to the minute.
 */
export function countByTimeSql({ table, column, type }: TimedTable, utc: boolean, condition: Condition): string {
  const reading = type === 'timestamptz' ? `t.${column} AT TIME ZONE 'UTC'::pg_catalog.text` : `t.${column}`
  return `SELECT ${millisecondsOf('r.at')}::pg_catalog.float8 AS reading, r.rows FROM (
  SELECT pg_catalog.date_trunc('${utc ? 'day' : 'minute'}'::pg_catalog.text, ${reading}) AS at, pg_catalog.count(*) AS rows
  FROM ${table} AS t WHERE ${condition.sql} GROUP BY 1
) AS r`
}

export function deleteSql({ table }: TimedTable, condition: Condition): string {
  return `DELETE FROM ${table} AS t WHERE ${condition.sql}`
}

/** The same; `digest` is an expression on `t`, and of all rows that are gone one value comes back: as many rows would take longer than deleting them. */
export function deleteDigestedSql(timed: TimedTable, condition: Condition, digest: string): string {
  return `WITH gone AS (${deleteSql(timed, condition)} RETURNING ${digest} AS digest)
SELECT pg_catalog.count(*) AS gone, ${joined('digest')} AS digests FROM gone`
}

/** In the order of time. COPY takes no values from outside, so they stand in the text. */
export function copySql({ table, column }: TimedTable, condition: Condition, expressions: readonly string[]): string {
  const where = condition.sql.replace(/\$(\d+)/g, (_, number) => literal(String(condition.values[Number(number) - 1])))
  return `COPY (SELECT ${expressions.join(', ')} FROM ${table} AS t WHERE ${where} ORDER BY t.${column}) TO STDOUT (FORMAT binary)`
}

/** Deletes only what nobody else holds, without waiting; says how many rows were free and how many of those are gone. */
export function deleteFreeSql({ table }: TimedTable, condition: Condition, digest = 'NULL::pg_catalog.bytea'): string {
  return `WITH free AS MATERIALIZED (
  SELECT t.tableoid AS relation, t.ctid AS place FROM ${table} AS t WHERE ${condition.sql} FOR UPDATE OF t SKIP LOCKED
), gone AS (
  DELETE FROM ${table} AS t USING free WHERE t.tableoid ${EQ} free.relation AND t.ctid ${EQ} free.place AND ${condition.sql} RETURNING ${digest} AS digest
)
SELECT (SELECT pg_catalog.count(*) FROM free) AS free, (SELECT pg_catalog.count(*) FROM gone) AS gone, (SELECT ${joined('digest')} FROM gone) AS digests`
}

function joined(digests: string): string {
  return `pg_catalog.string_agg(${digests}, ''::pg_catalog.bytea)`
}

/** Counts what has expired no further than `$2` rows. */
export function boundedSql(timed: TimedTable): string {
  const { table, column } = timed
  return `SELECT pg_catalog.count(*) AS rows FROM (SELECT FROM ${table} AS t WHERE ${expired(timed)} ORDER BY t.${column} LIMIT $2::bigint) AS r`
}

/** The first time that has expired, in milliseconds since 1970; of a type without a zone as if its readings were UTC. */
export function oldestSql(timed: TimedTable): string {
  const { table, column } = timed
  return `SELECT ${millisecondsOf(`t.${column}`)}::pg_catalog.float8 AS oldest FROM ${table} AS t WHERE ${expired(timed)} ORDER BY t.${column} LIMIT 1`
}

/** What has expired, for the planner alone. */
export function expiredSql(timed: TimedTable): string {
  return `SELECT FROM ${timed.table} AS t WHERE ${expired(timed)}`
}

export function undatedSql({ table, column }: TimedTable): string {
  return `SELECT pg_catalog.count(*) AS rows FROM ${table} AS t WHERE t.${column} IS NULL`
}

export function minusInfinitySql({ table, column, type }: TimedTable): string {
  return `SELECT pg_catalog.count(*) AS rows FROM ${table} AS t WHERE t.${column} ${EQ} '-infinity'::pg_catalog.${type}`
}

/** Counts the rows from the time `$1` to before `$2`, no further than `$3`. */
export function keptSql({ table, column, type }: TimedTable): string {
  return `SELECT pg_catalog.count(*) AS rows FROM (SELECT FROM ${table} AS t
  WHERE t.${column} ${GE} $1::pg_catalog.${type} AND t.${column} ${LT} $2::pg_catalog.${type} ORDER BY t.${column} DESC LIMIT $3::bigint) AS r`
}

/** The first time from `$2` on that has expired, as `oldestSql` tells it. */
export function firstSinceSql(timed: TimedTable): string {
  const { table, column } = timed
  return `SELECT ${millisecondsOf(`t.${column}`)}::pg_catalog.float8 AS first FROM ${table} AS t WHERE ${behind(timed, true)} ORDER BY t.${column} LIMIT 1`
}
