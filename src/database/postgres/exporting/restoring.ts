import { DatabaseError } from '../../database-error.ts'
import { TAGS, type Restored, type Restoring, type StoredColumn } from '../../exporting.ts'
import { mustBeRestorable, mustBeRow, notThere, parsedLine, type NameRules } from '../../exporting/archived-columns.ts'
import { bytesOf, cutLine, type CutLine, type LongString } from '../../exporting/json-line.ts'
import type { Query, Transaction } from '../../query.ts'
import { builtInType } from '../declared-types.ts'
import { builtIn, EQ, LT } from '../exact.ts'
import { literal, qualified, quoted } from '../identifiers.ts'
import { mustBeTrusted } from '../owners.ts'
import { databaseError } from '../postgres-errors.ts'
import { cutoffText, timeTypeOf } from '../times.ts'
import type { Charset } from './charset.ts'
import { recordColumns, valueText, type RecordColumn } from './stored-rows.ts'

const RULES: NameRules = { nameBytes: 63, columns: 1_600, folded: (name) => name }

/**
 * Creates the table with the columns of the source but without its constraints: what was archived over years may contain one key twice.
 * Types are copied from the source. If that no longer exists, a type that a file names is used only if it is built into the server.
 */
export async function makeRestoreTable(
  query: Query,
  schema: string,
  restoring: Restoring,
  columns: readonly StoredColumn[],
): Promise<readonly string[]> {
  mustBeRestorable(restoring, columns, RULES)
  const { source, into, timeColumn } = restoring
  const table = qualified(schema, into)
  const trusted = await mustBeTrusted(query, schema, [source, into])
  const before = trusted.has(into) ? await recordColumns(query, schema, into, timeColumn) : []
  const own = trusted.has(source) ? await recordColumns(query, schema, source, timeColumn) : []
  const made = own.length > 0 ? own : columns
  if (own.length > 0) {
    const names = own.map(({ name }) => quoted(name)).join(', ')
    await query.query(`CREATE TABLE IF NOT EXISTS ${table} AS SELECT ${names} FROM ${qualified(schema, source)} WITH NO DATA`)
  } else {
    const list = columns.map(({ name, type }) => `${quoted(name)} ${builtInType(type) ?? TEXT}`)
    await query.query(`CREATE TABLE IF NOT EXISTS ${table} (${list.join(', ')})`)
  }
  // IF NOT EXISTS accepts a table that somebody else created meanwhile.
  await mustBeTrusted(query, schema, [into])
  const target = await recordColumns(query, schema, into, timeColumn)
  if (target.length === 0)
    throw new DatabaseError('failed', `${schema}.${into} is not a table that rows can be restored into. Nothing was restored.`)
  const key = made.filter((column) => column.key).map(({ name }) => quoted(name))
  if (key.length > 0 && target.every((column) => !column.key))
    await query.query(`CREATE INDEX IF NOT EXISTS ${quoted(`idx_${into}_key`)} ON ${table} (${key.join(', ')})`)
  if (own.length > 0 || before.length > 0) return []
  return columns
    .filter(({ type }) => builtInType(type) === undefined)
    .map(
      ({ name }) =>
        `the column ${quoted(name)} of ${schema}.${into} is text: the archive names a type for it that is not built into this server`,
    )
}

const TEXT = 'pg_catalog.text'

/** No script gives a role that purges what a restore needs. */
const ADVICE =
  ". A restore creates a table and fills it, which a role that purges may not: run it as the gateway's role, or as the one that migrates"

/** Says what to do instead where a privilege is missing. */
export async function forRestoring<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const isOurs = error instanceof DatabaseError && error.kind === 'forbidden' && error.cause !== undefined
    throw isOurs ? databaseError(error.cause, ADVICE) : error
  }
}

export interface Place {
  readonly tx: Transaction
  readonly schema: string
  readonly timeZone: string
  readonly charset: Charset | undefined
}

