import { quoted } from '../identifiers.ts'

/**
 * Definitions of one object as servers of different versions write them, brought to one form. PostgreSQL 16 and later leave out the table of a column where there is
 * only one; 13 writes AT TIME ZONE as a function. Columns of the gateway's may be varchar where ours are text, and are cast.
 */
export function plainView(definition: string, [schema, view]: readonly [schema: string, view: string]): string {
  const text = definition.replaceAll(/\s+/g, ' ').trim().replace(/;$/, '')
  return withoutTable(zoned(uncast(withoutSchema(text, schema))), view)
}

/** What a column is where a row does not say. */
export function plainDefault(expression: string): string {
  return zoned(uncast(expression))
}

/** A trigger from its timing on, or a constraint. */
export function plainDefinition(definition: string, schema: string): string {
  const text = withoutSchema(definition.replaceAll(/\s+/g, ' '), schema)
  return text.replace(/^CREATE (CONSTRAINT )?TRIGGER (?:"(?:[^"]|"")*"|\S+) (.*?) ON (?:"(?:[^"]|"")*"|\S+) /, '$1$2 ')
}

/** Both spellings: a name is quoted only where it must be. */
function withoutSchema(text: string, schema: string): string {
  return text
    .replaceAll(`${quoted(schema)}.`, '')
    .replaceAll(`${schema}.`, (match, at: number) => (/[\w$."]/.test(text[at - 1] ?? ' ') ? match : ''))
}

function uncast(text: string): string {
  return text
    .replaceAll(/\(((?:\w+\.)?(?:\w+|"[^"]+"))\)::(?:text|character varying)/g, '$1')
    .replaceAll(/('(?:[^']|'')*')::(?:text|character varying)/g, '$1')
}

const ZONE_CALL = `timezone('UTC', `

/** `timezone('UTC', x)` as `(x AT TIME ZONE 'UTC')`. */
function zoned(text: string): string {
  const at = text.indexOf(ZONE_CALL)
  if (at === -1) return text
  const begin = at + ZONE_CALL.length
  let end = begin
  for (let depth = 1; depth > 0 && end < text.length; end += 1) depth += text[end] === '(' ? 1 : text[end] === ')' ? -1 : 0
  return zoned(`${text.slice(0, at)}(${text.slice(begin, end - 1)} AT TIME ZONE 'UTC')${text.slice(end)}`)
}

/** Where a view reads one table by its own name, columns need not name it. */
function withoutTable(text: string, view: string): string {
  const [, table] = / FROM (\w+)(?: WHERE| GROUP| ORDER|$)/.exec(text) ?? []
  return table === undefined || table === view ? text : text.replaceAll(new RegExp(`\\b${table}\\.`, 'g'), '')
}
