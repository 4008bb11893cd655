import type { Database, Label, OpenOptions } from './database.ts'
import type { DatabaseUrl } from './url.ts'

/** Connects to the database that the URL names; only its engine’s driver is loaded. Rejects with a `DatabaseError` when it cannot be reached or used. */
export async function openDatabase(options: OpenOptions): Promise<Database> {
  const { url } = options
  switch (url.engine) {
    case 'postgres':
      return (await import('./postgres/open.ts')).openPostgres({ ...options, url })
    case 'sqlite':
      return (await import('./sqlite/open.ts')).openSqlite({ ...options, url })
  }
}

/** How a database is called that could not be opened. */
export async function labelOf(url: DatabaseUrl): Promise<Label> {
  switch (url.engine) {
    case 'postgres':
      return (await import('./postgres/connect.ts')).postgresLabel(url)
    case 'sqlite':
      return (await import('./sqlite/file.ts')).sqliteLabel(url.file)
  }
}
