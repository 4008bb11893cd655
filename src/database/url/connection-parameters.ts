import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { isIP, isIPv6 } from 'node:net'
import { MaintenanceError } from '../../errors.ts'
import { DAY, SECOND } from '../../time/clock.ts'
import { isImplemented, LIBPQ_PARAMETERS, unsupported, type Keyword, type Parameter } from './libpq-parameters.ts'
import { refused } from './url-query.ts'
import {
  METHODS,
  SSL_MODES,
  TLS_VERSIONS,
  type Authentication,
  type Method,
  type Parameters,
  type PostgresUrl,
  type Server,
  type TlsFile,
  type TlsParameters,
} from './url-types.ts'

/** The environment. An empty variable counts as not set. */
export type Variables = Readonly<Record<string, string | undefined>>

type Completed = Omit<PostgresUrl, 'engine' | 'given' | 'schema' | 'namedSchema'>

/** Where each parameter comes from, for messages. */
type Source = (keyword: Keyword) => string

/**
 * Takes what the URL does not give from libpq's variables, and then libpq's defaults, and reads the texts. Throws `CONFIG_INVALID` with every problem of the
 * variables, or the first one of a value; no message holds a value.
 */
export function completed(given: Parameters, others: ReadonlySet<Parameter>, variables: Variables): Completed {
  const environment = fromVariables(given, others, variables)
  const all: Parameters = { ...environment.given, ...withMode(given) }
  const source: Source = (keyword) =>
    given[keyword] === undefined && environment.given[keyword] !== undefined ? variableOf(keyword) : `${keyword} in the database URL`
  const home = variables['HOME'] || homedir()
  const user = all.user ?? systemUser()
  if (user === undefined)
    throw refused(
      'the database URL names no user, PGUSER is not set, and the operating system has no name for the user that runs this program',
    )
  return {
    variables: LIBPQ_PARAMETERS.flatMap(({ keyword, variable }) =>
      variable !== undefined && Object.hasOwn(environment.given, keyword ?? '') ? [variable] : [],
    ),
    servers: serversOf(all, source),
    shuffled: oneOf(['disable', 'random'], all.load_balance_hosts ?? 'disable', source('load_balance_hosts')) === 'random',
    target: targetOf(all, source),
    database: all.dbname ?? user,
    user,
    password: all.password,
    passwordFile: { path: all.passfile ?? join(home, '.pgpass'), named: all.passfile !== undefined },
    authentication: authenticationOf(all, source),
    tls: tlsOf(all, source, home),
    attemptMs: attemptOf(all, source),
    applicationName: all.application_name ?? all.fallback_application_name,
    options: all.options,
    notes: environment.notes,
  }
}

/** libpq reads the old form in a URL as the new one, so that it counts before PGSSLMODE. */
function withMode(given: Parameters): Parameters {
  if (given.requiressl === undefined) return given
  if (given.sslmode !== undefined) throw refused('the database URL gives both requiressl and sslmode; keep sslmode')
  return { ...given, sslmode: given.requiressl.startsWith('1') ? 'require' : 'prefer' }
}

interface FromVariables {
  readonly given: Parameters
  readonly notes: readonly string[]
}

/** Variables that merely begin with PG are nobody's business. */
function fromVariables(url: Parameters, others: ReadonlySet<Parameter>, variables: Variables): FromVariables {
  const given: Partial<Record<Keyword, string>> = {}
  const notes: string[] = []
  const problems: string[] = []
  for (const parameter of LIBPQ_PARAMETERS) {
    const { variable } = parameter
    const value = variable === undefined ? '' : (variables[variable] ?? '')
    if (value === '' || others.has(parameter)) continue
    if (isImplemented(parameter)) {
      if (url[parameter.keyword] === undefined) given[parameter.keyword] = value
      continue
    }
    const problem = unsupported(parameter, value)
    if (problem?.refused === true) problems.push(`${variable} ${problem.text}`)
    else if (problem !== undefined) notes.push(`${variable} ${problem.text}`)
  }
  if (problems.length > 0) throw new MaintenanceError('CONFIG_INVALID', problems)
  return { given, notes }
}

function variableOf(keyword: Keyword): string {
  return LIBPQ_PARAMETERS.find((each) => each.keyword === keyword)?.variable ?? keyword
}

function systemUser(): string | undefined {
  try {
    return userInfo().username
  } catch {
    // A container's user often has no name.
    return undefined
  }
}

const DEFAULT_HOST = 'localhost'
const DEFAULT_PORT = 5432

/** By libpq's rules: as many ports and addresses as hosts, or one port for all. */
function serversOf({ host, hostaddr, port }: Parameters, source: Source): readonly Server[] {
  const hosts = host?.split(',') ?? []
  const addresses = hostaddr?.split(',') ?? []
  const ports = port?.split(',') ?? []
  const count = Math.max(hosts.length, addresses.length, 1)
  if (hosts.length > 0 && addresses.length > 0 && hosts.length !== addresses.length)
    throw refused(`${source('hostaddr')}: there are ${addresses.length} addresses for ${hosts.length} hosts`)
  if (ports.length > 1 && ports.length !== count) throw refused(`${source('port')}: there are ${ports.length} ports for ${count} hosts`)
  return Array.from({ length: count }, (_, at) => {
    const address = addresses[at] || undefined
    if (address !== undefined && isIP(address.split('%')[0]!) === 0) throw refused(`${source('hostaddr')} is not an address`)
    return {
      host: hostOf(hosts[at] || address || DEFAULT_HOST, source),
      address,
      port: portOf((ports.length > 1 ? ports[at] : ports[0]) ?? '', source),
    }
  })
}

