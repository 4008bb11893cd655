import { Client, types } from 'pg'
import { isUnmistakable } from '../../../secrets/foreign-text.ts'
import type { Value } from '../../query.ts'
import type { PostgresUrl, Server } from '../../url/url-types.ts'
import { driverError } from '../postgres-errors.ts'
import { BOUND_MECHANISM, Login, type Challenge } from './authentication.ts'
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
  const login = new Login(url.authentication)
  const binds = encryption !== false && url.authentication.channelBinding !== 'disable'
  let secret = ''
  // Called when the server wants one.
  const password = (): string => {
    login.mayAnswer()
    const found = passwordFor(url, server)
    if ('missing' in found)
      throw new Error(
        `the server wants a password, and there is none in the database URL, in PGPASSWORD or in a password file: ${found.missing}`,
      )
    secret = found.text
    return secret
  }
  // No timeout is sent as a startup parameter: PgBouncer refuses such connections. The driver looks into the environment for all that is not given here.
  const client = new Client({
    host: server.address ?? server.host,
    port: server.port,
    database: url.database,
    user: url.user,
    password,
    options: url.options,
    application_name: url.applicationName ?? applicationName,
    client_encoding: 'UTF8',
    ssl: encryption,
    sslnegotiation: encryption !== false && url.tls.direct ? 'direct' : 'postgres',
    enableChannelBinding: binds,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    connectionTimeoutMillis: connectTimeoutMs,
  })
  client.setTypeParser(types.builtins.INT8, Number)
  withoutReplication(client)
  const challenged = (challenge: Challenge): void => {
    login.challenge(challenge)
    // The driver keeps the password, and would send it without asking when there is another challenge.
    Object.assign(client, { password })
  }
  client.connection.on('authenticationCleartextPassword', () => challenged({ method: 'password', bound: false }))
  client.connection.on('authenticationMD5Password', () => challenged({ method: 'md5', bound: false }))
  client.connection.on('authenticationSASL', ({ mechanisms }: { readonly mechanisms: readonly string[] }) =>
    challenged({ method: 'scram-sha-256', bound: binds && mechanisms.includes(BOUND_MECHANISM) }),
  )
  client.connection.on('authenticationSASLFinal', () => login.proven())
  // These names appear in messages anyway: masking one would reveal that the password is the same word.
  const schemas = [schema, url.schema, url.namedSchema]
  const names = [server.host, url.database, url.user, url.applicationName, applicationName, ...filesOf(url), ...schemas]
  const secrets = (): readonly string[] =>
    [secret, url.tls.certificate?.password ?? '', ...optionValues(url.options)].filter((each) => isUnmistakable(each, names))
  const clean = (thrown: unknown): Error => driverError(thrown, secrets())
  return {
    processId: () => ('processID' in client && typeof client.processID === 'number' ? client.processID : undefined),
    async connect() {
      try {
        await client.connect()
        login.ended()
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

/** PGREPLICATION is none of libpq's variables, but the driver reads it, and would ask for a connection that cannot purge. */
function withoutReplication(client: Client): void {
  const parameters: unknown = Reflect.get(client, 'connectionParameters')
  if (typeof parameters === 'object' && parameters !== null) Reflect.set(parameters, 'replication', undefined)
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
