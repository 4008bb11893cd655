import { readFile, writeFile } from 'node:fs/promises'
import BetterSqlite3 from 'better-sqlite3'
import { Client, types } from 'pg'
import {
  copiedPostgres,
  freshPostgres,
  freshSqliteFile,
  gatewayDatabase,
  loadDump,
  POSTGRES_MAJORS,
  writableCopy,
  type FreshPostgres,
  type Maker,
} from './databases.ts'

/** One database of a test, whatever its engine, seen from outside the program. */
export interface TestDatabase extends AsyncDisposable {
  /** As `DATABASE_URL` takes it. */
  readonly url: string
  /** Runs one statement; `$1`, `$2` are bound. Integers come back as numbers. */
  sql<Row = Record<string, unknown>>(text: string, values?: readonly (string | number | null)[]): Promise<Row[]>
}

export interface TestEngine {
  readonly name: string
  fresh(): Promise<TestDatabase>
  /** A copy of a database that `make` has made once; it has to be the same in every test. */
  copied(make: Maker): Promise<TestDatabase>
  /** `text` as an expression for a moment this many seconds from now, as the gateway writes it. */
  moment(secondsFromNow: number): string
  /** The same for a number of seconds that is an expression in SQL. */
  momentOf(seconds: string): string
}

/** The bytes of the file that all copies come from. */
let original: Promise<Buffer> | undefined

async function fileMadeBy(make: Maker): Promise<Buffer> {
  await using database = await sqliteDatabase()
  await make(database.url)
  return await readFile(database.file)
}

/** SQLite, and PostgreSQL in each major version: what holds for all is written once and run on each. */
export const ENGINES: readonly TestEngine[] = [
  {
    name: 'sqlite',
    fresh: () => sqliteDatabase(),
    copied: async (make) => {
      const database = await sqliteDatabase()
      original ??= fileMadeBy(make)
      await writeFile(database.file, await original)
      return database
    },
    moment: (seconds) => `(strftime('%Y-%m-%d %H:%M:%S', 'now', '${seconds} seconds') || '.000001')`,
    momentOf: (seconds) => `(strftime('%Y-%m-%d %H:%M:%S', 'now', (${seconds}) || ' seconds') || '.000001')`,
  },
  ...POSTGRES_MAJORS.map((major): TestEngine => ({
    name: `postgres ${major}`,
    fresh: () => postgresDatabase(major),
    copied: async (make) => seenFromOutside(await copiedPostgres(major, make)),
    moment: (seconds) => `(now() AT TIME ZONE 'UTC' + interval '${seconds} seconds')`,
    momentOf: (seconds) => `(now() AT TIME ZONE 'UTC' + make_interval(secs => ${seconds}))`,
  })),
]

/** SQLite and the newest PostgreSQL: for what is the program's own business, and asks nothing of the server that its versions do differently. */
export const BOTH_ENGINES: readonly TestEngine[] = [ENGINES[0]!, ENGINES.at(-1)!]

/** A new SQLite file, or a copy of one of the gateway's. */
export async function sqliteDatabase(copied?: string): Promise<TestDatabase & { readonly file: string; readonly folder: string }> {
  const fresh = await freshSqliteFile()
  const path = copied === undefined ? undefined : gatewayDatabase(copied)
  if (path !== undefined) await writableCopy(path, fresh.file)
  return {
    url: `sqlite:///${fresh.file}`,
    file: fresh.file,
    folder: fresh.folder,
    sql: <Row>(text: string, values: readonly (string | number | null)[] = []) => {
      const database = new BetterSqlite3(fresh.file)
      try {
        const statement = database.prepare(text)
        const bound = Object.fromEntries(values.map((value, at) => [at + 1, value]))
        const rows = statement.reader ? statement.all(bound) : (statement.run(bound), [])
        return Promise.resolve(rows as Row[])
      } finally {
        database.close()
      }
    },
    [Symbol.asyncDispose]: () => fresh[Symbol.asyncDispose](),
  }
}

/** On PostgreSQL in another encoding than UTF-8. */
export function encodedEngines(encoding: string): readonly TestEngine[] {
  return POSTGRES_MAJORS.map((major, index) => {
    const fresh = (): Promise<TestDatabase> => postgresDatabase(major, undefined, encoding)
    const copied = async (make: Maker): Promise<TestDatabase> => {
      const database = await fresh()
      await make(database.url)
      return database
    }
    return { ...ENGINES[index + 1]!, fresh, copied }
  })
}

/** A new PostgreSQL database, or one loaded from a dump of the gateway's. */
export async function postgresDatabase(major: (typeof POSTGRES_MAJORS)[number], dump?: string, encoding?: string): Promise<TestDatabase> {
  const fresh = await freshPostgres(major, encoding)
  if (dump !== undefined) await loadDump(fresh.url, dump)
  return seenFromOutside(fresh)
}

async function seenFromOutside(fresh: FreshPostgres): Promise<TestDatabase> {
  const client = new Client({ connectionString: fresh.url, types: { getTypeParser: integersAsNumbers } })
  client.on('error', () => {})
  await client.connect()
  return {
    url: fresh.url,
    sql: async <Row>(text: string, values: readonly (string | number | null)[] = []) =>
      (await client.query(text, [...values])).rows as Row[],
    async [Symbol.asyncDispose]() {
      await client.end()
      await fresh.drop()
    },
  }
}

const integersAsNumbers: typeof types.getTypeParser = (...asked: Parameters<typeof types.getTypeParser>) =>
  asked[0] === types.builtins.INT8 ? Number : types.getTypeParser(...asked)
