import type { Keyword } from './libpq-parameters.ts'

/** A parsed database URL. */
export type DatabaseUrl = SqliteUrl | PostgresUrl

export interface SqliteUrl {
  readonly engine: 'sqlite'
  /** Relative to the working directory, or absolute. */
  readonly file: string
  /** What was ignored, one line each, for the log; never a secret. */
  readonly notes: readonly string[]
}

/** What libpq calls parameters: each has the text that the URL or a variable gives it. */
export type Parameters = Readonly<Partial<Record<Keyword, string>>>

/** Where to connect and how, from the URL and from what libpq's variables say where the URL is silent. */
export interface PostgresUrl {
  readonly engine: 'postgres'
  /** What the URL itself gives. */
  readonly given: Parameters
  /** The names of the variables that give what it does not. */
  readonly variables: readonly string[]
  /** In the order in which they are tried; at least one. */
  readonly servers: readonly Server[]
  /** Whether they are tried in another order each time. */
  readonly shuffled: boolean
  /** Which of them will do. A program that writes takes none but a primary, whatever this is. */
  readonly target: 'any' | 'primary' | 'read-write'
  readonly database: string
  readonly user: string
  readonly password: string | undefined
  readonly passwordFile: PasswordFile
  readonly authentication: Authentication
  readonly tls: TlsParameters
  /** The longest that one address may take to connect; `undefined`: that is nobody's choice. */
  readonly attemptMs: number | undefined
  /** `undefined`: the program's own. */
  readonly applicationName: string | undefined
  /** libpq's `options`, such as `-c role=gateway`. */
  readonly options: string | undefined
  /** The first schema of the search path that is set, to be compared with the configured one. */
  readonly schema?: string
  /** Prisma's `schema`, used as the setting if that is not set. */
  readonly namedSchema?: string
  readonly notes: readonly string[]
}

export interface Server {
  /** A host name, an address, or the folder of a Unix socket. */
  readonly host: string
  /** Where to connect, without asking for the address of the name. */
  readonly address: string | undefined
  readonly port: number
}

export interface PasswordFile {
  readonly path: string
  /** Whether somebody named it, so that it has to be there. */
  readonly named: boolean
}

/** libpq's names of the ways to prove who one is. */
export const METHODS = ['password', 'md5', 'gss', 'sspi', 'scram-sha-256', 'oauth', 'none'] as const
export type Method = (typeof METHODS)[number]

export interface Authentication {
  readonly channelBinding: 'disable' | 'prefer' | 'require'
  /** `undefined`: any. */
  readonly methods: readonly Method[] | undefined
}

export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const

/** Files are read at each connection, because certificates are renewed. */
export interface TlsParameters {
  /** As libpq means it. */
  readonly mode: (typeof SSL_MODES)[number]
  /** Whether TLS begins at once, without asking the server for it. */
  readonly direct: boolean
  /** A file of certificates, or `system`. */
  readonly roots: TlsFile | 'system'
  readonly revoked: TlsFile
  /** `undefined`: no certificate is shown to the server. */
  readonly certificate: { readonly file: TlsFile; readonly key: TlsFile; readonly password: string | undefined } | undefined
  readonly oldest: (typeof TLS_VERSIONS)[number] | undefined
  readonly newest: (typeof TLS_VERSIONS)[number] | undefined
}

export interface TlsFile {
  readonly path: string
  /** Whether somebody named it; one that nobody named may be missing. */
  readonly named: boolean
  /** For messages: `sslcert`. */
  readonly parameter: Keyword
}
