import { Client, types } from 'pg'
import { isUnmistakable } from '../../../secrets/foreign-text.ts'
import type { Value } from '../../query.ts'
import type { PostgresUrl, Server } from '../../url/url-types.ts'
import { driverError } from '../postgres-errors.ts'
import { BOUND_MECHANISM, NO_CHALLENGE, objection, type Challenge } from './authentication.ts'
import { passwordFor } from './passwords.ts'
import type { Encryption } from './tls.ts'

/** The part of `pg` that is used. Every error it rejects with has passed through `driverError`. */
export interface Driver {
  /** The server process named in the handshake; a pooler invents one. */
  processId(): number | undefined
  connect(): Promise<void>
  /** Without values the text may hold several statements, with one result each. A dead connection is noticed after `timeoutMs` (0: never). */
  run<Row>(sql: string, values: readonly Value[] | undefined, timeoutMs: number): Promise<readonly DriverResult<Row>[]>
  /** Runs a COPY … TO STDOUT and hands over the data chunk by chunk. If `take` rejects, the rest is read and discarded. */
  copy(sql: string, timeoutMs: number, take: (chunk: Buffer) => Promise<void>): Promise<void>
  /** Called for every error outside a query; several times for one loss. */
  onError(listener: (error: Error) => void): void
  /** Closes the connection properly; hangs if it is dead. */
  end(): Promise<void>
  /** Cuts the connection: the server rolls back once it notices. */
  destroy(): void
}

export interface DriverResult<Row = Record<string, unknown>> {
  readonly command: string
  readonly rowCount: number | null
  readonly rows: readonly Row[]
}

export interface DriverOptions {
  readonly url: PostgresUrl
  /** One of the URL's. */
  readonly server: Server
  readonly applicationName: string
  readonly encryption: Encryption
  readonly connectTimeoutMs: number
  /** As configured. */
  readonly schema?: string | undefined
}

/** How long a connection may be idle before TCP probes whether the other side is still there. */
const KEEP_ALIVE_MS = 10_000

export function newDriver({ url, server, applicationName, encryption, connectTimeoutMs, schema }: DriverOptions): Driver {
  let challenge = NO_CHALLENGE
  const mustSuit = (): void => {
    const problem = objection(challenge, url.authentication)
    if (problem !== undefined) throw new Error(problem)
  }
  // No timeout is sent as a startup parameter: PgBouncer refuses such connections. The driver looks into the environment for all that is not given here.
  const client = new Client({
    host: server.address ?? server.host,
    port: server.port,
    database: url.database,
    user: url.user,
    // Called when the server wants one.
    password: () => {
      mustSuit()
      const password = passwordFor(url, server)
      if ('text' in password) return password.text
      throw new Error(
        `the server wants a password, and there is none in the database URL, in PGPASSWORD or in a password file: ${password.missing}`,
      )
    },
    options: url.options,
    application_name: url.applicationName ?? applicationName,
    client_encoding: 'UTF8',
    ssl: encryption,
    sslnegotiation: encryption !== false && url.tls.direct ? 'direct' : 'postgres',
    enableChannelBinding: encryption !== false && url.authentication.channelBinding !== 'disable',
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    connectionTimeoutMillis: connectTimeoutMs,
  })
  client.setTypeParser(types.builtins.INT8, Number)
  const challenged = (next: Challenge) => (): void => void (challenge = next)
  client.connection.on('authenticationCleartextPassword', challenged({ method: 'password', bound: false }))
  client.connection.on('authenticationMD5Password', challenged({ method: 'md5', bound: false }))
  client.connection.on('authenticationSASL', ({ mechanisms }: { readonly mechanisms: readonly string[] }) => {
    const binds = encryption !== false && url.authentication.channelBinding !== 'disable'
    challenge = { method: 'scram-sha-256', bound: binds && mechanisms.includes(BOUND_MECHANISM) }
  })
  // These names appear in messages anyway: masking one would reveal that the password is the same word.
  const schemas = [schema, url.schema, url.namedSchema]
  const names = [server.host, url.database, url.user, url.applicationName, applicationName, ...filesOf(url), ...schemas]
  // Read from the driver: the password may also come from a password file.
  const secrets = (): readonly string[] =>
    [typeof client.password === 'string' ? client.password : '', url.tls.certificate?.password ?? '', ...optionValues(url.options)].filter(
      (secret) => isUnmistakable(secret, names),
    )
  const clean = (thrown: unknown): Error => driverError(thrown, secrets())
  return {
    processId: () => ('processID' in client && typeof client.processID === 'number' ? client.processID : undefined),
    async connect() {
      try {
        await client.connect()
        mustSuit()
      } catch (error) {
        throw clean(error)
      }
    },
    async run<Row>(text: string, values: readonly Value[] | undefined, timeoutMs: number) {
      const config = { text, ...(values === undefined ? {} : { values: [...values] }), query_timeout: timeoutMs }
      const answer: unknown = await client.query(config).catch((error: unknown) => {
        throw clean(error)
      })
      // For several statements the driver returns an array. Only the caller knows the shape of a row.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      return (Array.isArray(answer) ? answer : [answer]) as readonly DriverResult<Row>[]
    },
    async copy(sql, timeoutMs, take) {
      // Loaded only when rows are archived.
      const { to } = await import('pg-copy-streams')
      let failure: { readonly error: unknown } | undefined
      let timer = silence(client, timeoutMs)
      try {
        for await (const chunk of client.query(to(sql))) {
          clearTimeout(timer)
          try {
            // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- chunks of a stream are untyped
            if (failure === undefined) await take(chunk as Buffer)
          } catch (error) {
            failure = { error }
          }
          timer = silence(client, timeoutMs)
        }
      } catch (error) {
        throw clean(error)
      } finally {
        clearTimeout(timer)
      }
      if (failure !== undefined) throw failure.error
    },
    onError: (listener) => void client.on('error', (error) => listener(clean(error))),
    end: () => client.end(),
    destroy: () => void client.connection.stream.destroy(),
  }
}

function filesOf({ tls: { roots, revoked, certificate }, passwordFile }: PostgresUrl): readonly string[] {
  const files = [roots === 'system' ? undefined : roots, revoked, certificate?.file, certificate?.key, passwordFile]
  return files.flatMap((file) => (file === undefined ? [] : [file.path]))
}

/** The values in libpq's `options`, such as `-c name=value`: one of them may be a secret. */
function optionValues(options = ''): readonly string[] {
  return options.split(/(?<!\\)\s+/).flatMap((word) => /=(.+)$/s.exec(word)?.[1]?.replaceAll(/\\(.)/gs, '$1') ?? [])
}

/** Cuts a connection that has received nothing for this long. */
function silence(client: Client, timeoutMs: number): NodeJS.Timeout {
  return setTimeout(() => client.connection.stream.destroy(new Error('Query read timeout')), timeoutMs)
}
