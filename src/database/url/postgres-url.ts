import { isIPv6 } from 'node:net'
import type { MaintenanceError } from '../../errors.ts'
import { completed, type Variables } from './connection-parameters.ts'
import { firstSchema, searchPathOf } from './search-path.ts'
import { decoded, readQuery, refused, type Dialect } from './url-query.ts'
import type { Parameters, PostgresUrl } from './url-types.ts'

/** Reads what follows `://`. Its errors hold no text of the URL. */
export function parsePostgresUrl(dialect: Dialect, rest: string, variables: Variables): PostgresUrl {
  const login = dialect === 'jdbc' ? undefined : loginOf(rest)
  const [beforeQuery, query] = split(login === undefined ? rest : rest.slice(login.length + 1), '?')
  const [authority, path] = split(beforeQuery, '/')
  // With a stray @ or #, the end of the password is uncertain.
  if (path.includes('/') || /[@#]/.test(beforeQuery) || (dialect !== 'jdbc' && /[@#]/.test(query))) throw credentials(dialect)
  if (dialect === 'jdbc' && query.split(/(?:^|&)(?:user|password)=/)[0]!.includes('@')) throw credentials(dialect)

  const [user, password] = split(login ?? '', ':')
  const asked = readQuery(dialect, query)
  const given = withoutAbsent({
    dbname: part(path),
    user: part(user),
    password: part(password),
    ...authorityOf(authority),
    ...asked.given,
    ...(dialect === 'sqlalchemy' && asked.given.host !== undefined ? hostsOfSqlAlchemy(asked.given) : {}),
  })
  const complete = completed(given, asked.others, variables)
  const schema = firstSchema(asked.path ?? searchPathOf(complete.options ?? '') ?? '')
  return {
    engine: 'postgres',
    given,
    ...complete,
    ...(schema === undefined ? {} : { schema }),
    ...(asked.schema === undefined ? {} : { namedSchema: asked.schema }),
    notes: [...asked.notes, ...complete.notes],
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

/** Shown as `***`: `options` may set anything, including a secret of the gateway. */
const SECRET: ReadonlySet<string> = new Set(['password', 'sslpassword', 'options'])
const BEFORE_QUERY: ReadonlySet<string> = new Set(['user', 'password', 'dbname'])

/** The URL without its secrets and without what was ignored, for people. */
export function displayPostgresUrl({ given }: PostgresUrl): string {
  const { user, password, dbname, host = '', port = '', ...rest } = given
  const login = user === undefined && password === undefined ? '' : `${encode(user)}${password === undefined ? '' : ':***'}@`
  const hosts = host.split(',')
  const ports = port === '' ? hosts.map(() => '') : port.split(',')
  // Beside their hosts stand only ports of which there are as many.
  const inQuery = hosts.some((each) => each.startsWith('/')) || ports.length !== hosts.length || (host === '' && port !== '')
  const shownHosts = inQuery ? '' : hosts.map((each, at) => `${bracketed(each)}${ports[at] === '' ? '' : `:${ports[at]}`}`).join(',')
  const query = Object.entries({ ...(inQuery ? { host, port } : {}), ...rest }).flatMap(([name, value]) => {
    if (BEFORE_QUERY.has(name) || value === '' || (name === 'sslmode' && value === 'prefer')) return []
    return `${name}=${SECRET.has(name) ? '***' : encode(value, '/,')}`
  })
  return `postgresql://${login}${shownHosts}/${encode(dbname)}${query.length === 0 ? '' : `?${query.join('&')}`}`
}

function bracketed(host: string): string {
  return isIPv6(host.split('%')[0]!) ? `[${encode(host, ':')}]` : encode(host)
}

/** `h1:5432,h2`: as libpq, lists of hosts and of ports that belong together. */
function authorityOf(text: string): Pick<Parameters, 'host' | 'port'> {
  const pieces = text.split(',').map((piece) => {
    const [, bracketedHost, plainHost, digits = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/.exec(piece) ?? []
    if (bracketedHost === undefined && plainHost === undefined)
      throw refused(
        `the host and port of the database URL cannot be read: the port must be a number, an IPv6 address must be in brackets, and ${ENCODED}; ${EXPECTED}`,
      )
    const host = part(bracketedHost ?? plainHost ?? '') ?? ''
    if (bracketedHost !== undefined && !isIPv6(host.split('%')[0]!))
      throw refused('the text in brackets in the database URL is not an IPv6 address')
    return { host, port: digits }
  })
  return withoutAbsent({ host: listed(pieces.map(({ host }) => host)), port: listed(pieces.map(({ port }) => port)) })
}

/** `host=HostA:5432&host=HostB:5433`: SQLAlchemy writes ports beside the hosts. */
function hostsOfSqlAlchemy({ host = '', port }: Parameters): Pick<Parameters, 'host' | 'port'> {
  const pieces = host.split(',').map((piece) => /^([\w.-]+):(\d*)$/.exec(piece) ?? [piece, piece, ''])
  const ports = pieces.map(([, , each]) => each!)
  if (ports.every((each) => each === '')) return {}
  if (port !== undefined) throw refused('the database URL gives ports beside its hosts and in port; keep one of them')
  return { host: pieces.map(([, each]) => each!).join(','), port: ports.join(',') }
}

/** As libpq: `undefined` for one that is empty, but a list of which every piece is. */
function listed(pieces: readonly string[]): string | undefined {
  const text = pieces.join(',')
  return text === '' ? undefined : text
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

function withoutAbsent<T extends object>(parts: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is absent was taken out
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]: Exclude<T[Name], undefined>
  }
}

function split(text: string, separator: string): readonly [before: string, after: string] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)]
}

function encode(text: string | undefined, kept = ''): string {
  const encoded = encodeURIComponent(text?.toWellFormed() ?? '')
  return kept.split('').reduce((all, each) => all.replaceAll(encodeURIComponent(each), each), encoded)
}
