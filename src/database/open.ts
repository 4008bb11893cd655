import type { Database, OpenOptions } from './database.ts'
import { openPostgres } from './postgres/open.ts'
import { openSqlite } from './sqlite/open.ts'

/** Connects to the database that the URL names. Rejects with a `DatabaseError` when it cannot be reached or used. */
export function openDatabase(options: OpenOptions): Promise<Database> {
  const { url } = options
  switch (url.engine) {
    case 'postgres':
      return openPostgres({ ...options, url })
    case 'sqlite':
      return openSqlite({ ...options, url })
  }
}
