import type { Value } from '../../query.ts'
import { EQ, GE, GT, LE, LT, millisecondsOf, MODULO, textOf } from '../exact.ts'
import { literal } from '../identifiers.ts'
import { asText, type TimeType } from '../times.ts'

/**
 * A table as the purge's statements name it. They compare the bare column so that its index can be used; tests run EXPLAIN on these same texts.
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

/** Makes the planner search an index that it does not choose by itself. */
export const STEERED = 'SET LOCAL enable_indexscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_sort = off'

/** Its type, and whether this role may lock its rows. */
export const TIME_COLUMN = `SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
  pg_catalog.has_table_privilege(a.attrelid, 'UPDATE'::pg_catalog.text) AS may_lock
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name AND a.attname ${EQ} $3::pg_catalog.name
  AND a.attnum ${GT} 0 AND NOT a.attisdropped`

/** Repeated in every statement on a slice, so that a row renewed since it was chosen stays. */
export interface Condition {
  /** On the alias `t`, with `values` as `$1`, `$2`, … */
  readonly sql: string
  readonly values: readonly Value[]
}

/** The rows that may be deleted at all: those with a time before `$1`, the cutoff. Bounds read from the server are added to this and can only narrow it. */
export function isExpired({ column, type }: TimedTable): string {
  return `t.${column} ${GT} '-infinity'::pg_catalog.${type} AND t.${column} ${LT} $1::pg_catalog.${type}`
}

/** Times from `from` to before `to`. */
export function rangeCondition(timed: TimedTable, cutoff: string, from: string, to: string): Condition {
  const { column, type } = timed
  return {
    sql: `${isExpired(timed)} AND t.${column} ${GE} $2::pg_catalog.${type} AND t.${column} ${LT} $3::pg_catalog.${type}`,
    values: [cutoff, from, to],
  }
}

/** `fits`: a condition on the row itself, which takes no values. */
export function narrowed(condition: Condition, fits: string | undefined): Condition {
  return fits === undefined ? condition : { ...condition, sql: `${condition.sql} AND ${fits}` }
}

/** Leaves out the rows with these digests, which are hexadecimal. `digest` is an expression on `t`. */
export function withoutDigests({ sql, values }: Condition, digest: string, digests: readonly string[]): Condition {
  const list = `{${digests.map((each) => `"\\\\x${each}"`).join(',')}}`
  return { sql: `${sql} AND NOT (${digest} ${EQ} ANY ($${values.length + 1}::pg_catalog.bytea[]))`, values: [...values, list] }
}

/** Of the first `$2` expired rows, those that do not fit: a few of them, each with the total. */
export function misfitsSql(timed: TimedTable, fits: string, id: string, few: number): string {
  const { table, column } = timed
  return `SELECT r.id, pg_catalog.count(*) OVER () AS rows FROM (
  SELECT ${id} AS id, ${fits} AS fits FROM ${table} AS t WHERE ${isExpired(timed)} ORDER BY t.${column} LIMIT $2::bigint
) AS r WHERE NOT r.fits LIMIT ${few}`
}

/** A range of the heap, after `from` up to and including `to`. It only narrows the condition on the time and is never used alone. */
export interface HeapRange {
  /** The partition, if the table is partitioned: a ctid is only unique within one. */
  readonly relation: number
  readonly from: string
  readonly to: string
}

/** Some of the rows that have one and the same time. */
export function equalTimesCondition(timed: TimedTable, cutoff: string, time: string, { relation, from, to }: HeapRange): Condition {
  const { column, type } = timed
  return {
    sql: `${isExpired(timed)} AND t.${column} ${EQ} $2::pg_catalog.${type}
  AND t.tableoid ${EQ} $3::pg_catalog.oid AND t.ctid ${GT} $4::pg_catalog.tid AND t.ctid ${LE} $5::pg_catalog.tid`,
    values: [cutoff, time, relation, from, to],
  }
}

/** Times from `$2` on, including it or not. */
export function after(timed: TimedTable, inclusive: boolean): string {
  return `${isExpired(timed)} AND t.${timed.column} ${inclusive ? GE : GT} $2::pg_catalog.${timed.type}`
}

/**
 * The first time from `$2` on as `first`, and the time `$3` rows later as `bound`. ORDER BY makes a generic plan use the index. With an `end`, only times
 * before `$4`, or up to and including it, are read; `last` says whether `first` is that time, because the texts of one time can differ between sessions.
 */
export function edgesSql(timed: TimedTable, inclusive: boolean, end?: 'before' | 'with'): string {
  const { table, column, type } = timed
  const upTo = `$4::pg_catalog.${type}`
  const until = end === undefined ? '' : ` AND t.${column} ${end === 'with' ? LE : LT} ${upTo}`
  const inOrder = `SELECT t.${column} AS at FROM ${table} AS t WHERE ${after(timed, inclusive)}${until} ORDER BY t.${column}`
  const last = end === undefined ? '' : `,\n  (SELECT f.at ${EQ} ${upTo} FROM (${inOrder} LIMIT 1) AS f) AS last`
  return `SELECT (SELECT ${asText('f.at')} FROM (${inOrder} LIMIT 1) AS f) AS first,
  (SELECT ${asText('b.at')} FROM (${inOrder} OFFSET $3::bigint LIMIT 1) AS b) AS bound${last}`
}

