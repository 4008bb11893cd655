import { isAscii } from 'node:buffer'
import { patternOf } from '../../../policy/match.ts'
import { matchedColumns, type Spared, type SparedRows } from '../../../policy/spared.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Query, Value } from '../../query.ts'
import { EQ, GE, GT, LT, textOf } from '../exact.ts'
import { quoted } from '../identifiers.ts'
import { stateOf } from '../postgres-errors.ts'
import { cutoffText, untilText, type TimeType } from '../times.ts'
import type { Condition } from './slice-sql.ts'

/** Binds a value to the next number of a statement, and returns that as SQL. */
export type Bind = (value: Value) => string

/** Whether a row of the alias `t` is one of those that a hold or a rule keeps; NULL, if its columns are NULL: it is not. */
export type SparedTest = (bind: Bind) => string

/** Leaves out the rows that are spared. With none to be left out it is the same condition. */
export function unspared(condition: Condition, spared: readonly SparedTest[]): Condition {
  if (spared.length === 0) return condition
  const values = [...condition.values]
  return { sql: `${condition.sql} AND ${isFree(spared, bindingTo(values))}`, values }
}

/**
 * An expression that is never NULL: NOT would make it so where a column of the row is NULL, and the row would then be neither spared nor ever deleted.
 */
export function isFree(spared: readonly SparedTest[], bind: Bind): string {
  return spared.map((test) => `(${test(bind)}) IS NOT TRUE`).join(' AND ')
}

/** Adds to the values of a statement. */
export function bindingTo(values: Value[]): Bind {
  return (value) => {
    if (values.length >= MOST_VALUES)
      throw new DatabaseError(
        'failed',
        `The holds and rules have more than ${MOST_VALUES} values. Nothing was deleted. Release holds, or place fewer with prefixes.`,
      )
    return `$${values.push(value)}`
  }
}

/** The protocol counts them with two bytes. */
const MOST_VALUES = 60_000

export interface SparingTable {
  readonly schema: string
  /** Not quoted. */
  readonly name: string
  /** For messages. */
  readonly title: string
  /** Of the time, quoted. */
  readonly column: string
  readonly type: TimeType
  readonly timeZone: string
}

/** Makes conditions of what spares rows of a table, and remembers what it has looked up for that. */
export class Sparing {
  readonly #table: SparingTable
  /** By column, its text as SQL, with the letters of ASCII in lower case. */
  readonly #texts = new Map<string, string>()
  /** Whether the database's encoding has the characters of a text. */
  readonly #storable = new Map<string, boolean>()

  constructor(table: SparingTable) {
    this.#table = table
  }

