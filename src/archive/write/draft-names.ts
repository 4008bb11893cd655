import type { Database } from '../../database/database.ts'
import { LEDGER } from '../../migrations/ledger.ts'
import { sha256 } from '../format.ts'

const FORM = /^(?:[0-9a-f]{12}-)?$/

/**
 * How the names of this database's unfinished files begin: by when it was first migrated, which stays when it moves to another host or gets another
 * name, and which two databases do not share even where both are `/data/gateway.db` to their workers.
 */
export async function draftsOf(database: Database): Promise<string> {
  return `${sha256(JSON.stringify((await firstMigrationOf(database)) ?? database.label)).slice(0, 12)}-`
}

/** Where the migrations are applied by hand there is none on record. */
async function firstMigrationOf(database: Database): Promise<object | undefined> {
  if (!(await database.tablesAmong([LEDGER])).has(LEDGER)) return undefined
  const { rows } = await database.query<object>(`SELECT applied_at, duration_ms FROM ${database.named(LEDGER)} ORDER BY version LIMIT 1`)
  return rows[0]
}

/** `''`: files that an earlier version left pending. */
export function isDrafts(value: unknown): value is string {
  return typeof value === 'string' && FORM.test(value)
}