function hostOf(host: string, source: Source): string {
  if (!host.startsWith('/') && !isIPv6(host.split('%')[0]!) && /[\s@:/,]/.test(host))
    throw refused(`the host (${source('host')}) cannot be read; expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE`)
  return host
}

function portOf(text: string, source: Source): number {
  if (text === '') return DEFAULT_PORT
  if (!/^\d+$/.test(text)) throw refused(`the port (${source('port')}) is not a number`)
  const port = Number(text)
  if (port < 1 || port > 65_535) throw refused(`the port (${source('port')}) is not within 1 to 65535`)
  return port
}

const STANDBYS: ReadonlySet<string> = new Set(['read-only', 'standby', 'prefer-standby'])

function targetOf({ target_session_attrs: wanted = 'any' }: Parameters, source: Source): PostgresUrl['target'] {
  const place = source('target_session_attrs')
  if (STANDBYS.has(wanted)) throw refused(`${place} asks for a standby, but the worker writes`)
  return oneOf(['any', 'primary', 'read-write'], wanted, place)
}

/** libpq waits at least so long. At most it is a day: a timer with a far longer time would ring at once. */
const LEAST_ATTEMPT_S = 2

function attemptOf({ connect_timeout: text }: Parameters, source: Source): number | undefined {
  if (text === undefined) return undefined
  if (!/^\s*-?\d{1,9}\s*$/.test(text)) throw refused(`${source('connect_timeout')} is not a number of seconds`)
  const seconds = Number(text)
  return seconds <= 0 ? undefined : Math.min(Math.max(seconds, LEAST_ATTEMPT_S) * SECOND, DAY)
}

function authenticationOf({ channel_binding: binding = 'prefer', require_auth: methods }: Parameters, source: Source): Authentication {
  return {
    channelBinding: oneOf(['disable', 'prefer', 'require'], binding, source('channel_binding')),
    methods:
      methods === undefined
        ? undefined
        : methodsOf(
            methods.split(',').map((each) => each.trim()),
            source('require_auth'),
          ),
  }
}

/** A list of what will do, or, each with an exclamation mark, of what will not. */
function methodsOf(listed: readonly string[], place: string): readonly Method[] {
  const excluding = listed.filter((each) => each.startsWith('!'))
  if (excluding.length > 0 && excluding.length < listed.length)
    throw refused(`${place} mixes methods with and without an exclamation mark; keep one kind`)
  const named = listed.map((each) => oneOf(METHODS, each.replace('!', ''), place))
  return excluding.length > 0 ? METHODS.filter((each) => !named.includes(each)) : named
}

function tlsOf(all: Parameters, source: Source, home: string): TlsParameters {
  const file = (parameter: Keyword, name: string): TlsFile => {
    const path = all[parameter]
    return { path: path ?? join(home, '.postgresql', name), named: path !== undefined, parameter }
  }
  const roots = all.sslrootcert === 'system' ? 'system' : file('sslrootcert', 'root.crt')
  const given = all.sslmode ?? (all.requiressl?.startsWith('1') === true ? 'require' : undefined)
  const mode = oneOf(SSL_MODES, given ?? (roots === 'system' ? 'verify-full' : 'prefer'), `the sslmode (${source('sslmode')})`)
  // As in libpq: a certificate of a public authority proves nothing unless the name is checked too.
  if (roots === 'system' && mode !== 'verify-full') throw refused('sslrootcert=system needs sslmode=verify-full')
  const direct = oneOf(['postgres', 'direct'], all.sslnegotiation ?? 'postgres', source('sslnegotiation')) === 'direct'
  if (direct && SSL_MODES.indexOf(mode) < SSL_MODES.indexOf('require'))
    throw refused('sslnegotiation=direct needs sslmode=require, verify-ca or verify-full')
  const certMode = all.sslcertmode ?? 'allow'
  if (certMode === 'require')
    throw refused(`${source('sslcertmode')} is not supported at this value: it cannot be seen whether the server wanted a certificate`)
  const shows = oneOf(['allow', 'disable'], certMode, source('sslcertmode')) === 'allow'
  const oldest = version(all.ssl_min_protocol_version, source('ssl_min_protocol_version'))
  const newest = version(all.ssl_max_protocol_version, source('ssl_max_protocol_version'))
  if (newest !== undefined && TLS_VERSIONS.indexOf(oldest ?? OLDEST_TLS) > TLS_VERSIONS.indexOf(newest))
    throw refused(
      `${source('ssl_max_protocol_version')} is older than the oldest version that is allowed, ${oldest ?? `${OLDEST_TLS}, which ssl_min_protocol_version changes`}`,
    )
  return {
    mode,
    direct,
    roots,
    revoked: file('sslcrl', 'root.crl'),
    certificate: shows
      ? { file: file('sslcert', 'postgresql.crt'), key: file('sslkey', 'postgresql.key'), password: all.sslpassword }
      : undefined,
    oldest,
    newest,
  }
}

/** Where nothing is given; Node's too. */
const OLDEST_TLS = 'TLSv1.2'

function version(text: string | undefined, place: string): TlsParameters['oldest'] {
  if (text === undefined) return undefined
  return oneOf(TLS_VERSIONS, TLS_VERSIONS.find((each) => each.toLowerCase() === text.toLowerCase()) ?? text, place)
}

function oneOf<const T extends string>(values: readonly T[], text: string, place: string): T {
  const found = values.find((each) => each === text)
  if (found === undefined) throw refused(`${place} is not one of ${values.join(', ')}`)
  return found
}