export async function restore(
  { tx, schema, timeZone, charset }: Place,
  restoring: Restoring,
  given: readonly StoredColumn[],
  lines: readonly Buffer[],
): Promise<Restored> {
  mustBeRestorable(restoring, given, RULES)
  const { into, cutoff, timeColumn } = restoring
  const target = await recordColumns(tx, schema, into, timeColumn)
  const columns = given.map(({ name }) => {
    const found = target.find((column) => column.name === name)
    if (found === undefined)
      throw new DatabaseError(
        'failed',
        `Table ${schema}.${into} has no column ${quoted(name)}, which the archive has. Nothing of this batch was restored.`,
      )
    return found
  })
  const long: CutLine[] = []
  const short: string[] = []
  /** With text that is not UTF-8, in the server's own encoding. */
  const unlike: Buffer[] = []
  for (const line of lines) {
    const cut = cutLine(line)
    if (TAGGED_TEXT.test(cut.text) || [...cut.long.values()].some(({ tag }) => tag === TAGS.text)) {
      unlike.push(inCharset(line, given, charset, `${schema}.${into}`))
      continue
    }
    const goes = [...cut.long].every(([name, value]) => canGoApart(columns, name, value))
    const text = goes ? cut.text : line.toString()
    mustBeRow(parsedLine(text), given)
    mustBeReadable(columns, text, `${schema}.${into}`)
    if (goes && cut.long.size > 0) long.push(cut)
    else short.push(text)
  }
  const time = columns.find(({ name }) => name === timeColumn)
  const type = timeTypeOf(time?.type ?? '')
  const late =
    cutoff === undefined || type === undefined
      ? 'false'
      : `g.${quoted(timeColumn)} ${LT} ${literal(cutoffText(cutoff, type, timeZone))}::pg_catalog.${type}`
  const key = columns.filter(({ name }) => given.some((column) => column.key && column.name === name))
  const sum = { inserted: 0, present: 0, conflicting: 0, expired: 0 }
  const put = async (json: string | Buffer, apart: CutLine['long']): Promise<void> => {
    const sql = restoreSql({
      table: qualified(schema, into),
      columns,
      key,
      late,
      given: typeof json === 'string' ? GIVEN_TEXT : GIVEN_BYTES,
      apart: [...apart.keys()],
    })
    const values = [json, ...[...apart.values()].map(bytesOf)]
    const { rows } = await tx.query<Restored & { readonly chosen: number }>(sql.insertion, values)
    const restored = rows[0]!
    const { rows: after } = await tx.query<{ readonly there: number }>(sql.there, values)
    const missing = Math.max(restored.chosen - restored.inserted, restored.chosen + restored.present - after[0]!.there)
    if (missing > 0) throw notThere(`${schema}.${into}`, missing)
    for (const count of COUNTS) sum[count] += restored[count]
  }
  if (short.length > 0) await put(`[${short.join(',')}]`, new Map())
  for (const { text, long: apart } of long) await put(`[${text}]`, apart)
  if (unlike.length > 0)
    await put(
      Buffer.concat([Buffer.from('['), ...unlike.flatMap((row, index) => (index === 0 ? [row] : [COMMA, row])), Buffer.from(']')]),
      new Map(),
    )
  return sum
}

const COUNTS = ['inserted', 'present', 'conflicting', 'expired'] as const

/**
 * Whether a long value may be a parameter of its own instead of a part of the JSON: its type must be read by its own input function or by a
 * built-in cast.
 */
function canGoApart(columns: readonly RecordColumn[], column: string, { tag }: LongString): boolean {
  const { form, base } = columns.find(({ name }) => name === column) ?? {}
  return form === 'bytes' ? tag === TAGS.bytes : tag === undefined && base !== undefined && APART.has(base)
}

const APART: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar', 'json', 'jsonb'])

interface RestoreStatement {
  readonly table: string
  readonly columns: readonly RecordColumn[]
  /** The columns of the source's key, by which a row is looked up; an index on them helps. */
  readonly key: readonly RecordColumn[]
  readonly late: string
  /** The rows as a JSON array. */
  readonly given: string
  /** Columns whose values are passed as `$2`, `$3`, … */
  readonly apart: readonly string[]
}

function restoreSql({ table, columns, key, late, given: rows, apart }: RestoreStatement) {
  const stored = columns.filter(({ computed }) => computed !== true)
  const names = stored.map(({ name }) => quoted(name))
  const values = columns.map((column) => {
    const place = apart.indexOf(column.name)
    return `${place === -1 ? valueSql(column) : apartSql(column, `$${place + 2}`)} AS ${quoted(column.name)}`
  })
  const scalars = columns.filter(isScalar).map(({ name, exactType }) => `${quoted(name)} ${exactType}`)
  const read = scalars.length === 0 ? '' : ` CROSS JOIN LATERAL pg_catalog.json_to_record(j) AS v (${scalars.join(', ')})`
  const same = [...key.map(sameKey), ...stored.map(sameValue)].join(' AND ')
  // Another row with the same key is a conflict only if the table itself has that primary key.
  const own = columns.filter((column) => column.key).map(sameKey)
  const taken = own.length === 0 ? 'false' : `EXISTS (SELECT FROM ${table} AS t WHERE ${own.join(' AND ')})`
  const given = `WITH given AS MATERIALIZED (
  SELECT ${values.join(', ')} FROM pg_catalog.json_array_elements(${rows}) AS row(j)${read}
)`
  const isThere = `EXISTS (SELECT FROM ${table} AS t WHERE ${same})`
  const insertion = `${given}, judged AS MATERIALIZED (
  SELECT g.*, CASE WHEN ${late} THEN 'expired' WHEN ${isThere} THEN 'present' WHEN ${taken} THEN 'conflicting' ELSE 'new' END AS "restored as"
  FROM given AS g
), done AS (
  INSERT INTO ${table} (${names.join(', ')}) OVERRIDING SYSTEM VALUE SELECT ${names.join(', ')} FROM judged WHERE "restored as" ${EQ} 'new' RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM done) AS inserted, pg_catalog.count(*) FILTER (WHERE "restored as" ${EQ} 'new') AS chosen, pg_catalog.count(*) FILTER (WHERE "restored as" ${EQ} 'present') AS present,
  pg_catalog.count(*) FILTER (WHERE "restored as" ${EQ} 'conflicting') AS conflicting, pg_catalog.count(*) FILTER (WHERE "restored as" ${EQ} 'expired') AS expired
FROM judged`
  // Only the next statement sees the rows that a statement inserted, and what triggers did to them.
  const there = `${given} SELECT pg_catalog.count(*) FILTER (WHERE CASE WHEN ${late} THEN false ELSE ${isThere} END) AS there FROM given AS g`
  return { insertion, there }
}

