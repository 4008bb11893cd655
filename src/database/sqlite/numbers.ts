import type { Connection } from './connection/connection.ts'
import { MAIN } from './names.ts'

/** AUTOINCREMENT gives numbers above both the table's greatest and this one. A damaged entry that is not a number counts as 0. */
export function raiseNumbers(connection: Connection, table: string, above: number): void {
  const known = `${MAIN}.sqlite_sequence WHERE name = $1 COLLATE NOCASE`
  connection.run(`INSERT INTO ${MAIN}.sqlite_sequence (name, seq) SELECT $1, 0 WHERE NOT EXISTS (SELECT 1 FROM ${known})`, [table])
  connection.run(`UPDATE ${MAIN}.sqlite_sequence SET seq = max(CAST(seq AS INTEGER), $2) WHERE name = $1 COLLATE NOCASE`, [table, above])
}
