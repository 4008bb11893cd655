import type { EpochMs } from '../../time.ts'
import type { StoredColumn } from '../stored-rows.ts'
import type { Query } from '../database.ts'
import { wallInstant } from '../wall-clock.ts'
import { quoted } from './identifiers.ts'
import type { TimeType } from './times.ts'

/**
 * How the values of a type are written in JSON. In the record whole numbers and times travel in the server's binary form, which costs it least; all
 * others as text.
 */
export type Form = 'integer' | 'timestamp' | 'timestamptz' | 'number' | 'truth' | 'text' | 'bytes'

export interface RecordColumn extends StoredColumn {
  readonly form: Form
  /** Of the alias `t`, as it travels. */
  readonly sql: string
}

/** The whole row as one value, by which it is read, compared and written. */
export interface RowRecord {
  readonly columns: readonly RecordColumn[]
  /** bytea: the row in the server's binary form, of which the digest is taken. */
  readonly sql: string
  /** bytea: SHA-256 of that. */
  readonly digestSql: string
}

/** So that text says the same whatever the session is set to; for types that are not written by rules of our own. */
export const CANONICAL_TEXT =
  "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1; SET LOCAL timezone = 'UTC'"

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly base: string
  readonly key: boolean
}

export async function recordColumns(query: Query, schema: string, table: string): Promise<readonly RecordColumn[]> {
  const { rows } = await query.query<ColumnRow>(COLUMNS, [schema, table])
  return rows.map(({ name, type, base, key }) => ({ name, type, key, ...written(base, `t.${quoted(name)}`) }))
}

/** Computed columns have nothing of their own. A domain is written as the type it is made of. */
const COLUMNS = `SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, coalesce(b.typname, y.typname)::text AS base,
  coalesce(a.attnum = ANY (i.indkey), false) AS key
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type AS b ON b.oid = y.typbasetype
LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
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
      return { form: 'number', sql: `${value}::text` }
    case 'bool':
      return { form: 'truth', sql: `${value}::text` }
    case 'timestamp':
    case 'timestamptz':
      return { form: base, sql: value }
    case 'bytea':
      return { form: 'bytes', sql: `pg_catalog.encode(${value}, 'hex')` }
    default:
      return { form: 'text', sql: `${value}::text` }
  }
}

export function rowRecord(columns: readonly RecordColumn[]): RowRecord {
  const sql = `pg_catalog.record_send(ROW(${columns.map((column) => column.sql).join(', ')}))`
  return { columns, sql, digestSql: `pg_catalog.sha256(${sql})` }
}

/** Milliseconds since 1970 of a time column, as a number; `infinity` stays one. */
export function instantSql(column: string, type: TimeType, zoneLiteral: string): string {
  const instant = type === 'timestamptz' || zoneLiteral === "'UTC'" ? column : `(${column} AT TIME ZONE ${zoneLiteral})`
  return `pg_catalog.floor(pg_catalog.date_part('epoch', ${instant}) * 1000)`
}

/** Of the text that `written` gives a time. */
export function instantOf(timeZone: string): (value: unknown) => EpochMs {
  const instantAt = wallInstant(timeZone)
  return (value) => {
    if (typeof value !== 'string') return NaN
    const zoned = value.endsWith('Z')
    const reading = Date.parse(zoned ? value : `${value}Z`)
    return zoned ? reading : instantAt(reading)
  }
}
