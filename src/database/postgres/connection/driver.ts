import { Client, types } from 'pg'
import { isUnmistakable } from '../../../secrets/foreign-text.ts'
import type { Value } from '../../query.ts'
import type { PostgresUrl } from '../../url/url-types.ts'
import { driverError } from '../postgres-errors.ts'
import type { Encryption } from './tls.ts'

/** What is asked of `pg`, and nothing more. Whatever it rejects with has passed `driverError`. */
export interface Driver {
  readonly host: string
  readonly port: number
  readonly database: string
  /** The server process as the handshake named it; behind a pooler it is none of the server's. */
  processId(): number | undefined
  connect(): Promise<void>
  /** Without values the text may hold several statements: one result each. A dead link is noticed after `timeoutMs` (0: never). */
  run<Row>(sql: string, values: readonly Value[] | undefined, timeoutMs: number): Promise<readonly DriverResult<Row>[]>
  /** Runs a COPY … TO STDOUT and hands over what comes, piece by piece. The rest is read, and dropped, when `take` rejects. */
  copy(sql: string, timeoutMs: number, take: (chunk: Buffer) => Promise<void>): Promise<void>
  /** Told of every error outside a query; more than once for one loss. */
  onError(told: (error: Error) => void): void
  /** Says goodbye to the server; hangs on a dead link. */
  end(): Promise<void>
  /** Cuts the link: the server rolls back once it notices. */
  destroy(): void
}

export interface DriverResult<Row = Record<string, unknown>> {
  readonly command: string
  readonly rowCount: number | null
  readonly rows: readonly Row[]
}

export interface DriverOptions {
  readonly url: PostgresUrl
  readonly applicationName: string
  readonly encryption: Encryption
  readonly connectTimeoutMs: number
  /** The schema that is configured. */
  readonly schema?: string | undefined
}

/** How long an idle link may be silent before the system asks whether the other side is still there. */
const KEEP_ALIVE_MS = 10_000

export function newDriver({ url, applicationName, encryption, connectTimeoutMs, schema }: DriverOptions): Driver {
  // No timeout is sent along as a startup parameter: PgBouncer refuses connections that have them.
  const client = new Client({
    host: url.host,
    port: url.port,
    database: url.database,
    user: url.user,
    password: url.password,
    options: url.options,
    application_name: url.applicationName ?? applicationName,
    ssl: encryption,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    connectionTimeoutMillis: connectTimeoutMs,
  })
  client.setTypeParser(types.builtins.INT8, Number)
  // What stands in texts by itself: a hole in it would say that the password is the same.
  const schemas = [schema, url.schema, url.namedSchema]
  const names = [client.host, client.database, client.user, url.applicationName, applicationName, url.sslrootcert, ...schemas]
  // Asked of the driver: the password may also be from PGPASSWORD or a password file.
  const secrets = (): readonly string[] =>
    [client.password ?? '', ...optionValues(url.options)].filter((secret) => isUnmistakable(secret, names))
  const clean = (thrown: unknown): Error => driverError(thrown, secrets())
  return {
    host: client.host,
    port: client.port,
    database: client.database ?? '',
    processId: () => ('processID' in client && typeof client.processID === 'number' ? client.processID : undefined),
    async connect() {
      try {
        await client.connect()
      } catch (error) {
        throw clean(error)
      }
    },
    async run<Row>(text: string, values: readonly Value[] | undefined, timeoutMs: number) {
      const config = { text, ...(values === undefined ? {} : { values: [...values] }), query_timeout: timeoutMs }
      const answer: unknown = await client.query(config).catch((error: unknown) => {
        throw clean(error)
      })
      // The driver answers several statements with an array. What a row holds, only the writer of the statement knows.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      return (Array.isArray(answer) ? answer : [answer]) as readonly DriverResult<Row>[]
    },
    async copy(sql, timeoutMs, take) {
      // Loaded by who archives, and by nobody else.
      const { to } = await import('pg-copy-streams')
      let failure: { readonly error: unknown } | undefined
      let timer = silence(client, timeoutMs)
      try {
        for await (const chunk of client.query(to(sql))) {
          clearTimeout(timer)
          try {
            // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a stream of bytes says nothing of its pieces
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
    onError: (told) => void client.on('error', (error) => told(clean(error))),
    end: () => client.end(),
    destroy: () => void client.connection.stream.destroy(),
  }
}

/** The values in libpq's `options`, such as `-c name=value`: one of them may be a secret of the gateway's. */
function optionValues(options = ''): readonly string[] {
  return options.split(/(?<!\\)\s+/).flatMap((word) => /=(.+)$/s.exec(word)?.[1]?.replaceAll(/\\(.)/gs, '$1') ?? [])
}

/** Cuts a link over which nothing has come for so long. */
function silence(client: Client, timeoutMs: number): NodeJS.Timeout {
  return setTimeout(() => client.connection.stream.destroy(new Error('Query read timeout')), timeoutMs)
}
