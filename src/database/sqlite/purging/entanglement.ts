import type { TimeColumn } from '../../purging.ts'
import type { Connection } from '../connection/connection.ts'
import { BUILT_IN, MAIN } from '../names.ts'
import { layoutOf, unfit, type Layout } from './layout.ts'

/**
 * Whether the going of one row can change, renew or remove another of the same table, as a trigger on it or a reference to it can. Then each row is
 * judged right before it goes. Known for as long as nobody changes the schema.
 */
export class Entanglement {
  readonly #connection: Connection
  readonly #column: TimeColumn
  readonly #layout: Layout
  #version: number
  #found: boolean

  constructor(connection: Connection, column: TimeColumn, layout: Layout) {
    this.#connection = connection
    this.#column = column
    this.#layout = layout
    this.#version = schemaVersion(connection)
    this.#found = isEntangled(connection, column.table)
  }

  /** Under the write lock before rows go. Throws where they are not reached any more as they were when they were chosen. */
  get found(): boolean {
    const version = schemaVersion(this.#connection)
    if (version !== this.#version) {
      const { table, column, rowid, numbers } = this.#layout
      const now = layoutOf(this.#connection, this.#column)
      if (now?.table !== table || now.column !== column || now.rowid !== rowid || now.numbers !== numbers)
        throw unfit(this.#connection, this.#column.table, 'was changed by somebody while it was purged')
      this.#found = isEntangled(this.#connection, this.#column.table)
      this.#version = version
    }
    return this.#found
  }
}

function schemaVersion(connection: Connection): number {
  return connection.figure(`PRAGMA ${MAIN}.schema_version`)
}

function isEntangled(connection: Connection, table: string): boolean {
  return connection.figure(ACTS_ON_ITSELF, [table]) > 0
}

const ACTS_ON_ITSELF = `SELECT (SELECT count(*) FROM ${MAIN}.sqlite_schema WHERE type = 'trigger' AND tbl_name = $1 COLLATE NOCASE)
  + (SELECT count(*) FROM ${MAIN}.sqlite_schema AS s CROSS JOIN ${BUILT_IN.references}(s.name, '${MAIN}') AS f
      WHERE s.type = 'table' AND f."table" = $1 COLLATE NOCASE)`
