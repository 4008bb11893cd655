import { isIPv6 } from 'node:net'
import type { MaintenanceError } from '../../errors.ts'
import { firstSchema, searchPathOf } from './search-path.ts'
import { decoded, readQuery, refused, type Dialect } from './url-query.ts'
import type { PostgresUrl } from './url-types.ts'

/** Reads what follows `://`. Its errors hold no text of the URL. */
export function parsePostgresUrl(dialect: Dialect, rest: string): PostgresUrl {
  const login = dialect === 'jdbc' ? undefined : loginOf(rest)
  const [beforeQuery, query] = split(login === undefined ? rest : rest.slice(login.length + 1), '?')
  const [authority, path] = split(beforeQuery, '/')
  // With a stray @ or #, the end of the password is uncertain.
  if (path.includes('/') || /[@#]/.test(beforeQuery) || (dialect !== 'jdbc' && /[@#]/.test(query))) throw credentials(dialect)
  if (dialect === 'jdbc' && query.split(/(?:^|&)(?:user|password)=/)[0]!.includes('@')) throw credentials(dialect)

  const [user, password] = split(login ?? '', ':')
  const { named, notes } = readQuery(dialect, query)
  const schema = firstSchema(named.path ?? searchPathOf(named.options ?? '') ?? '')
  return {
    engine: 'postgres',
    ...place(authority, named.host, named.port),
    database: named.database ?? part(path),
    user: named.user ?? part(user),
    password: named.password ?? part(password),
    sslmode: named.sslmode,
    sslrootcert: named.sslrootcert,
    applicationName: named.applicationName,
    options: named.options,
    ...(schema === undefined ? {} : { schema }),
    ...(named.schema === undefined ? {} : { namedSchema: named.schema }),
    notes,
  }
}

/**
 * The part before the first @, if libpq and SQLAlchemy agree on it: it has no slash, and a ? or # only in the password, where people often leave them
 * unencoded.
 */
function loginOf(rest: string): string | undefined {
  const login = /^([^@/]*)@/.exec(rest)?.[1]
  return login === undefined || /^[^:]*[?#]/.test(login) ? undefined : login
}

/** The URL without its password and the values of `options`, for people. */
export function displayPostgresUrl(url: PostgresUrl): string {
  const { host, port, user, password, database } = url
  const folder = host?.startsWith('/') === true
  const login = user === undefined && password === undefined ? '' : `${encode(user)}${password === undefined ? '' : ':***'}@`
  const shownHost = host === undefined || folder ? '' : isIPv6(host.split('%')[0]!) ? `[${encode(host, ':')}]` : encode(host)
  const query = Object.entries({
    host: folder ? host : undefined,
    port: folder ? port : undefined,
    sslmode: url.sslmode === 'prefer' ? undefined : url.sslmode,
    sslrootcert: url.sslrootcert,
    application_name: url.applicationName,
  }).flatMap(([name, value]) => (value === undefined ? [] : `${name}=${encode(String(value), '/')}`))
  // It may set anything, including a secret of the gateway.
  if (url.options !== undefined) query.push('options=***')
  const shownPort = port === undefined || folder ? '' : `:${port}`
  return `postgresql://${login}${shownHost}${shownPort}/${encode(database)}${query.length === 0 ? '' : `?${query.join('&')}`}`
}

function place(text: string, queryHost: string | undefined, queryPort: string | undefined): Pick<PostgresUrl, 'host' | 'port'> {
  if (`${text}${queryHost ?? ''}${queryPort ?? ''}`.includes(','))
    throw refused('the database URL names several hosts; name one, the primary')
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/.exec(text) ?? []
  if (bracketed === undefined && plain === undefined)
    throw refused(
      `the host and port of the database URL cannot be read: the port must be a number, an IPv6 address must be in brackets, and ${ENCODED}; ${EXPECTED}`,
    )
  if (queryPort !== undefined && !/^\d+$/.test(queryPort)) throw refused('the port of the database URL is not a number')
  const host = queryHost ?? part(bracketed ?? plain ?? '')
  const port = queryPort ?? digits ?? ''
  if (bracketed !== undefined && queryHost === undefined && !isIPv6(host?.split('%')[0] ?? ''))
    throw refused('the text in brackets in the database URL is not an IPv6 address')
  if (host !== undefined && !host.startsWith('/') && !isIPv6(host.split('%')[0]!) && /[\s@:/,]/.test(host))
    throw refused(`the host of the database URL cannot be read; ${EXPECTED}`)
  if (port !== '' && (Number(port) < 1 || Number(port) > 65_535)) throw refused('the port of the database URL is not within 1 to 65535')
  return { host, port: port === '' ? undefined : Number(port) }
}

const ENCODED = '@ : / % in a user name, password or database name must be percent-encoded (%40 %3A %2F %25)'
const EXPECTED = 'expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE'

function credentials(dialect: Dialect): MaintenanceError {
  if (dialect === 'jdbc')
    return refused('the database URL cannot be parsed; expected jdbc:postgresql://HOST:PORT/DATABASE?user=USER&password=PASSWORD')
  return refused(`the database URL cannot be parsed: ${ENCODED}; ${EXPECTED}`)
}

function part(text: string): string | undefined {
  return text === '' ? undefined : decoded(text)
}

function split(text: string, separator: string): readonly [before: string, after: string] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)]
}

function encode(text: string | undefined, kept = ''): string {
  const encoded = encodeURIComponent(text?.toWellFormed() ?? '')
  return kept === '' ? encoded : encoded.replaceAll(encodeURIComponent(kept), kept)
}