/** Divides the rows with the time `$1` into ranges of `$2` rows, in heap order. `also`: ` AND …`, by which rows are counted. */
export function heapRangesSql({ table, column, type }: TimedTable, also = ''): string {
  return `SELECT r.relation::bigint AS relation, ${textOf('r.place')} AS "to" FROM (
  SELECT t.tableoid AS relation, t.ctid AS place, pg_catalog.row_number() OVER w AS n, pg_catalog.lead(t.ctid) OVER w IS NULL AS last
  FROM ${table} AS t WHERE t.${column} ${EQ} $1::pg_catalog.${type}${also} WINDOW w AS (PARTITION BY t.tableoid ORDER BY t.ctid)
) AS r WHERE (r.n ${MODULO} $2::bigint) ${EQ} 0::bigint OR r.last ORDER BY r.relation, r.place`
}

/** The place in a range up to which it has so many rows, and the one after it. */
export function placeSql({ table }: TimedTable, condition: Condition): string {
  return `SELECT ${textOf('t.ctid')} AS place FROM ${table} AS t WHERE ${condition.sql} ORDER BY t.ctid OFFSET $${condition.values.length + 1}::bigint LIMIT 2`
}

export function countSql({ table }: TimedTable, condition: Condition): string {
  return `SELECT pg_catalog.count(*) AS rows FROM ${table} AS t WHERE ${condition.sql}`
}

/**
 * Counts rows by time: clock readings in milliseconds since 1970 as if they were UTC, truncated to the day if they are UTC (`utc`), otherwise to the
 * minute.
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

/** Deletes and returns the digests of all deleted rows as one value: returning a row for each would take longer than deleting. `digest` is an expression on `t`. */
export function deleteDigestedSql(timed: TimedTable, condition: Condition, digest: string): string {
  return `WITH deleted AS (${deleteSql(timed, condition)} RETURNING ${digest} AS digest)
SELECT pg_catalog.count(*) AS deleted, ${joined('digest')} AS digests FROM deleted`
}

/** Ordered by time. COPY takes no bound values, so they are literals in the text. */
export function copySql({ table, column }: TimedTable, condition: Condition, expression: string): string {
  const where = condition.sql.replace(/\$(\d+)/g, (_, number) => literal(String(condition.values[Number(number) - 1])))
  return `COPY (SELECT ${expression} FROM ${table} AS t WHERE ${where} ORDER BY t.${column}) TO STDOUT (FORMAT binary)`
}

/** Deletes only rows that nobody else has locked, without waiting. Returns how many were free and how many of those were deleted. */
export function deleteFreeSql({ table }: TimedTable, condition: Condition, digest = 'NULL::pg_catalog.bytea'): string {
  return `WITH free AS MATERIALIZED (
  SELECT t.tableoid AS relation, t.ctid AS place FROM ${table} AS t WHERE ${condition.sql} FOR UPDATE OF t SKIP LOCKED
), deleted AS (
  DELETE FROM ${table} AS t USING free WHERE t.tableoid ${EQ} free.relation AND t.ctid ${EQ} free.place AND ${condition.sql} RETURNING ${digest} AS digest
)
SELECT (SELECT pg_catalog.count(*) FROM free) AS free, (SELECT pg_catalog.count(*) FROM deleted) AS deleted, (SELECT ${joined('digest')} FROM deleted) AS digests`
}

function joined(digests: string): string {
  return `pg_catalog.string_agg(${digests}, ''::pg_catalog.bytea)`
}

/** Counts expired rows, up to `$2`. `also`: ` AND …`, by which rows are looked at. */
export function boundedSql(timed: TimedTable, also = ''): string {
  const { table, column } = timed
  return `SELECT pg_catalog.count(*) AS rows FROM (SELECT FROM ${table} AS t WHERE ${isExpired(timed)}${also} ORDER BY t.${column} LIMIT $2::bigint) AS r`
}

/** The earliest expired time, in milliseconds since 1970; readings without a zone are taken as UTC. */
export function oldestSql(timed: TimedTable, also = ''): string {
  const { table, column } = timed
  return `SELECT ${millisecondsOf(`t.${column}`)}::pg_catalog.float8 AS oldest FROM ${table} AS t WHERE ${isExpired(timed)}${also} ORDER BY t.${column} LIMIT 1`
}

/** All expired rows; only ever given to the planner. */
export function expiredSql(timed: TimedTable, also = ''): string {
  return `SELECT FROM ${timed.table} AS t WHERE ${isExpired(timed)}${also}`
}

export function undatedSql({ table, column }: TimedTable): string {
  return `SELECT pg_catalog.count(*) AS rows FROM ${table} AS t WHERE t.${column} IS NULL`
}

export function minusInfinitySql({ table, column, type }: TimedTable): string {
  return `SELECT pg_catalog.count(*) AS rows FROM ${table} AS t WHERE t.${column} ${EQ} '-infinity'::pg_catalog.${type}`
}

/** Counts rows with a time from `$1` to before `$2`, up to `$3` of them. */
export function keptSql({ table, column, type }: TimedTable): string {
  return `SELECT pg_catalog.count(*) AS rows FROM (SELECT FROM ${table} AS t
  WHERE t.${column} ${GE} $1::pg_catalog.${type} AND t.${column} ${LT} $2::pg_catalog.${type} ORDER BY t.${column} DESC LIMIT $3::bigint) AS r`
}

/** The earliest expired time from `$2` on, in the form of `oldestSql`. */
export function firstSinceSql(timed: TimedTable): string {
  const { table, column } = timed
  return `SELECT ${millisecondsOf(`t.${column}`)}::pg_catalog.float8 AS first FROM ${table} AS t WHERE ${after(timed, true)} ORDER BY t.${column} LIMIT 1`
}
