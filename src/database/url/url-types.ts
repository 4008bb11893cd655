/** A database URL, taken apart. */
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
  /** The schema that the URL itself makes the first one, to be compared with the one that is configured. */
  readonly schema?: string
  /** Prisma's `schema`, to be taken for the setting. */
  readonly namedSchema?: string
  readonly notes: readonly string[]
}
