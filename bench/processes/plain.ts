import BetterSqlite3 from 'better-sqlite3'
import { Client } from 'pg'

/** A plain driver, for the statements that a person would write. `?` is bound. */
export interface Plain {
  run(sql: string, values: readonly (string | number | null)[]): Promise<number>
  /** The first column of every row. */
  column(sql: string, values: readonly (string | number | null)[]): Promise<(string | number)[]>
  close(): Promise<void>
}

export async function openPlain(url: string): Promise<Plain> {
  return url.startsWith(SQLITE) ? plainSqlite(url.slice(SQLITE.length)) : await plainPostgres(url)
}

const SQLITE = 'sqlite:///'

function plainSqlite(file: string): Plain {
  const database = new BetterSqlite3(file, { fileMustExist: true })
  const statements = new Map<string, BetterSqlite3.Statement>()
  const prepared = (sql: string): BetterSqlite3.Statement => {
    const statement = statements.get(sql) ?? database.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  return {
    run: async (sql, values) => prepared(sql).run(...values).changes,
    async column(sql, values) {
      const column: unknown[] = prepared(sql)
        .pluck()
        .all(...values)
      return column.filter((value) => typeof value === 'string' || typeof value === 'number')
    },
    close: async () => void database.close(),
  }
}

async function plainPostgres(url: string): Promise<Plain> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return {
    run: async (sql, values) => (await client.query(numbered(sql), [...values])).rowCount ?? 0,
    column: async (sql, values) => (await client.query({ text: numbered(sql), values: [...values], rowMode: 'array' })).rows.flat(),
    close: () => client.end(),
  }
}

/** The statement with PostgreSQL's form of `?`. */
function numbered(sql: string): string {
  let n = 0
  return sql.replaceAll('?', () => `$${(n += 1)}`)
}
