import { MADE_BY_GATEWAY } from '../../gateway-tables.ts'
import { BUILT_IN, folded, MAIN, named } from '../names.ts'
import type { Connection } from './connection.ts'

/** Whether one of the gateway's tables has a row, or has ever had a numbered one. Without any of its tables that is unknown, and the answer is true. */
export function gatewayHasWritten(connection: Connection): boolean {
  const tables = namesOf(connection, "'table'")
  const own = tables.filter((name) => MADE_BY_GATEWAY.includes(folded(name)))
  if (own.length === 0 || own.some((name) => connection.figure(`SELECT EXISTS (SELECT 1 FROM ${named(name)})`) === 1)) return true
  if (!tables.includes(NUMBERS)) return false
  const { rows } = connection.run<{ name: string }>(`SELECT name FROM ${MAIN}.${NUMBERS} WHERE seq > 0`)
  return rows.some(({ name }) => MADE_BY_GATEWAY.includes(folded(name)))
}

/** The tables of a file that seems to be another program's: it has tables, but none with a name of the gateway's. */
export function foreignTables(connection: Connection): readonly string[] {
  const tables = namesOf(connection, "'table', 'virtual'").filter((name) => !folded(name).startsWith('sqlite_'))
  return tables.some((name) => MADE_BY_GATEWAY.includes(folded(name))) ? [] : tables
}

function namesOf(connection: Connection, types: string): readonly string[] {
  const sql = `SELECT name FROM ${BUILT_IN.tables} WHERE schema = '${MAIN}' AND type IN (${types}) ORDER BY name`
  return connection.run<{ name: string }>(sql).rows.map(({ name }) => name)
}

/** AUTOINCREMENT keeps its counters here; they outlast the rows. */
const NUMBERS = 'sqlite_sequence'
