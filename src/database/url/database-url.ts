import type { Variables } from './connection-parameters.ts'
import { displayPostgresUrl, parsePostgresUrl } from './postgres-url.ts'
import { refused } from './url-query.ts'
import type { DatabaseUrl, SqliteUrl } from './url-types.ts'

/**
 * Reads a URL in the forms of libpq, SQLAlchemy and JDBC; for PostgreSQL, libpq's variables count where the URL is silent. Throws `CONFIG_INVALID`. Its messages
 * never contain any part of the URL except the scheme, because in a URL that cannot be parsed any part may be the password.
 */
export function parseDatabaseUrl(text: string, variables: Variables = {}): DatabaseUrl {
  const problem = unreadable(text)
  if (problem !== undefined) throw refused(problem)
  const jdbc = /^jdbc:postgresql:\/\/(.*)$/is.exec(text)
  if (jdbc !== null) return parsePostgresUrl('jdbc', jdbc[1]!, variables)
  const [, scheme, driver, rest] = /^(sqlite|postgres|postgresql)(\+\w+)?:\/\/(.*)$/is.exec(text) ?? []
  if (scheme === undefined || rest === undefined) throw refused(`${hint(text)}; ${EXPECTED}`)
  if (scheme.toLowerCase() === 'sqlite') return parseSqliteUrl(driver, rest)
  return parsePostgresUrl(driver === undefined ? 'libpq' : 'sqlalchemy', rest, variables)
}

/** The URL without its secrets, for people. */
export function displayUrl(url: DatabaseUrl): string {
  return url.engine === 'sqlite' ? `sqlite:///${url.file}` : displayPostgresUrl(url)
}

const EXPECTED = 'expected sqlite:///FILE, sqlite:////ABSOLUTE/FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE'

function unreadable(text: string): string | undefined {
  if (text === '') return `the database URL is empty; ${EXPECTED}`
  if (/^(["']).*\1$/s.test(text)) return 'the value of the database URL includes quotation marks; remove them'
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(text)) return 'the database URL holds a line break or another control character; remove it'
  if (text !== text.trim()) return 'the database URL begins or ends with a space; remove it'
  return undefined
}

const OTHER_DATABASES = ['mysql', 'mariadb', 'mssql', 'sqlserver', 'oracle', 'mongodb', 'redis', 'cockroachdb', 'duckdb', 'libsql', 'h2']

/** Why a text that names neither engine in a known form is refused. */
function hint(text: string): string {
  const other = OTHER_DATABASES.find((name) => new RegExp(`^(?:jdbc:)?${name}(?:[+:])`, 'i').test(text))
  if (other !== undefined) return `${other} is not supported: the database is SQLite or PostgreSQL`
  if (text === ':memory:') return 'a database in memory ends with the process, so there is nothing to maintain'
  if (/^file:/i.test(text)) return 'a file: URI is not supported; write the path after sqlite:///'
  if (/^jdbc:sqlite:/i.test(text)) return 'a jdbc:sqlite: URL is not supported; write the path after sqlite:///'
  if (/^jdbc:postgresql:/i.test(text)) return 'the jdbc form is jdbc:postgresql://HOST:PORT/DATABASE?user=…&password=…'
  if (/^sqlite(?:\+\w+)?:/i.test(text)) return 'slashes are missing after sqlite: (three for a relative path, four for an absolute one)'
  if (/^\w+=/.test(text)) return 'a keyword connection string is not supported'
  if (/^[^:]*\.(?:db|sqlite3?)$/i.test(text)) return 'a bare path is not supported'
  return 'this is not a database URL'
}

const SQLITE_DRIVERS: ReadonlySet<string | undefined> = new Set([undefined, '+pysqlite', '+aiosqlite'])

/** SQLAlchemy's rules: the path is what follows the third slash, up to a question mark. Percent signs are not decoded. */
function parseSqliteUrl(driver: string | undefined, rest: string): SqliteUrl {
  if (!SQLITE_DRIVERS.has(driver?.toLowerCase())) throw refused(`this SQLite driver is not supported; ${EXPECTED}`)
  const [path = '', ...query] = rest.split('?')
  if (path === '' || path === '/' || path === '/:memory:')
    throw refused(`this names a database in memory, which ends with the process, so there is nothing to maintain; ${EXPECTED}`)
  if (!path.startsWith('/'))
    throw refused(`slashes are missing after sqlite: (three for a relative path, four for an absolute one); ${EXPECTED}`)
  const file = path.slice(1)
  if (/^file:/i.test(file)) throw refused(`a file: URI is not supported; write the path itself after sqlite:///; ${EXPECTED}`)
  if (file.endsWith('/')) throw refused(`the database URL names a folder, not a file; ${EXPECTED}`)
  const notes = query.length > 0 ? ['the query string of the database URL is ignored'] : []
  if (/%[0-9a-f]{2}/i.test(file)) notes.push('percent signs in the SQLite path are taken literally, not decoded')
  return { engine: 'sqlite', file, notes }
}
