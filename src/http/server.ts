import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MaintenanceError, messageOf } from '../errors.ts'
import { SECOND } from '../time.ts'

/** What a request is answered with. */
export interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** By path. Each only reads. */
export type Pages = Readonly<Record<string, () => Page | Promise<Page>>>

export interface ServerOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly pages: Pages
  /** A page that broke; its request was answered with 500. */
  readonly failed: (path: string, error: unknown) => void
}

export interface HttpServer extends AsyncDisposable {
  /** `http://host:port` */
  readonly url: string
}

/** A scraper, a kubelet and a few people; whoever comes beyond that is turned away. */
const MOST_CONNECTIONS = 32
const LONGEST_HEADER_BYTES = 8 * 1024
/** From the first byte of a connection or a request to its last. */
const LONGEST_REQUEST_MS = 5 * SECOND
/** From the request to the last byte of the answer at the client's end. */
const LONGEST_ANSWER_MS = 5 * SECOND
const IDLE_MS = 5 * SECOND
/** How often slow requests are looked for. */
const LOOK_MS = SECOND

const METHODS: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD'])

/** Listens until disposed. Rejects with `HTTP_UNAVAILABLE` where it cannot. */
export async function startServer(options: ServerOptions): Promise<HttpServer> {
  const { host, port } = options
  const server = createServer(
    {
      maxHeaderSize: LONGEST_HEADER_BYTES,
      headersTimeout: LONGEST_REQUEST_MS,
      requestTimeout: LONGEST_REQUEST_MS,
      connectionsCheckingInterval: LOOK_MS,
      keepAliveTimeout: IDLE_MS,
    },
    (request, response) => void answer(options, request, response),
  )
  server.maxConnections = MOST_CONNECTIONS
  // Neither reads nor writes: also a client that leaves its answer lying.
  server.timeout = LONGEST_ANSWER_MS
  await listening(server, host, port)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is one
  const address = server.address() as AddressInfo
  return {
    url: urlOf(host, address.port),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer({ pages, failed }: ServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const deadline = setTimeout(() => response.destroy(), LONGEST_ANSWER_MS)
  response.on('close', () => clearTimeout(deadline))
  const path = request.url?.split('?')[0] ?? ''
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined
  if (!METHODS.has(request.method)) return send(response, { ...plain(405, 'only GET and HEAD'), allow: 'GET, HEAD' })
  if (page === undefined) return send(response, plain(404, `nothing is here; ${Object.keys(pages).join(', ')}`))
  try {
    send(response, await page())
  } catch (error) {
    failed(path, error)
    send(response, plain(500, 'this page is broken; the log says how'))
  }
}

export function plain(status: number, line: string): Page {
  return { status, type: 'text/plain; charset=utf-8', body: `${line}\n` }
}

function send(response: ServerResponse, { status, type, body, allow }: Page & { readonly allow?: string }): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(allow === undefined ? {} : { allow }),
  })
  response.end(body)
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => reject(unavailable(host, port, error)))
    server.listen({ host, port }, resolve)
  })
}

function unavailable(host: string, port: number, error: NodeJS.ErrnoException): MaintenanceError {
  const advice = ADVICE[error.code ?? ''] ?? `${messageOf(error)}; look at http.host and http.port`
  return new MaintenanceError(
    'HTTP_UNAVAILABLE',
    `http.enabled is set, and ${urlOf(host, port)} cannot be listened at: ${advice}. Nothing was done; the database was not opened`,
    { cause: error },
  )
}

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has the port; end that one, or choose another with http.port (HTTP_PORT)',
  EACCES: 'this user may not open the port; choose one above 1023 with http.port (HTTP_PORT)',
  EADDRNOTAVAIL: 'this machine does not have the address; choose one of its own with http.host (HTTP_HOST)',
  ENOTFOUND: 'the name is not known; write an address of this machine as http.host (HTTP_HOST)',
}

function urlOf(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
