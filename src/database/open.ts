import type { Database, Label, OpenOptions } from './database.ts'
import type { DatabaseUrl } from './url/url-types.ts'

/** Connects to the database that the URL names; only its engine’s driver is loaded. Rejects with a `DatabaseError` when it cannot be reached or used. */
export async function openDatabase(options: OpenOptions): Promise<Database> {
  const { url } = options
  switch (url.engine) {
    case 'postgres':
      return (await import('./postgres/postgres-database.ts')).openPostgres({ ...options, url })
    case 'sqlite':
      return (await import('./sqlite/sqlite-database.ts')).openSqlite({ ...options, url })
  }
}

/** The label of a database, known from its URL alone: it need not be open. */
export async function labelOf(url: DatabaseUrl): Promise<Label> {
  switch (url.engine) {
    case 'postgres':
      return (await import('./postgres/connection/server-names.ts')).postgresLabel(url)
    case 'sqlite':
      return (await import('./sqlite/connection/database-file.ts')).sqliteLabel(url.file)
  }
}
