import type { Value } from '../../query.ts'
import { builtIn, EQ, GT, LE, LT, MINUS, PLUS, textOf, TIMES } from '../exact.ts'
import { asText } from '../times.ts'
import { after, type TimedTable } from './slice-sql.ts'
import { bindingTo, type SparedTest } from './spared-sql.ts'

/** Each is a test of the walk, or asked for, or both. */
export interface SurveyedTest {
  readonly test: SparedTest
  readonly isWalked: boolean
  /** Its index among those that are asked for. */
  readonly asked: number | undefined
}

/** The time of the row that lies `$3` rows behind the first one from `$2` on, and whether it is `$2` itself. */
export function furtherTimeSql(timed: TimedTable): string {
  const { table, column, type } = timed
  return `SELECT ${asText('r.at')} AS at, r.at ${EQ} $2::pg_catalog.${type} AS equal FROM (
  SELECT t.${column} AS at FROM ${table} AS t WHERE ${after(timed, true)} ORDER BY t.${column} OFFSET $3::bigint LIMIT 1
) AS r`
}

/** The first time after `$2`. */
export function nextTimeSql(timed: TimedTable): string {
  const { table, column } = timed
  return `SELECT ${asText('r.at')} AS at FROM (SELECT t.${column} AS at FROM ${table} AS t WHERE ${after(timed, false)} ORDER BY t.${column} LIMIT 1) AS r`
}

/** Divides the time from the first row from `$2` on to `$3` into equal pieces; none, if there is no row. A change of the clocks may put them into disorder, or the last one behind the end. */
export function thresholdsSql(timed: TimedTable, pieces: number): string {
  const { table, column, type } = timed
  const end = `$3::pg_catalog.${type}`
  const share = `(i.number::pg_catalog.float8 ${builtIn('/')} '${pieces}'::pg_catalog.float8)`
  return `SELECT ${asText('r.at')} AS at FROM (
  SELECT least(f.at ${PLUS} ((${end} ${MINUS} f.at) ${TIMES} ${share}), ${end}) AS at FROM (
    SELECT t.${column} AS at FROM ${table} AS t WHERE ${after(timed, true)} AND t.${column} ${LT} ${end} ORDER BY t.${column} LIMIT 1
  ) AS f CROSS JOIN pg_catalog.generate_series(1, ${pieces - 1}) AS i (number)
) AS r ORDER BY r.at`
}

/**
 * Of the rows from `$2` to before `$3`: how many one of those that are asked for keeps, and how many each; the pieces between the times `$4` that have a free row,
 * as bits, and the first time that is free. Each test is made once for a row. Adds to `values`.
 */
export function surveySql(timed: TimedTable, tests: readonly SurveyedTest[], values: Value[]): string {
  const { table, column, type } = timed
  const bind = bindingTo(values)
  const named = tests.map(({ test }, index) => `(${test(bind)}) IS TRUE AS s${index}`)
  const names = (wanted: (test: SurveyedTest) => boolean): string[] => tests.flatMap((test, index) => (wanted(test) ? [`r.s${index}`] : []))
  const asked = tests
    .flatMap(({ asked: order }, index) => (order === undefined ? [] : [{ order, name: `r.s${index}` }]))
    .toSorted((a, b) => a.order - b.order)
    .map(({ name }) => name)
  const counted = [asked.length === 0 ? 'false' : asked.join(' OR '), ...asked].map((each) => `pg_catalog.count(*) FILTER (WHERE ${each})`)
  const free = `NOT (${names(({ isWalked }) => isWalked).join(' OR ')})`
  return `SELECT ${textOf(`ARRAY[${counted.join(', ')}]`)} AS counts,
  ${textOf(`coalesce(pg_catalog.bit_or('1'::bigint ${builtIn('<<')} pg_catalog.width_bucket(r.at, $4::pg_catalog.${type}[])) FILTER (WHERE ${free}), '0'::bigint)`)} AS pieces,
  ${asText(`pg_catalog.min(r.at) FILTER (WHERE ${free})`)} AS first
FROM (SELECT t.${column} AS at, ${named.join(', ')} FROM ${table} AS t WHERE ${after(timed, true)} AND t.${column} ${LT} $3::pg_catalog.${type} OFFSET 0) AS r`
}

/**
 * Of stretches from `$2` to `$3`, the number of the first one that ends after `$1`, from 1 on, and whether `$1` lies inside it; `within`: how many begin by `$4`, where
 * a walk ends there.
 */
export function stretchAheadSql({ type }: TimedTable, hasEnd: boolean): string {
  const array = (number: number): string => `pg_catalog.unnest($${number}::pg_catalog.${type}[])`
  const within = hasEnd ? `(SELECT pg_catalog.count(*) FROM ${array(2)} AS b (at) WHERE b.at ${LE} $4::pg_catalog.${type})` : 'NULL::bigint'
  return `SELECT s.number, s.begins ${LE} $1::pg_catalog.${type} AS inside, ${within} AS within
FROM ROWS FROM (${array(2)}, ${array(3)}) WITH ORDINALITY AS s (begins, ends, number) WHERE s.ends ${GT} $1::pg_catalog.${type} ORDER BY s.number LIMIT 1`
}
