import type { Action, ForeignKey } from '../../cascades.ts'
import type { Connection } from '../connection/connection.ts'
import { BUILT_IN, folded, MAIN } from '../names.ts'

/** Tables and columns are told apart by their folded names. */
export interface SqliteForeignKey extends ForeignKey {
  /** Names as they are declared, for messages and statements. */
  readonly declared: {
    readonly child: string
    readonly childColumns: readonly string[]
    readonly parent: string
    readonly parentColumns: readonly string[]
  }
}

/** Every foreign key of the file. */
export function foreignKeysOf(connection: Connection): readonly SqliteForeignKey[] {
  const { rows } = connection.run<KeyRow>(KEYS)
  const byKey = Map.groupBy(rows, ({ child, id }) => `${id} ${child}`)
  return [...byKey.values()].map((columns) => {
    const { child, parent, on_delete, on_update } = columns[0]!
    const childColumns = columns.map(({ child_column }) => child_column)
    const named = columns.flatMap(({ parent_column }) => parent_column ?? [])
    const parentColumns = named.length === columns.length ? named : primaryKeyOf(connection, parent)
    return {
      child: folded(child),
      childColumns: childColumns.map(folded),
      parent: folded(parent),
      parentColumns: parentColumns.map(folded),
      onDelete: ACTIONS[on_delete] ?? 'none',
      onUpdate: ACTIONS[on_update] ?? 'none',
      declared: { child, childColumns, parent, parentColumns },
    }
  })
}

/** A foreign key that names no columns of its parent means these. */
function primaryKeyOf(connection: Connection, table: string): readonly string[] {
  return connection
    .run<{ name: string }>(`SELECT name FROM ${BUILT_IN.columns}($1, '${MAIN}') WHERE pk > 0 ORDER BY pk`, [table])
    .rows.map(({ name }) => name)
}

interface KeyRow {
  readonly child: string
  readonly id: number
  readonly parent: string
  readonly child_column: string
  /** NULL: the key names no columns of its parent. */
  readonly parent_column: string | null
  readonly on_delete: string
  readonly on_update: string
}

const KEYS = `SELECT s.name AS child, f.id, f."table" AS parent, f."from" AS child_column, f."to" AS parent_column, f.on_delete, f.on_update
  FROM ${MAIN}.sqlite_schema AS s CROSS JOIN ${BUILT_IN.references}(s.name, '${MAIN}') AS f WHERE s.type = 'table' ORDER BY s.name, f.id, f.seq`

const ACTIONS: Readonly<Record<string, Action>> = { CASCADE: 'cascade', 'SET NULL': 'set null', 'SET DEFAULT': 'set default' }

/** The collation by which each column of a parent key is unique; `undefined`: nothing makes it unique, and SQLite calls that a foreign key mismatch. */
export function parentKeyOf(
  connection: Connection,
  { parent, parentColumns, childColumns }: SqliteForeignKey,
): readonly string[] | undefined {
  if (parentColumns.length !== childColumns.length) return undefined
  if (parentColumns.length === 1 && rowNumberOf(connection, parent) === parentColumns[0]) return ['BINARY']
  const { rows } = connection.run<{ index: string; name: string | null; collation: string }>(
    `SELECT list.name AS "index", each.name, each.coll AS collation
       FROM ${BUILT_IN.indexes}($1, '${MAIN}') AS list CROSS JOIN ${BUILT_IN.indexColumns}(list.name, '${MAIN}') AS each
      WHERE list."unique" AND list.partial = 0 AND each."key" ORDER BY list.seq, each.seqno`,
    [parent],
  )
  for (const index of Map.groupBy(rows, (row) => row.index).values()) {
    const collations = new Map(index.map(({ name, collation }) => [folded(name ?? ''), collation]))
    if (index.length === parentColumns.length && parentColumns.every((name) => collations.has(name)))
      return parentColumns.map((name) => collations.get(name)!)
  }
  return undefined
}

/** The column that is the row number itself; `undefined`: there is none. */
export function rowNumberOf(connection: Connection, table: string): string | undefined {
  const { rows } = connection.run<{ name: string; type: string }>(
    `SELECT name, type FROM ${BUILT_IN.columns}($1, '${MAIN}') WHERE pk > 0`,
    [table],
  )
  const [only, another] = rows
  return another === undefined && only?.type.toUpperCase() === 'INTEGER' ? folded(only.name) : undefined
}