  /** Rejects if the table lacks a column by which rows are spared. A look-up that fails leaves a transaction usable. */
  async tests(query: Query, spared: SparedRows, inTransaction: boolean): Promise<readonly SparedTest[]> {
    if (spared.length === 0) return []
    const unknown = matchedColumns(spared).filter((column) => !this.#texts.has(column))
    if (unknown.length > 0) for (const [column, text] of await loweredTexts(query, this.#table, unknown)) this.#texts.set(column, text)
    await this.#findStorable(query, spared, inTransaction)
    return spared.map((each) => (bind) => this.#sqlOf(each, bind))
  }

  #sqlOf({ match, from, until }: Spared, bind: Bind): string {
    const { column, type, timeZone } = this.#table
    const time = (operator: string, text: string): string => `t.${column} ${operator} ${bind(text)}::pg_catalog.${type}`
    const conditions = [
      ...(from === undefined ? [] : [time(GE, cutoffText(from, type, timeZone))]),
      ...(until === undefined ? [] : [time(LT, untilText(until, type, timeZone))]),
      ...Object.entries(match).map(([name, patterns]) => this.#patternsSql(this.#texts.get(name)!, patterns, bind)),
    ]
    return conditions.length === 0 ? 'true' : conditions.join(' AND ')
  }

  #patternsSql(lowered: string, given: readonly string[], bind: Bind): string {
    // A text that the encoding cannot express stands in no row.
    const patterns = given.map(patternOf).filter(({ text }) => this.#storable.get(text) !== false)
    const exact = patterns.filter(({ isPrefix }) => !isPrefix).map(({ text }) => text)
    const alternatives = [
      ...(exact.length === 0 ? [] : [`${lowered} ${EQ} ANY (${bind(arrayOf(exact))}::pg_catalog.text[])`]),
      ...patterns
        .filter(({ isPrefix }) => isPrefix)
        .map(({ text }) => `pg_catalog.starts_with(${lowered}, ${bind(text)}::pg_catalog.text)`),
    ]
    return alternatives.length === 0 ? 'false' : `(${alternatives.join(' OR ')})`
  }

  async #findStorable(query: Query, spared: SparedRows, inTransaction: boolean): Promise<void> {
    const texts = new Set(
      spared.flatMap(({ match }) => Object.values(match).flatMap((patterns) => patterns.map((each) => patternOf(each).text))),
    )
    const unsure = [...texts].filter((text) => !isAscii(Buffer.from(text)) && !this.#storable.has(text))
    if (unsure.length === 0) return
    const all = await isStorable(query, arrayOf(unsure), inTransaction)
    for (const text of unsure) this.#storable.set(text, all || (await isStorable(query, text, inTransaction)))
  }
}

/** The columns of the table by which rows are spared. Rejects if one of them is missing. */
export async function mustHaveColumns(
  query: Query,
  table: Pick<SparingTable, 'schema' | 'name' | 'title'>,
  columns: readonly string[],
): Promise<void> {
  if (columns.length > 0) await loweredTexts(query, table, columns)
}

async function loweredTexts(
  query: Query,
  { schema, name, title }: Pick<SparingTable, 'schema' | 'name' | 'title'>,
  columns: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await query.query<{ column: string; base: string | null }>(COLUMNS, [schema, name, arrayOf(columns)])
  const bases = new Map(rows.map(({ column, base }) => [column, base ?? '']))
  const missing = columns.filter((column) => !bases.has(column))
  if (missing.length > 0)
    throw new DatabaseError(
      'failed',
      `A hold or a retention rule keeps rows of ${title} by ${missing.map((column) => JSON.stringify(column)).join(' and ')}, and the table has no such column. No row was deleted. ` +
        'Release the hold, take the rule away, or add the column.',
    )
  return new Map(columns.map((column) => [column, loweredText(bases.get(column)!, `t.${quoted(column)}`)]))
}

/** By the collation "C", so that only letters of ASCII change, and equal texts are equal bytes, whatever the column's own collation. */
function loweredText(base: string, value: string): string {
  const text = CAST_TO_TEXT.has(base)
    ? `${value}::pg_catalog.text`
    : // Tests whether the value itself is NULL: IS NULL is also true of a row of NULLs.
      `CASE WHEN pg_catalog.num_nulls(${value}) ${EQ} 0 THEN ${textOf(value)} END`
  return `pg_catalog.lower((${text}) COLLATE pg_catalog."C")`
}

/** Types whose cast to text is built in. */
const CAST_TO_TEXT: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar'])

/** A domain counts as its base type. Only built-in types are recognised by name, because anybody may create a type named `text`. */
const COLUMNS = `SELECT a.attname::pg_catalog.text AS column, b.typname::pg_catalog.text AS base
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
JOIN pg_catalog.pg_type AS y ON y.oid ${EQ} a.atttypid
LEFT JOIN pg_catalog.pg_type AS b
  ON b.oid ${EQ} (CASE WHEN y.typtype ${EQ} 'd' THEN y.typbasetype ELSE y.oid END) AND b.typnamespace ${EQ} 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid
WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name AND a.attname::pg_catalog.text ${EQ} ANY ($3::pg_catalog.text[])
  AND a.attnum ${GT} 0 AND NOT a.attisdropped`

/** The server refuses a text with a character that the database's encoding lacks. */
async function isStorable(query: Query, text: string, inTransaction: boolean): Promise<boolean> {
  if (inTransaction) await query.query('SAVEPOINT storable')
  try {
    await query.query('SELECT $1::pg_catalog.text AS text', [text])
  } catch (error) {
    if (stateOf(error) !== UNTRANSLATABLE) throw error
    if (inTransaction) await query.query('ROLLBACK TO SAVEPOINT storable')
    return false
  }
  if (inTransaction) await query.query('RELEASE SAVEPOINT storable')
  return true
}

/** untranslatable_character */
const UNTRANSLATABLE = '22P05'

/** An array as the server reads it from text. */
export function arrayOf(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}
