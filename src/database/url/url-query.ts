import { MaintenanceError } from '../../errors.ts'
import type { PostgresUrl } from './url-types.ts'

/** Whose rules the URL follows, which decides what its query means. */
export type Dialect = 'libpq' | 'sqlalchemy' | 'jdbc'

export interface Query {
  readonly named: Named
  /** What was ignored, one line each. */
  readonly notes: readonly string[]
}

interface Named {
  readonly host: string | undefined
  readonly port: string | undefined
  readonly user: string | undefined
  readonly password: string | undefined
  readonly database: string | undefined
  /** Prisma's parameter: one name, taken literally. */
  readonly schema: string | undefined
  /** A search path: may have several names, and they may be quoted. */
  readonly path: string | undefined
  readonly sslmode: PostgresUrl['sslmode']
  readonly sslrootcert: string | undefined
  readonly applicationName: string | undefined
  readonly options: string | undefined
}

/**
 * Reads the query of a PostgreSQL URL. Unknown parameters are ignored with a note, but refused if ignoring them could lead to a different server or a weaker
 * connection than the URL asks for. Messages name a parameter only if its name cannot be part of the password.
 */
export function readQuery(dialect: Dialect, query: string): Query {
  const known = dialect === 'jdbc' ? JDBC : LIBPQ
  const given = new Map<keyof Named | 'ssl', string>()
  const notes: string[] = []
  // Python and Java read + as a space here; libpq does not.
  const plus = dialect === 'libpq' ? '+' : ' '
  let afterPassword = false
  for (const [at, piece] of query.split('&').entries()) {
    if (piece === '') continue
    const equals = piece.indexOf('=')
    const name = equals === -1 ? piece : piece.slice(0, equals)
    const value = equals === -1 ? '' : decoded(piece.slice(equals + 1).replaceAll('+', plus))
    const place = afterPassword || !/^\w+$/.test(name) ? `parameter ${at + 1} of the database URL` : `${name} in the database URL`
    const use = known.get(name)
    if (use === undefined) {
      const reason = refusal(name, value)
      if (reason !== undefined) throw refused(`${place} ${reason}`)
      notes.push(`${place} is ignored`)
      continue
    }
    if (given.has(use))
      throw refused(use === 'host' ? 'the database URL names several hosts; name one' : `the database URL gives ${name} twice`)
    // In the jdbc form a bare `ssl` means true.
    if (value !== '' || use === 'ssl') given.set(use, value)
    if (use === 'password') afterPassword = true
  }
  const get = (use: keyof Named): string | undefined => given.get(use)
  return {
    named: {
      host: get('host'),
      port: get('port'),
      user: get('user'),
      password: get('password'),
      database: get('database'),
      schema: get('schema'),
      path: get('path'),
      sslmode: sslmode(dialect, get('sslmode'), given.get('ssl'), get('sslrootcert')),
      sslrootcert: get('sslrootcert'),
      applicationName: get('applicationName'),
      options: get('options'),
    },
    notes,
  }
}

const LIBPQ: ReadonlyMap<string, keyof Named | 'ssl'> = new Map([
  ['host', 'host'],
  ['port', 'port'],
  ['user', 'user'],
  ['password', 'password'],
  ['dbname', 'database'],
  ['sslmode', 'sslmode'],
  ['ssl', 'ssl'],
  ['sslrootcert', 'sslrootcert'],
  ['application_name', 'applicationName'],
  ['options', 'options'],
  ['schema', 'schema'],
])

const JDBC: ReadonlyMap<string, keyof Named | 'ssl'> = new Map([
  ['user', 'user'],
  ['password', 'password'],
  ['currentSchema', 'path'],
  ['sslmode', 'sslmode'],
  ['ssl', 'ssl'],
  ['sslrootcert', 'sslrootcert'],
  ['ApplicationName', 'applicationName'],
  ['options', 'options'],
])

const ANOTHER_SERVER = 'is not supported, and ignoring it could lead to a different server'
const WEAKER = 'is not supported, and ignoring it would weaken the connection; remove it (sslmode=verify-full verifies the server)'

