import { MaintenanceError } from '../../errors.ts'
import { isImplemented, LIBPQ_PARAMETERS, unsupported, type Keyword, type Parameter } from './libpq-parameters.ts'
import type { Parameters } from './url-types.ts'

/** Whose rules the URL follows, which decides what its query means. */
export type Dialect = 'libpq' | 'sqlalchemy' | 'jdbc'

export interface Query {
  readonly given: Parameters
  /** Prisma's parameter: one name, taken literally. */
  readonly schema: string | undefined
  /** A search path: may have several names, and they may be quoted. */
  readonly path: string | undefined
  /** Parameters that are not implemented: what the URL says of them counts, and not a variable. */
  readonly others: ReadonlySet<Parameter>
  /** What was ignored, one line each. */
  readonly notes: readonly string[]
}

/** What else a query may hold: `ssl` of JDBC and asyncpg, `schema` of Prisma, `currentSchema` of JDBC. */
type Use = Keyword | 'ssl' | 'schema' | 'path'

/**
 * Reads the query of a PostgreSQL URL. Unknown parameters are ignored with a note, but refused if ignoring them could lead to a different server or a weaker
 * connection than the URL asks for. Messages name a parameter only if its name cannot be part of the password.
 */
export function readQuery(dialect: Dialect, query: string): Query {
  const given = new Map<Use, string>()
  const others = new Set<Parameter>()
  const notes: string[] = []
  // Python and Java read + as a space here; libpq does not.
  const plus = dialect === 'libpq' ? '+' : ' '
  const uses = usesOf(dialect)
  let afterPassword = false
  for (const [at, piece] of query.split('&').entries()) {
    if (piece === '') continue
    const equals = piece.indexOf('=')
    const name = equals === -1 ? piece : piece.slice(0, equals)
    const value = equals === -1 ? '' : decoded(piece.slice(equals + 1).replaceAll('+', plus))
    const place = afterPassword || !/^\w+$/.test(name) ? `parameter ${at + 1} of the database URL` : `${name} in the database URL`
    const found = uses.get(plain(name))
    if (found === undefined && plain(name).startsWith('ssl'))
      throw refused(`${place} is not supported, and ignoring it could weaken the connection`)
    if (typeof found !== 'string') {
      if (found !== undefined) others.add(found)
      const problem = found === undefined ? { refused: false, text: 'is ignored' } : unsupported(found, value)
      if (problem?.refused === true) throw refused(`${place} ${problem.text}`)
      if (problem !== undefined) notes.push(`${place} ${problem.text}`)
      continue
    }
    const before = given.get(found)
    // SQLAlchemy repeats the host.
    if (before !== undefined && found === 'host' && dialect === 'sqlalchemy') given.set(found, `${before},${value}`)
    else if (before !== undefined) throw refused(`the database URL gives ${name} twice`)
    // In the jdbc form a bare `ssl` means true.
    else if (value !== '' || found === 'ssl') given.set(found, dialect === 'jdbc' ? fromJdbc(found, value) : value)
    if (found === 'password') afterPassword = true
  }
  return { ...taken(dialect, given), others, notes }
}

function taken(dialect: Dialect, given: Map<Use, string>): Pick<Query, 'given' | 'schema' | 'path'> {
  const ssl = given.get('ssl')
  if (dialect !== 'jdbc' && ssl !== undefined && given.has('sslmode'))
    throw refused('the database URL gives both ssl and sslmode; keep one')
  const { ssl: _, schema, path, ...parameters } = Object.fromEntries(given)
  const mode = ssl === undefined || given.has('sslmode') ? {} : modeOfSsl(dialect, ssl)
  return { given: { ...parameters, ...mode }, schema, path }
}

/** libpq reads `ssl=true` as `require`, the JDBC driver as `verify-full`; asyncpg takes the names of the modes. */
function modeOfSsl(dialect: Dialect, ssl: string): { readonly sslmode?: string } {
  if (dialect !== 'jdbc') return { sslmode: ssl === 'true' ? 'require' : ssl }
  if (ssl === 'true' || ssl === '') return { sslmode: 'verify-full' }
  return ssl === 'false' ? {} : { sslmode: ssl }
}

/** Names are compared in lower case without underscores, so that what one of the three would bind is not ignored in the form of another. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll('_', '')
}

/** What a JDBC URL has before its query, and nowhere else. */
const BEFORE_JDBC_QUERY: ReadonlySet<string | undefined> = new Set(['host', 'port', 'dbname'])

function usesOf(dialect: Dialect): ReadonlyMap<string, Use | Parameter> {
  const listed = LIBPQ_PARAMETERS.flatMap((parameter) => {
    const { keyword, jdbc } = parameter
    const use = isImplemented(parameter) ? parameter.keyword : parameter
    const names = [keyword, jdbc].flatMap((name) => (name === undefined ? [] : [plain(name)]))
    return dialect === 'jdbc' && BEFORE_JDBC_QUERY.has(keyword) ? [] : names.map((name): [string, Use | Parameter] => [name, use])
  })
  return new Map<string, Use | Parameter>([
    ...listed,
    ['ssl', 'ssl'],
    dialect === 'jdbc' ? ['currentschema', 'path'] : ['schema', 'schema'],
  ])
}

const JDBC_VALUES: Readonly<Partial<Record<Use, Readonly<Record<string, string>>>>> = {
  target_session_attrs: {
    master: 'primary',
    preferPrimary: 'any',
    secondary: 'standby',
    slave: 'standby',
    preferSecondary: 'prefer-standby',
    preferSlave: 'prefer-standby',
  },
  load_balance_hosts: { true: 'random', false: 'disable' },
}

function fromJdbc(use: Use, value: string): string {
  const values = JDBC_VALUES[use] ?? {}
  return Object.hasOwn(values, value) ? values[value]! : value
}

/** Throws if a percent sign does not begin an encoded character. The error does not contain the text. */
export function decoded(text: string): string {
  try {
    const decodedText = decodeURIComponent(text)
    if (!decodedText.includes('\0')) return decodedText
  } catch {
    // Reported below.
  }
  throw refused('a percent sign in the database URL does not begin an encoded character; a percent sign itself is written %25')
}

export function refused(message: string): MaintenanceError {
  return new MaintenanceError('CONFIG_INVALID', message)
}
