import { DatabaseError } from '../../database-error.ts'
import type { Column, Relation } from '../../migrating.ts'
import type { Connection } from '../connection/connection.ts'
import { BUILT_IN, folded, MAIN, named } from '../names.ts'

/** By name in lower case: SQLite ignores the case of ASCII letters in names. */
export function relations(connection: Connection): ReadonlyMap<string, Relation> {
  const { rows } = connection.run<{ name: string; type: 'table' | 'view' }>(
    `SELECT name, type FROM ${MAIN}.sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'`,
  )
  return new Map(rows.map(({ name, type }) => [folded(name), { kind: type, columns: columnsOf(connection, name) }]))
}

export function tablesAmong(connection: Connection, names: readonly string[]): ReadonlySet<string> {
  const { rows } = connection.run<{ name: string }>(
    `SELECT name FROM ${MAIN}.sqlite_schema WHERE type = 'table' AND name COLLATE NOCASE IN (${names.map((_, at) => `$${at + 1}`).join(', ')})`,
    names,
  )
  const found = new Set(rows.map(({ name }) => folded(name)))
  return new Set(names.filter((name) => found.has(folded(name))))
}

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly notnull: number
  readonly dflt_value: string | null
  readonly pk: number
  readonly hidden: number
}

/** Empty for a view that no longer fits its tables, and for a virtual table whose module is not loaded. */
function columnsOf(connection: Connection, relation: string): ReadonlyMap<string, Column> {
  const rows = readable(() => connection.run<ColumnRow>(`SELECT * FROM ${BUILT_IN.columns}($1, '${MAIN}')`, [relation]).rows) ?? []
  const keys = rows.filter(({ pk }) => pk > 0).length
  return new Map(
    rows.map((row): [string, Column] => {
      const numbersRows = keys === 1 && row.pk === 1 && folded(row.type) === 'integer'
      const mandatory = row.notnull === 1 && row.dflt_value === null && row.hidden === 0 && !numbersRows
      return [folded(row.name), { family: undefined, type: row.type, mandatory }]
    }),
  )
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof DatabaseError && error.kind === 'failed') return undefined
    throw error
  }
}

/** The span of row numbers, which takes two look-ups in a table of any size. Too high if rows in between were deleted. */
export function approximateRows(connection: Connection, table: string): number {
  const name = named(table)
  return readable(() => connection.figure(`SELECT (SELECT max(rowid) FROM ${name}) - (SELECT min(rowid) FROM ${name}) + 1`)) ?? 0
}

export function indexState(connection: Connection, name: string): 'missing' | 'valid' {
  const { rows } = connection.run(`SELECT 1 FROM ${MAIN}.sqlite_schema WHERE type = 'index' AND name = $1 COLLATE NOCASE`, [name])
  return rows.length > 0 ? 'valid' : 'missing'
}
