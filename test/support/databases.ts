import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import type { PostgresMajor } from './postgres-server.ts'

export { POSTGRES_MAJORS, type PostgresMajor } from './postgres-server.ts'

export interface FreshPostgres extends AsyncDisposable {
  /** Of the superuser, in the new database. */
  readonly url: string
  readonly name: string
  /** Connected to the new database as superuser. */
  readonly admin: Client
  drop(): Promise<void>
}

/** Makes a database what a test begins with. */
export type Maker = (url: string) => Promise<void>

/** A new, empty database on the test server of this major version, in UTF-8 or in this encoding. */
export function freshPostgres(major: PostgresMajor, encoding?: string): Promise<FreshPostgres> {
  return newPostgres(major, `template0${encodedIn(encoding)}`)
}

/** The database that all copies come from; it lives as long as the server. */
const ORIGINAL = 'original_of_copies'
/** Any number that no other advisory lock of the tests has. */
const ORIGINAL_LOCK = 20_261_129
const madeOn = new Set<PostgresMajor>()

/** A copy of a database that `make` has made, by the first of all processes that asks for one: copying takes a tenth of the time. */
export async function copiedPostgres(major: PostgresMajor, make: Maker): Promise<FreshPostgres> {
  if (!madeOn.has(major)) {
    const client = new Client({ connectionString: serverUrl(major) })
    await client.connect()
    try {
      await client.query('SELECT pg_advisory_lock($1)', [ORIGINAL_LOCK])
      const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [ORIGINAL])
      if (rowCount === 0) {
        const first = await freshPostgres(major)
        await make(first.url)
        await first.admin.end()
        await client.query(`ALTER DATABASE ${first.name} RENAME TO ${ORIGINAL}`)
      }
      madeOn.add(major)
    } finally {
      await client.end()
    }
  }
  return newPostgres(major, ORIGINAL)
}

async function newPostgres(major: PostgresMajor, template: string): Promise<FreshPostgres> {
  const server = serverUrl(major)
  const name = `test_${randomBytes(6).toString('hex')}`
  // The way that is quicker with fsync off; before 15 it is the only one, and has no name.
  await onServer(server, `CREATE DATABASE ${name} TEMPLATE ${template}${major < 15 ? '' : ' STRATEGY file_copy'}`)
  const url = Object.assign(new URL(server), { pathname: `/${name}` }).href
  const admin = new Client({ connectionString: url })
  await admin.connect()
  const drop = async (): Promise<void> => {
    await admin.end()
    await onServer(server, `DROP DATABASE ${name} WITH (FORCE)`)
  }
  return { url, name, admin, drop, [Symbol.asyncDispose]: drop }
}

/** Every encoding goes with the locale C. */
function encodedIn(encoding: string | undefined): string {
  return encoding === undefined ? '' : ` ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`
}

/** Of the superuser, in the database `postgres`. */
export function serverUrl(major: PostgresMajor): string {
  const url = process.env[`TEST_POSTGRES_${major}`]
  if (url === undefined) throw new Error(`no PostgreSQL ${major} to test with: run the tests with "npm test -- FILE"`)
  return url
}

async function onServer(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/** A database that the gateway itself wrote. They do not travel with the project: `undefined` where there is none, and the test is skipped. */
export function gatewayDatabase(file: string): string | undefined {
  const folder = process.env['MCP_TEST_DATABASES'] ?? fileURLToPath(new URL('../../../shared/databases', import.meta.url))
  const path = join(folder, file)
  return existsSync(path) ? path : undefined
}

/** For a test's `skip` option. */
export function withoutGatewayDatabase(file: string): string | false {
  return gatewayDatabase(file) === undefined && `${file} is not here: set MCP_TEST_DATABASES to the folder that has it`
}

/** Runs a `.pg.sql` file of the gateway's databases on a connection of its own; false where the file is absent. */
export async function loadDump(url: string, file: string): Promise<boolean> {
  const path = gatewayDatabase(file)
  if (path === undefined) return false
  await onServer(url, await readFile(path, 'utf8'))
  return true
}

export interface FreshFile extends AsyncDisposable {
  readonly folder: string
  readonly file: string
}

/** The path of a SQLite file that does not exist yet, in a new folder that goes when it is disposed of. */
export async function freshSqliteFile(name = 'gateway.db'): Promise<FreshFile> {
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-sqlite-'))
  return { folder, file: join(folder, name), [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}

/** A copy of one of the gateway's SQLite files; `undefined` where it is absent. */
export async function copyOf(file: string): Promise<FreshFile | undefined> {
  const path = gatewayDatabase(file)
  if (path === undefined) return undefined
  const fresh = await freshSqliteFile()
  await writableCopy(path, fresh.file)
  return fresh
}

/** The gateway's files may be read-only, and a copy keeps that. */
export async function writableCopy(from: string, to: string): Promise<void> {
  await copyFile(from, to)
  await chmod(to, 0o600)
}
