import type { SparedRows } from '../../../policy/spared.ts'
import type { EpochMs } from '../../../time/clock.ts'
import type { Query, Value } from '../../query.ts'
import { DatabaseError } from '../../database-error.ts'
import { EQ, GT, textOf } from '../exact.ts'
import { quoted } from '../identifiers.ts'
import { isExpired, type TimedTable } from '../purging/slice-sql.ts'
import { arrayOf, bindingTo, isFree, type SparedTest } from '../purging/spared-sql.ts'
import { cutoffText } from '../times.ts'
import { unpublished } from './publications.ts'
import { tableNamed, type Removing } from './removing.ts'

/** Which rows of a table that is or was a partition must stay: every one that a purge row by row would leave. */
export interface Staying {
  readonly timed: TimedTable
  /** Nothing is spared. */
  readonly isPlain: boolean
  /** A condition on a row of the alias `t`, never NULL. Its first value is the cutoff. */
  readonly sql: string
  readonly values: readonly Value[]
}

export async function stayingIn(
  removing: Removing,
  tx: Query,
  name: string,
  cutoff: EpochMs,
  spared: SparedRows,
  inTransaction: boolean,
): Promise<Staying> {
  const { options, type, sparing } = removing
  const { schema, timeZone, column } = options
  const timed = { table: tableNamed(removing, name), title: `${schema}.${name}`, column: quoted(column.column), type }
  const tests = await sparing.tests(tx, spared, inTransaction)
  const values: Value[] = [cutoffText(cutoff, type, timeZone)]
  return { timed, isPlain: tests.length === 0, sql: `NOT (${goes(timed, tests, values)})`, values }
}

function goes(timed: TimedTable, tests: readonly SparedTest[], values: Value[]): string {
  const expired = `(${isExpired(timed)}) IS TRUE`
  return tests.length === 0 ? expired : `${expired} AND ${isFree(tests, bindingTo(values))}`
}

/** More are not moved in a transaction that keeps everybody from the table. */
export const MOST_MOVED = 1_000

/**
 * The places of the rows that stay, where they are few and stay for good; `undefined`: they are many, or a rule keeps one of them, so the partition stays. Reads it to
 * its end if there are none.
 */
export async function fewStaying(tx: Query, staying: Staying, rules: readonly SparedTest[]): Promise<readonly string[] | undefined> {
  const { timed } = staying
  const values = [...staying.values]
  // Without anything spared, a partition has no other rows to keep: its bounds say so.
  const where = staying.isPlain ? `t.${timed.column} ${EQ} '-infinity'::pg_catalog.${timed.type} AND ${staying.sql}` : staying.sql
  const ruled = rules.length === 0 ? 'false' : `NOT (${isFree(rules, bindingTo(values))})`
  const { rows } = await tx.query<{ place: string; ruled: boolean }>(
    `SELECT ${textOf('t.ctid')} AS place, ${ruled} AS ruled FROM ${timed.table} AS t WHERE ${where} LIMIT ${MOST_MOVED + 1}`,
    values,
  )
  return rows.length > MOST_MOVED || rows.some((row) => row.ruled) ? undefined : rows.map(({ place }) => place)
}

/** `table`: as statements have it. */
export async function isEmpty(tx: Query, table: string): Promise<boolean> {
  const { rows } = await tx.query<{ empty: boolean }>(`SELECT NOT EXISTS (SELECT FROM ${table}) AS empty`)
  return rows[0]?.empty === true
}

export interface Counted {
  readonly rows: number
  readonly staying: number
}

/** Both of one look, exactly. */
export async function countStaying(tx: Query, { timed, sql, values }: Staying): Promise<Counted> {
  const { rows } = await tx.query<Counted>(
    `SELECT pg_catalog.count(*) AS rows, pg_catalog.count(*) FILTER (WHERE ${sql}) AS staying FROM ${timed.table} AS t`,
    values,
  )
  const [counted] = rows
  if (counted === undefined || !Number.isSafeInteger(counted.rows) || !Number.isSafeInteger(counted.staying))
    throw new DatabaseError('failed', `The rows of ${timed.title} could not be counted. Nothing of it was dropped.`)
  return counted
}

/** The places of some rows that stay. */
export async function someStaying(tx: Query, { timed, sql, values }: Staying, most: number): Promise<readonly string[]> {
  const { rows } = await tx.query<{ place: string }>(
    `SELECT ${textOf('t.ctid')} AS place FROM ${timed.table} AS t WHERE ${sql} LIMIT ${most}`,
    values,
  )
  return rows.map(({ place }) => place)
}

/**
 * Moves the rows at these places that stay into the table, where everybody sees them. Returns how many. Rejects if one of them did not arrive as it was: a trigger of the
 * table may leave it out or change it.
 */
export async function moveBack(removing: Removing, tx: Query, { timed, sql, values }: Staying, places: readonly string[]): Promise<number> {
  if (places.length === 0) return 0
  const { options } = removing
  const table = tableNamed(removing, options.column.table)
  const names = (await writableColumns(tx, removing.tree.id)).map(quoted)
  const columns = names.join(', ')
  const text = `${textOf(`ROW(${names.map((name) => `r.${name}`).join(', ')})`)} AS text`
  const { rows } = await unpublished(tx, options.schema, options.column.table, () =>
    tx.query<{ taken: number; put: number; changed: number }>(
      `WITH moved AS MATERIALIZED (
  DELETE FROM ${timed.table} AS t WHERE t.ctid ${EQ} ANY ($${values.length + 1}::pg_catalog.tid[]) AND ${sql} RETURNING ${names.map((name) => `t.${name}`).join(', ')}
), put AS (
  INSERT INTO ${table} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM moved RETURNING ${columns}
)
SELECT (SELECT pg_catalog.count(*) FROM moved) AS taken, (SELECT pg_catalog.count(*) FROM put) AS put,
  (SELECT pg_catalog.count(*) FROM (SELECT ${text} FROM moved AS r EXCEPT ALL SELECT ${text} FROM put AS r) AS d) AS changed`,
      [...values, arrayOf(places)],
    ),
  )
  const { taken, put, changed } = rows[0] ?? { taken: 0, put: 0, changed: 1 }
  if (taken === put && changed === 0) return taken
  throw new DatabaseError(
    'failed',
    `a trigger or rule on ${options.schema}.${options.column.table} leaves out or changes rows that are put back from ${timed.title}`,
  )
}

/** Those of the table that are not computed. */
async function writableColumns(tx: Query, id: string): Promise<readonly string[]> {
  const { rows } = await tx.query<{ name: string }>(COLUMNS, [id])
  return rows.map(({ name }) => name)
}

const COLUMNS = `SELECT a.attname::pg_catalog.text AS name FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid ${EQ} $1::pg_catalog.oid AND a.attnum ${GT} '0'::pg_catalog.int2 AND NOT a.attisdropped AND a.attgenerated ${EQ} ''::pg_catalog."char" ORDER BY a.attnum`
