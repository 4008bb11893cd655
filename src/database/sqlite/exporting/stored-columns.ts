import type { StoredColumn } from '../../exporting.ts'
import type { Connection } from '../connection/connection.ts'
import { BUILT_IN, MAIN } from '../names.ts'

/** Without computed columns. `table`: not quoted. */
export function storedColumns(connection: Connection, table: string): readonly StoredColumn[] {
  return connection
    .run<{ name: string; type: string; pk: number; hidden: number }>(
      `SELECT name, type, pk, hidden FROM ${BUILT_IN.columns}($1, '${MAIN}')`,
      [table],
    )
    .rows.filter(({ hidden }) => hidden === 0)
    .map(({ name, type, pk }) => ({ name, type, key: pk > 0 }))
}
