import type { EpochMs } from '../../../time/clock.ts'
import { wallInstant, wallInstants } from '../../../time/zones.ts'
import type { StoredColumn } from '../../exporting.ts'
import type { Query } from '../../query.ts'
import { DatabaseError } from '../../database-error.ts'
import { EQ, GT, NE, nameIn, textOf } from '../exact.ts'
import { quoted } from '../identifiers.ts'
import { stateOf } from '../postgres-errors.ts'
import { readingOf } from '../times.ts'
import type { Charset } from './charset.ts'

/**
 * How the values of a type are written in JSON. In the record, integers and times are sent in the server's binary form, which costs it
 * least, all others as text.
 */
export type Form = 'integer' | 'timestamp' | 'timestamptz' | 'number' | 'truth' | 'text' | 'bytes'

export interface RecordColumn extends StoredColumn {
  readonly form: Form
  /** The value as it is sent, of the alias `t`. */
  readonly sql: string
  /** Whether its text is sent in the server's own encoding, which is not UTF-8. */
  readonly inCharset: boolean
  /** Its type in SQL for any search_path: qualified, quoted, without a length. */
  readonly exactType: string
  /** The built-in type that it is, or that its domain is based on; empty if there is none. */
  readonly base: string
}

/** The whole row as one value, by which it is read, compared and archived. */
export interface RowRecord {
  readonly columns: readonly RecordColumn[]
  /** `undefined`: text is sent in UTF-8. */
  readonly charset: Charset | undefined
  /** bytea: the row in the server's binary form, which is what the digest is taken of. */
  readonly sql: string
  /** bytea: SHA-256 of that. */
  readonly digestSql: string
}

/** Makes the text of values independent of the session's settings, for types that we do not format ourselves. */
export const CANONICAL_TEXT =
  "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1; SET LOCAL timezone = 'UTC'"

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly exact_type: string
  readonly base: string | null
  readonly key: boolean
  readonly computed: boolean
  readonly in_utf8: boolean
}

/** `time`: a column that is included even if it is computed. */
export async function recordColumns(query: Query, schema: string, table: string, time: string): Promise<readonly RecordColumn[]> {
  const { rows } = await query.query<ColumnRow>(COLUMNS, [schema, table, time]).catch((error: unknown) => {
    throw NOT_IN_UTF8.has(stateOf(error) ?? '') ? unnameable(`${schema}.${table}`, error) : error
  })
  return rows.map(({ name, type, exact_type: exactType, base, key, computed, in_utf8: inUtf8 }) => {
    const known = base ?? ''
    const { form, sql } = written(known, `t.${quoted(name)}`)
    const inCharset = form === 'text' && !inUtf8
    const sent = inCharset ? `pg_catalog.convert_to(${sql}, 'SQL_ASCII'::pg_catalog.name)` : sql
    return { name, type, exactType, base: known, key, ...(computed ? { computed } : {}), form, inCharset, sql: sent }
  })
}

/** character_not_in_repertoire and untranslatable_character. */
const NOT_IN_UTF8: ReadonlySet<string> = new Set(['22021', '22P05'])

function unnameable(title: string, cause: unknown): DatabaseError {
  return new DatabaseError(
    'failed',
    `Table ${title} has a column, or a column of a type, whose name is not UTF-8, so its rows cannot be archived. Nothing was deleted. ` +
      "Rename it in a session with SET client_encoding = 'SQL_ASCII'.",
    { cause },
  )
}

/**
 * Without computed columns, except the time column. A domain is written as its base type. Only built-in types are recognised by name, because anybody may create a
 * type named `int8`.
 */
const COLUMNS = `SELECT a.attname::pg_catalog.text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
  pg_catalog.format('%I.%I'::pg_catalog.text, m.nspname, y.typname) AS exact_type, b.typname::pg_catalog.text AS base,
  coalesce(a.attnum ${EQ} ANY (i.indkey), false) AS key, a.attgenerated ${NE} '' AS computed, pg_catalog.getdatabaseencoding() ${EQ} 'UTF8' AS in_utf8
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
JOIN pg_catalog.pg_type AS y ON y.oid ${EQ} a.atttypid
JOIN pg_catalog.pg_namespace AS m ON m.oid ${EQ} y.typnamespace
LEFT JOIN pg_catalog.pg_type AS b
  ON b.oid ${EQ} (CASE WHEN y.typtype ${EQ} 'd' THEN y.typbasetype ELSE y.oid END) AND b.typnamespace ${EQ} 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid
LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid ${EQ} c.oid AND i.indisprimary
WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name AND ${nameIn('c.relkind', ['r', 'p'], '"char"')}
  AND a.attnum ${GT} 0 AND NOT a.attisdropped AND (a.attgenerated ${EQ} '' OR a.attname ${EQ} $3::pg_catalog.name)
ORDER BY a.attnum`

function written(base: string, value: string): { form: Form; sql: string } {
  switch (base) {
    case 'int2':
    case 'int4':
    case 'int8':
      return { form: 'integer', sql: value }
    case 'float4':
    case 'float8':
    case 'numeric':
      return { form: 'number', sql: valueText(base, value) }
    case 'bool':
      return { form: 'truth', sql: valueText(base, value) }
    case 'timestamp':
    case 'timestamptz':
      return { form: base, sql: value }
    case 'bytea':
      return { form: 'bytes', sql: `pg_catalog.encode(${value}, 'hex'::pg_catalog.text)` }
    default:
      return { form: 'text', sql: valueText(base, value) }
  }
}

/** Types whose cast to text is built in, so that nobody can redefine it; it costs less than the output function. */
const CAST_TO_TEXT: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar', 'name', 'bool'])

/** NULL stays NULL. */
export function valueText(base: string, value: string): string {
  if (CAST_TO_TEXT.has(base)) return `${value}::pg_catalog.text`
  // Tests whether the value itself is NULL: IS NULL is also true of a row of NULLs.
  return `CASE WHEN pg_catalog.num_nulls(${value}) ${EQ} 0 THEN ${textOf(value)} END`
}

export function rowRecord(columns: readonly RecordColumn[], charset: Charset | undefined): RowRecord {
  const sql = `pg_catalog.record_send(ROW(${columns.map((column) => column.sql).join(', ')}))`
  return { columns, charset, sql, digestSql: `pg_catalog.sha256(${sql})` }
}

/** The instant of a time from the text that stands for it in a line. */
export function instantOf(timeZone: string): (value: unknown) => EpochMs {
  const instantAt = wallInstant(timeZone)
  return (value) => {
    const time = typeof value === 'string' ? readingOf(value) : undefined
    if (time === undefined) return NaN
    return time.zoned ? time.reading : instantAt(time.reading)
  }
}

/** All instants that it may mean; empty: it is not a time. */
export function instantsOf(timeZone: string): (value: unknown) => readonly EpochMs[] {
  const instantsAt = wallInstants(timeZone)
  return (value) => {
    const time = typeof value === 'string' ? readingOf(value) : undefined
    if (time === undefined) return []
    return time.zoned ? [time.reading] : instantsAt(time.reading)
  }
}
