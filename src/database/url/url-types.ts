/** A parsed database URL. */
export type DatabaseUrl = SqliteUrl | PostgresUrl

export interface SqliteUrl {
  readonly engine: 'sqlite'
  /** Relative to the working directory, or absolute. */
  readonly file: string
  /** What was ignored, one line each, for the log; never a secret. */
  readonly notes: readonly string[]
}

export interface PostgresUrl {
  readonly engine: 'postgres'
  /** A host name, an address, or the folder of a Unix socket. Absent parts are `undefined`: the driver falls back to PGHOST and its like. */
  readonly host: string | undefined
  readonly port: number | undefined
  readonly database: string | undefined
  readonly user: string | undefined
  readonly password: string | undefined
  /** As libpq means it. */
  readonly sslmode: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'
  /** A file of certificates, or `system`. */
  readonly sslrootcert: string | undefined
  readonly applicationName: string | undefined
  /** libpq's `options`, such as `-c role=gateway`. */
  readonly options: string | undefined
  /** The first schema of the search path that the URL sets, to be compared with the configured one. */
  readonly schema?: string
  /** Prisma's `schema`, used as the setting if that is not set. */
  readonly namedSchema?: string
  readonly notes: readonly string[]
}
