import type { Connection } from './connection.ts'
import { BUILT_IN, folded, MAIN, named } from './names.ts'
import { GATEWAY_TABLES } from './neighbours.ts'

/** Whether a table of the gateway's holds a row, or has ever numbered one. Where there is none of its tables, that cannot be told, and nobody asks. */
export function gatewayHasWritten(connection: Connection): boolean {
  const tables = connection
    .run<{ name: string }>(`SELECT name FROM ${BUILT_IN.tables} WHERE schema = '${MAIN}' AND type = 'table'`)
    .rows.map(({ name }) => name)
  const own = tables.filter((name) => GATEWAY_TABLES.has(folded(name)))
  if (own.length === 0 || own.some((name) => connection.figure(`SELECT EXISTS (SELECT 1 FROM ${named(name)})`) === 1)) return true
  if (!tables.includes(NUMBERS)) return false
  const { rows } = connection.run<{ name: string }>(`SELECT name FROM ${MAIN}.${NUMBERS} WHERE seq > 0`)
  return rows.some(({ name }) => GATEWAY_TABLES.has(folded(name)))
}

/** What AUTOINCREMENT counts by; it outlasts the rows. */
const NUMBERS = 'sqlite_sequence'
