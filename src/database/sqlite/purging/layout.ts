import { someText } from '../../../number-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { TimeColumn } from '../../purging.ts'
import type { Connection } from '../connection/connection.ts'
import { affinityOf } from '../declared-types.ts'
import { BUILT_IN, folded, MAIN, named, quoted } from '../names.ts'

/** What the statements on a time column are built from. Names are quoted, but for those of all columns. */
export interface Layout {
  readonly table: string
  /** As they are declared. */
  readonly columns: readonly string[]
  readonly column: string
  /** The name by which the table's row number is reached. */
  readonly rowid: string
  /** Whether the column can hold numbers: TEXT affinity turns them into text. */
  readonly numbers: boolean
  readonly nullable: boolean
  /** The index whose first column is the time; `undefined`: there is none. */
  readonly index: { readonly name: string; readonly descending: boolean } | undefined
}

/** `undefined`: there is no such table. Throws if its rows cannot be walked. */
export function layoutOf(connection: Connection, { table, column }: TimeColumn): Layout | undefined {
  const [found] = connection.run<TableRow>(
    `SELECT name, type, wr FROM ${BUILT_IN.tables} WHERE schema = '${MAIN}' AND name = $1 COLLATE NOCASE`,
    [table],
  ).rows
  if (found === undefined) return undefined
  if (found.type !== 'table') throw unfit(connection, table, `is a ${found.type}, not a table`)
  if (found.wr === 1) throw unfit(connection, table, 'is a WITHOUT ROWID table, which cannot be purged')

  const { rows: columns } = connection.run<ColumnRow>(`SELECT name, type, "notnull" FROM ${BUILT_IN.columns}($1, '${MAIN}')`, [found.name])
  const names = new Set(columns.map(({ name }) => folded(name)))
  const time = columns.find(({ name }) => folded(name) === folded(column))
  if (time === undefined) throw unfit(connection, table, `has no column "${column}"; it has ${someText(columns.map(({ name }) => name))}`)
  const rowid = ['rowid', '_rowid_', 'oid'].find((name) => !names.has(name))
  if (rowid === undefined)
    throw unfit(connection, table, 'has columns named rowid, _rowid_ and oid, so that its row numbers cannot be reached')

  return {
    table: named(found.name),
    columns: columns.map(({ name }) => name),
    column: quoted(time.name),
    rowid,
    numbers: affinityOf(time.type) !== 'TEXT',
    nullable: time.notnull === 0,
    index: indexOn(connection, found.name, time.name),
  }
}

interface TableRow {
  readonly name: string
  readonly type: string
  readonly wr: number
}

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly notnull: number
}

/** Prefers an index on this column alone, in which rows with the same time are sorted by their number. */
function indexOn(connection: Connection, table: string, column: string): Layout['index'] {
  const { rows } = connection.run<{ name: string; descending: number }>(
    `SELECT list.name, first."desc" AS descending
       FROM ${BUILT_IN.indexes}($1, '${MAIN}') AS list CROSS JOIN ${BUILT_IN.indexColumns}(list.name, '${MAIN}') AS first
      WHERE list.partial = 0 AND first.seqno = 0 AND first.name = $2 AND first.coll = 'BINARY'
      ORDER BY (SELECT count(*) FROM ${BUILT_IN.indexColumns}(list.name, '${MAIN}') AS each WHERE each."key"), list.name`,
    [table, column],
  )
  const [first] = rows
  return first === undefined ? undefined : { name: quoted(first.name), descending: first.descending === 1 }
}

export function unfit({ file }: Connection, table: string, what: string): DatabaseError {
  return new DatabaseError(
    'failed',
    `${file}: table ${table} ${what}. Nothing more was deleted from it. Fix the table, or disable the job.`,
  )
}
