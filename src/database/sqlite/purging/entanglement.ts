import { reachOf } from '../../cascades.ts'
import type { TimeColumn } from '../../purging.ts'
import type { Connection } from '../connection/connection.ts'
import { BUILT_IN, folded, MAIN } from '../names.ts'
import { foreignKeysOf } from './foreign-keys.ts'
import { layoutOf, unfit, type Layout } from './layout.ts'

/**
 * Whether deleting one row can change, renew or delete another row of the same table, through a trigger on the table or a foreign key to it. If so, each
 * row is judged right before it is deleted. The answer is valid until the schema changes.
 */
export class Entanglement {
  readonly #connection: Connection
  readonly #column: TimeColumn
  readonly #layout: Layout
  #version: number
  #found: boolean
  #takesAlong: boolean

  constructor(connection: Connection, column: TimeColumn, layout: Layout) {
    this.#connection = connection
    this.#column = column
    this.#layout = layout
    this.#version = schemaVersion(connection)
    this.#found = isEntangled(connection, column.table)
    this.#takesAlong = takesAlong(connection, column.table)
  }

  /** Whether foreign keys delete or change other rows along; as of the last look at `found`. */
  get takesAlong(): boolean {
    return this.#takesAlong
  }

  /** Read under the write lock before rows are deleted. Throws if the table can no longer be accessed in the way in which the rows were chosen. */
  get found(): boolean {
    const version = schemaVersion(this.#connection)
    if (version !== this.#version) {
      const { table, column, rowid, numbers } = this.#layout
      const now = layoutOf(this.#connection, this.#column)
      if (now?.table !== table || now.column !== column || now.rowid !== rowid || now.numbers !== numbers)
        throw unfit(this.#connection, this.#column.table, 'was altered by another program during the purge')
      this.#found = isEntangled(this.#connection, this.#column.table)
      this.#takesAlong = takesAlong(this.#connection, this.#column.table)
      this.#version = version
    }
    return this.#found
  }
}

function schemaVersion(connection: Connection): number {
  return connection.figure(`PRAGMA ${MAIN}.schema_version`)
}

function takesAlong(connection: Connection, table: string): boolean {
  return reachOf([folded(table)], foreignKeysOf(connection)).cascades.length > 0
}

function isEntangled(connection: Connection, table: string): boolean {
  return connection.figure(ACTS_ON_ITSELF, [table]) > 0
}

const ACTS_ON_ITSELF = `SELECT (SELECT count(*) FROM ${MAIN}.sqlite_schema WHERE type = 'trigger' AND tbl_name = $1 COLLATE NOCASE)
  + (SELECT count(*) FROM ${MAIN}.sqlite_schema AS s CROSS JOIN ${BUILT_IN.references}(s.name, '${MAIN}') AS f
      WHERE s.type = 'table' AND f."table" = $1 COLLATE NOCASE)`