const GIVEN_TEXT = '$1::pg_catalog.json'
/** Not converted, but checked: it must be text in the server's encoding. */
const GIVEN_BYTES = `pg_catalog.json_in(pg_catalog.textout(pg_catalog.convert_from($1::pg_catalog.bytea, 'SQL_ASCII'::pg_catalog.name)))`

/** Built-in types are compared by their own equality, which their index supports; other types by their text. */
function sameKey(column: RecordColumn): string {
  const name = quoted(column.name)
  return column.base === '' ? sameValue(column) : `t.${name} ${EQ} g.${name}`
}

/** NULL equals NULL. */
function sameValue({ name, base }: RecordColumn): string {
  const [there, given] = [valueText(base, `t.${quoted(name)}`), valueText(base, `g.${quoted(name)}`)]
  return `(CASE WHEN ${there} IS NULL OR ${given} IS NULL THEN ${there} IS NULL AND ${given} IS NULL ELSE ${there} ${EQ} ${given} END)`
}

const DOCUMENTS: ReadonlySet<string> = new Set(['json', 'jsonb'])

/** Parsed by the type's own input function: a cast from text might be a user-defined function. */
function isScalar({ form, base }: RecordColumn): boolean {
  return form !== 'bytes' && base !== '' && !DOCUMENTS.has(base)
}

function valueSql(column: RecordColumn): string {
  const { name, form, base, exactType } = column
  const key = `${literal(name)}::pg_catalog.text`
  if (form === 'bytes')
    return `pg_catalog.decode(j ${builtIn('->')} ${key} ${builtIn('->>')} ${literal(TAGS.bytes)}::pg_catalog.text, 'hex'::pg_catalog.text)`
  if (isScalar(column)) return `v.${quoted(name)}`
  const text = `(j ${builtIn('->>')} ${key})`
  return DOCUMENTS.has(base) ? `pg_catalog.${base}_in(pg_catalog.textout(${text}))` : `${text}::${exactType}`
}

function apartSql({ form, base }: RecordColumn, parameter: string): string {
  if (form === 'bytes') return `${parameter}::pg_catalog.bytea`
  const text = `${parameter}::pg_catalog.text`
  return DOCUMENTS.has(base) ? `pg_catalog.${base}_in(pg_catalog.textout(${text}))` : text
}

/** Quotation marks within a string are escaped, so this matches only where a value begins. */
const TAGGED = /:\{"\$(?:bytes|real)":(?:"|null)/
const TAGGED_TEXT = /:\{"\$text":(?:"|null)/

/** Values of SQLite that have no type in PostgreSQL must not become text that looks like them. */
function mustBeReadable(columns: readonly RecordColumn[], line: string, title: string): void {
  if (columns.some(({ form }) => form === 'bytes') || !TAGGED.test(line)) return
  throw new DatabaseError(
    'failed',
    `A row holds bytes where ${title} has text: it can only be restored into SQLite. Nothing of this batch was restored.`,
  )
}

const COMMA = Buffer.from(',')

/** A line with text that is not UTF-8, in the server's encoding: the bytes of that text go into it as they were stored. */
function inCharset(line: Buffer, given: readonly StoredColumn[], charset: Charset | undefined, title: string): Buffer {
  const text = line.toString()
  mustBeRow(parsedLine(text), given)
  if (charset === undefined)
    throw new DatabaseError(
      'failed',
      `A row holds text that is not UTF-8, the encoding of the database of ${title}: it can only be restored into SQLite, or into a database of the encoding that it ` +
        'came from or of SQL_ASCII. Nothing of this batch was restored.',
    )
  const pieces: Buffer[] = []
  const addText = (piece: string): void => {
    const stored = charset.fromUtf8(Buffer.from(piece))
    if (stored === undefined)
      throw new DatabaseError(
        'failed',
        `A row holds a character that ${charset.encoding}, the encoding of the database of ${title}, lacks. Nothing of this batch was restored.`,
      )
    pieces.push(stored)
  }
  let from = 0
  for (const match of text.matchAll(TEXT_BYTES)) {
    addText(text.slice(from, match.index + 1))
    pieces.push(stringOf(Buffer.from(match[1]!, 'hex')))
    from = match.index + match[0].length
  }
  addText(text.slice(from))
  return Buffer.concat(pieces)
}

const TEXT_BYTES = /:\{"\$text":"((?:[0-9a-f]{2})*)"\}/g

/** A JSON string. Byte by byte, because in every encoding of a server the bytes of other characters are no ASCII. */
function stringOf(bytes: Buffer): Buffer {
  return Buffer.from(JSON.stringify(bytes.toString('latin1')), 'latin1')
}
