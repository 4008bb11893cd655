import type { StoredColumn } from '../../exporting.ts'
import type { Connection } from '../connection/connection.ts'
import { BUILT_IN, folded, MAIN } from '../names.ts'

/** Without computed columns, except the column `time`. The names are not quoted. */
export function storedColumns(connection: Connection, table: string, time: string): readonly StoredColumn[] {
  return connection
    .run<{ name: string; type: string; pk: number; hidden: number }>(
      `SELECT name, type, pk, hidden FROM ${BUILT_IN.columns}($1, '${MAIN}')`,
      [table],
    )
    .rows.filter(({ name, hidden }) => hidden === 0 || folded(name) === folded(time))
    .map(({ name, type, pk, hidden }) => ({ name, type, key: pk > 0, ...(hidden === 0 ? {} : { computed: true }) }))
}
