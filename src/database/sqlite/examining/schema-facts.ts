import type { Reference, SchemaFacts, SchemaObject } from '../../examining.ts'
import type { Connection } from '../connection/connection.ts'
import { BUILT_IN, folded, MAIN } from '../names.ts'
import { foreignKeysOf } from '../purging/foreign-keys.ts'
import { afterName, checksIn, plainSql } from './definitions.ts'

/** Call in one read, so that nothing changes in between. */
export function schemaFacts(connection: Connection, relations: readonly string[]): SchemaFacts {
  const asked = new Set(relations)
  const rows = connection
    .run<SchemaRow>(`SELECT type, name, tbl_name AS "table", sql FROM ${MAIN}.sqlite_schema ORDER BY rowid`)
    .rows.filter(({ table }) => asked.has(folded(table)))
  return {
    objects: rows.flatMap((row) => objectsOf(connection, row)),
    partitioned: new Set(),
    invalidIndexes: [],
    silentTriggers: [],
    partitionTriggers: [],
    rules: [],
    rowSecurity: [],
    references: foreignKeysOf(connection)
      .filter(({ parent }) => asked.has(parent))
      .map(({ parent, child, childColumns, onDelete }): Reference => ({
        table: parent,
        by: child,
        columns: childColumns,
        effect: onDelete === 'none' ? 'blocks' : onDelete === 'cascade' ? 'deletes' : 'changes',
      })),
    changedFunctions: [],
    strangers: [],
  }
}

interface SchemaRow {
  readonly type: 'table' | 'view' | 'index' | 'trigger'
  readonly name: string
  readonly table: string
  /** NULL: an index that a constraint has made. */
  readonly sql: string | null
}

function objectsOf(connection: Connection, { type, name, table, sql }: SchemaRow): SchemaObject[] {
  const of = folded(table)
  const made = (kind: SchemaObject['kind'], called: string, is: string): SchemaObject => ({
    kind,
    of,
    name: folded(called),
    is,
    version: 0,
  })
  switch (type) {
    case 'table':
      return [
        made('table', name, ''),
        ...columnsOf(connection, table).map((column) => made('column', column.name, columnText(column, sql ?? ''))),
        ...primaryKeyOf(connection, table).map((is) => made('key', `${name} primary key`, is)),
        ...checksIn(sql ?? '').map((is, at) => made('check', `${name} check ${at + 1}`, is)),
      ]
    case 'view':
      return [made('view', name, afterName(sql ?? ''))]
    case 'trigger':
      return [made('trigger', name, afterName(sql ?? ''))]
    case 'index':
      return indexOf(connection, table, name, sql).map(({ kind, is }) => made(kind, name, is))
  }
}

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly notnull: number
  readonly dflt_value: string | null
  readonly pk: number
}

function columnsOf(connection: Connection, table: string): readonly ColumnRow[] {
  return connection.run<ColumnRow>(`SELECT * FROM ${BUILT_IN.columns}($1, '${MAIN}')`, [table]).rows
}

/** Only a table with a single key of type INTEGER can have AUTOINCREMENT. */
function columnText({ type, notnull, dflt_value: otherwise, pk }: ColumnRow, sql: string): string {
  const numbered = pk === 1 && /\bautoincrement\b/i.test(plainSql(sql)) ? ' AUTOINCREMENT' : ''
  return `${type.toUpperCase()}${notnull === 1 ? ' NOT NULL' : ''}${numbered}${otherwise === null ? '' : ` DEFAULT ${otherwise}`}`
}

function primaryKeyOf(connection: Connection, table: string): string[] {
  const columns = columnsOf(connection, table)
    .filter(({ pk }) => pk > 0)
    .toSorted((a, b) => a.pk - b.pk)
  return columns.length === 0 ? [] : [`PRIMARY KEY (${columns.map(({ name }) => folded(name)).join(', ')})`]
}

interface IndexRow {
  readonly unique: number
  readonly origin: 'c' | 'u' | 'pk'
  readonly partial: number
}

interface IndexColumnRow {
  readonly name: string | null
  readonly desc: number
  readonly coll: string
}

/** The index of a primary key is left out: the key itself was said with its table. */
function indexOf(connection: Connection, table: string, name: string, sql: string | null): { kind: 'key' | 'index'; is: string }[] {
  const [facts] = connection.run<IndexRow>(`SELECT * FROM ${BUILT_IN.indexes}($1, '${MAIN}') WHERE name = $2`, [table, name]).rows
  if (facts === undefined || facts.origin === 'pk') return []
  const columns = connection.run<IndexColumnRow>(`SELECT * FROM ${BUILT_IN.indexColumns}($1, '${MAIN}') WHERE key = 1 ORDER BY seqno`, [
    name,
  ]).rows
  const isPlain = columns.every((column) => column.name !== null)
  // What an expression or a condition is, only the statement says.
  const [, condition = ''] = /[ )]where (.*)$/.exec(plainSql(sql ?? '')) ?? []
  const texts = columns.map(
    ({ name: column, desc, coll }) => `${folded(column ?? '')}${coll === 'BINARY' ? '' : ` COLLATE ${coll}`}${desc === 1 ? ' DESC' : ''}`,
  )
  const list = isPlain ? `(${texts.join(', ')})` : afterName(sql ?? '')
  if (facts.unique === 1 && facts.partial === 0 && isPlain) return [{ kind: 'key', is: `UNIQUE ${list}` }]
  return [
    { kind: 'index', is: `${facts.unique === 1 ? 'UNIQUE ' : ''}${list}${facts.partial === 1 && isPlain ? ` WHERE ${condition}` : ''}` },
  ]
}
