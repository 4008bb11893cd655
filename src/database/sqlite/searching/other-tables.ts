import type { SqliteSession } from '../connection/session.ts'
import { folded, MAIN } from '../names.ts'

/** By the file's own list of them: nothing is read from them. */
export async function otherTables(session: SqliteSession, known: readonly string[]): Promise<readonly string[]> {
  const { rows } = await session.query<{ name: string }>(
    `SELECT name FROM ${MAIN}.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'maintenance\\_%' ESCAPE '\\' ORDER BY name`,
  )
  const names = new Set(known.map(folded))
  return rows.flatMap(({ name }) => (names.has(folded(name)) ? [] : [name]))
}
