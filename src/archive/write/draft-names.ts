import type { Database } from '../../database/database.ts'
import { LEDGER } from '../../migrations/ledger.ts'
import { sha256 } from '../format.ts'

const FORM = /^(?:[0-9a-f]{12}-)?$/

/**
 * How the names of this database's unfinished files begin. It is derived from the first migration's time, which stays when the database
 * moves to another host or gets another name, and which two databases do not share even if both are `/data/gateway.db` to their workers.
 */
export async function draftsOf(database: Database): Promise<string> {
  return `${sha256(JSON.stringify((await firstMigrationOf(database)) ?? database.label)).slice(0, 12)}-`
}

/** `undefined`: migrations are applied by hand, and none is recorded. */
async function firstMigrationOf(database: Database): Promise<object | undefined> {
  if (!(await database.tablesAmong([LEDGER])).has(LEDGER)) return undefined
  const { rows } = await database.query<object>(`SELECT applied_at, duration_ms FROM ${database.named(LEDGER)} ORDER BY version LIMIT 1`)
  return rows[0]
}

/** `''`: an earlier version left the files pending. */
export function isDrafts(value: unknown): value is string {
  return typeof value === 'string' && FORM.test(value)
}