/** Parameters that must not be ignored, except with these harmless values. Names are compared in lower case without underscores. */
const BINDING: Readonly<Record<string, { readonly reason: string; readonly harmless: readonly string[] }>> = {
  targetsessionattrs: { reason: 'asks for a standby, but the worker writes', harmless: ['any', 'read-write', 'primary'] },
  targetservertype: { reason: 'asks for a standby, but the worker writes', harmless: ['any', 'primary', 'master', 'preferPrimary'] },
  hostaddr: { reason: ANOTHER_SERVER, harmless: [] },
  service: { reason: ANOTHER_SERVER, harmless: [] },
  servicefile: { reason: ANOTHER_SERVER, harmless: [] },
  passfile: { reason: 'is not supported; put the whole URL into a file and name that in DATABASE_URL_FILE', harmless: [] },
  replication: { reason: 'is not supported', harmless: ['false', 'off', 'no', '0'] },
  requirepeer: { reason: WEAKER, harmless: [] },
  requireauth: { reason: WEAKER, harmless: [] },
  channelbinding: { reason: WEAKER, harmless: ['disable', 'prefer'] },
  gssencmode: { reason: WEAKER, harmless: ['disable', 'allow', 'prefer'] },
  sslnegotiation: { reason: WEAKER, harmless: ['postgres'] },
  sslcompression: { reason: WEAKER, harmless: ['0', '1'] },
  sslsni: { reason: WEAKER, harmless: ['0', '1'] },
  sslminprotocolversion: { reason: WEAKER, harmless: ['TLSv1', 'TLSv1.1', 'TLSv1.2'] },
}

function refusal(name: string, value: string): string | undefined {
  const plain = name.toLowerCase().replaceAll('_', '')
  const binding = Object.hasOwn(BINDING, plain) ? BINDING[plain] : undefined
  if (binding !== undefined) return binding.harmless.includes(value) ? undefined : binding.reason
  return plain.startsWith('ssl') ? 'is not supported, and ignoring it could weaken the connection' : undefined
}

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

function sslmode(
  dialect: Dialect,
  mode: string | undefined,
  ssl: string | undefined,
  rootCertificate: string | undefined,
): PostgresUrl['sslmode'] {
  if (dialect !== 'jdbc' && mode !== undefined && ssl !== undefined) throw refused('the database URL gives both ssl and sslmode; keep one')
  const given = mode ?? (ssl === undefined ? undefined : modeOfSsl(dialect, ssl))
  // As in libpq: a certificate of a public authority proves nothing unless the name is checked too.
  if (rootCertificate === 'system' && given !== undefined && given !== 'verify-full')
    throw refused('sslrootcert=system in the database URL needs sslmode=verify-full')
  const wanted = given ?? (rootCertificate === 'system' ? 'verify-full' : 'prefer')
  const found = SSL_MODES.find((each) => each === wanted)
  if (found === undefined) throw refused(`the sslmode of the database URL is not one of ${SSL_MODES.join(', ')}`)
  return found
}

/** libpq reads `ssl=true` as `require`, the JDBC driver as `verify-full`; asyncpg takes the names of the modes. */
function modeOfSsl(dialect: Dialect, ssl: string): string {
  if (dialect !== 'jdbc') return ssl === 'true' ? 'require' : ssl
  if (ssl === 'true' || ssl === '') return 'verify-full'
  return ssl === 'false' ? 'prefer' : ssl
}

/** Throws if a percent sign does not begin an encoded character. The error does not contain the text. */
export function decoded(text: string): string {
  try {
    const plain = decodeURIComponent(text)
    if (!plain.includes('\0')) return plain
  } catch {
    // Reported below.
  }
  throw refused('a percent sign in the database URL does not begin an encoded character; a percent sign itself is written %25')
}

export function refused(message: string): MaintenanceError {
  return new MaintenanceError('CONFIG_INVALID', message)
}
