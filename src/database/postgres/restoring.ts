import { DatabaseError, type Query, type Transaction } from '../database.ts'
import { TAGS, type Restored, type Restoring, type StoredColumn } from '../stored-rows.ts'
import { literal, qualified, quoted } from './identifiers.ts'
import { recordColumns, type RecordColumn } from './stored-rows.ts'
import { cutoffText, timeTypeOf } from './times.ts'

/** Columns as those of the source, without its constraints: what was archived over years may hold one key twice. */
export async function makeRestoreTable(
  query: Query,
  schema: string,
  { source, into }: Restoring,
  columns: readonly StoredColumn[],
): Promise<void> {
  const own = await recordColumns(query, schema, source)
  const made = own.length > 0 ? own : columns
  const list = made.map(({ name, type }) => `${quoted(name)} ${type}`).join(', ')
  await query.query(`CREATE TABLE IF NOT EXISTS ${qualified(schema, into)} (${list})`)
  const key = made.filter((column) => column.key).map(({ name }) => quoted(name))
  if (key.length > 0 && (await recordColumns(query, schema, into)).every((column) => !column.key))
    await query.query(`CREATE INDEX IF NOT EXISTS ${quoted(`idx_${into}_key`)} ON ${qualified(schema, into)} (${key.join(', ')})`)
}

export interface Place {
  readonly tx: Transaction
  readonly schema: string
  readonly timeZone: string
}

export async function restore(
  { tx, schema, timeZone }: Place,
  { into, cutoff, timeColumn }: Restoring,
  given: readonly StoredColumn[],
  lines: readonly string[],
): Promise<Restored> {
  const target = await recordColumns(tx, schema, into)
  const columns = given.map(({ name }) => {
    const found = target.find((column) => column.name === name)
    if (found === undefined)
      throw new DatabaseError(
        'failed',
        `Table ${schema}.${into} has no column ${quoted(name)}, which the archive has. Nothing of this batch was restored.`,
      )
    return found
  })
  mustBeReadable(columns, lines, `${schema}.${into}`)
  const time = columns.find(({ name }) => name === timeColumn)
  const type = timeTypeOf(time?.type ?? '')
  const late =
    cutoff === undefined || type === undefined ? 'false' : `${quoted(timeColumn)} < ${literal(cutoffText(cutoff, type, timeZone))}::${type}`
  const { rows } = await tx.query<Restored>(restoreSql(qualified(schema, into), columns, given, late), [`[${lines.join(',')}]`])
  return rows[0] ?? { inserted: 0, present: 0, conflicting: 0, expired: 0 }
}

function restoreSql(table: string, columns: readonly RecordColumn[], given: readonly StoredColumn[], late: string): string {
  const names = columns.map(({ name }) => quoted(name))
  const values = columns.map((column) => `${valueSql(column)} AS ${quoted(column.name)}`)
  const key = given.filter((column) => column.key).map(({ name }) => `t.${quoted(name)} = g.${quoted(name)}`)
  const equal = names.map((name) => `t.${name}::text IS NOT DISTINCT FROM g.${name}::text`)
  const same = [...key, ...equal].join(' AND ')
  // Only where the table itself takes a key but once is another row of that key in the way.
  const own = columns.filter((column) => column.key).map(({ name }) => `t.${quoted(name)} = g.${quoted(name)}`)
  const taken = own.length === 0 ? 'false' : `EXISTS (SELECT FROM ${table} AS t WHERE ${own.join(' AND ')})`
  return `WITH given AS MATERIALIZED (
  SELECT ${values.join(', ')} FROM json_array_elements($1::json) AS row(j)
), judged AS MATERIALIZED (
  SELECT g.*, CASE WHEN ${late} THEN 'expired' WHEN EXISTS (SELECT FROM ${table} AS t WHERE ${same}) THEN 'present' WHEN ${taken} THEN 'conflicting' ELSE 'new' END AS "restored as"
  FROM given AS g
), done AS (
  INSERT INTO ${table} (${names.join(', ')}) OVERRIDING SYSTEM VALUE SELECT ${names.join(', ')} FROM judged WHERE "restored as" = 'new' RETURNING 1
)
SELECT (SELECT count(*) FROM done) AS inserted, count(*) FILTER (WHERE "restored as" = 'present') AS present,
  count(*) FILTER (WHERE "restored as" = 'conflicting') AS conflicting, count(*) FILTER (WHERE "restored as" = 'expired') AS expired
FROM judged`
}

function valueSql({ name, type, form }: RecordColumn): string {
  const key = literal(name)
  return form === 'bytes' ? `pg_catalog.decode(j -> ${key} ->> ${literal(TAGS.bytes)}, 'hex')` : `(j ->> ${key})::${type}`
}

/** Inside a string the quotation marks are escaped, so this is found only where a value begins. */
const TAGGED = /:\{"\$(?:bytes|text|real)":"/

/** What SQLite holds and PostgreSQL has no type for must not become text that looks like it. */
function mustBeReadable(columns: readonly RecordColumn[], lines: readonly string[], title: string): void {
  if (columns.some(({ form }) => form === 'bytes') || !lines.some((line) => TAGGED.test(line))) return
  throw new DatabaseError(
    'failed',
    `A row holds bytes where ${title} has text: it can only be restored into SQLite. Nothing of this batch was restored.`,
  )
}
