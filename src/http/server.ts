import { createServer as createHttpServer, type IncomingMessage, type Server as HttpParser, type ServerResponse } from 'node:http'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { MaintenanceError, messageOf } from '../errors.ts'
import { SECOND } from '../time/clock.ts'
import { BoundedConnections } from './bounded-connections.ts'
import { plain, shared, type Page, type Route, type Routes } from './pages.ts'
import { hostRule, isLoopback, type HostRule } from './hosts.ts'
import { SingleRequest } from './single-request.ts'
import { targetOf } from './target.ts'

export interface ServerOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** As `http.allowedHosts` lists them. */
  readonly allowedHosts: readonly string[] | undefined
  readonly routes: Routes
  /** Called when a page could not be made; the request was answered with 500. */
  readonly failed: (path: string, error: unknown) => void
}

export interface HttpServer extends AsyncDisposable {
  /** `http://host:port` */
  readonly url: string
}

/** The most connections that have sent no request yet, wait for a page, or were answered with a few bytes; each costs some kilobytes. */
const MOST_WAITING = 512
/** The most connections that are being sent a page, which may stay in memory until the client has fetched it. */
const MOST_SENDING = 64
/** How long a connection may last until its answer, and then from a page's first byte until the client has received the last. */
const LONGEST_MS = 5 * SECOND
const LONGEST_HEADER_BYTES = 8 * 1024
/**
 * The most connections that wait to be accepted. Clients of a burst wait their turn instead of trying again after a second; in a longer queue, a probe would
 * wait behind the dead connections of a flood.
 */
const MOST_NOT_ACCEPTED = 1024

/**
 * Listens until disposed. Rejects with `HTTP_UNAVAILABLE` if it cannot. Memory and work are bounded whatever is sent and however slowly it is read: a
 * connection carries one request, of which only the header is read, and is open for a few seconds. The number of connections is limited, and beyond the limit
 * a new one replaces the oldest, so that a probe is answered even then.
 */
export async function startServer(options: ServerOptions): Promise<HttpServer> {
  const { host, port } = options
  const connections: Connections = {
    waiting: new BoundedConnections({ most: MOST_WAITING, longestMs: LONGEST_MS, end: (socket) => socket.destroy() }),
    sending: new BoundedConnections({ most: MOST_SENDING, longestMs: LONGEST_MS, end: reset }),
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true })
  await listening(server, host, port)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is one
  const address = server.address() as AddressInfo
  const answering: Answering = {
    routes: inBounds(options),
    connections,
    showsTo: hostRule({ loopback: isLoopback(address.address), allowed: options.allowedHosts }),
  }
  const parser = createHttpServer(
    { maxHeaderSize: LONGEST_HEADER_BYTES, insecureHTTPParser: false },
    (request, response) => void answer(answering, request, response),
  )
  parser.on('checkExpectation', (_request, response: ServerResponse) => send(response, plain(417, 'the header Expect is not supported')))
  parser.on('connect', (_request, tunnel) => {
    // Nothing else handles its errors any more.
    tunnel.on('error', () => {})
    tunnel.end(refusal('405 Method Not Allowed', `Allow: ${ALLOWED}\r\n`))
  })
  parser.on('clientError', (error: NodeJS.ErrnoException, request) => {
    if (request.writable) request.end(REFUSALS[error.code ?? ''] ?? refusal('400 Bad Request'))
  })
  server.on('connection', (socket) => accept(socket, connections, parser))
  return {
    url: urlOf(host, address.port),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      connections.waiting.endAll()
      connections.sending.endAll()
      await closed
    },
  }
}

/** Without a reset, what the client does not fetch would stay in the kernel's memory for minutes. */
function reset(socket: Socket): void {
  // While the end of the writing side is being sent, the system refuses a reset, and Node then never closes the socket.
  const refused = socket.writableEnded ? !socket.writableFinished : socket.writableLength === 0
  if (!refused) socket.resetAndDestroy()
  // A reset by itself waits until everything is written.
  socket.destroy()
}

interface Connections {
  readonly waiting: BoundedConnections
  readonly sending: BoundedConnections
}

const OTHER_VERSION = refusal('505 HTTP Version Not Supported')

const REFUSALS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: refusal('431 Request Header Fields Too Large'),
  HPE_INVALID_VERSION: OTHER_VERSION,
  HPE_PAUSED_H2_UPGRADE: OTHER_VERSION,
}

function refusal(status: string, header = ''): string {
  return `HTTP/1.1 ${status}\r\n${header}Connection: close\r\nContent-Length: 0\r\n\r\n`
}

function accept(socket: Socket, { waiting, sending }: Connections, parser: HttpParser): void {
  let request: SingleRequest | undefined
  waiting.add(socket)
  // A reset is an ordinary end.
  socket.on('error', () => {})
  socket.once('close', () => {
    waiting.delete(socket)
    sending.delete(socket)
  })
  // A client may close its side after the request, and still gets the answer.
  socket.once('end', () => {
    if (request?.complete !== true) socket.destroy()
  })
  // Created only now: a silent client costs no parser.
  socket.once('data', (first) => {
    request = new SingleRequest(socket, first)
    parser.emit('connection', request)
  })
}

interface Answering {
  readonly routes: Routes
  readonly connections: Connections
  readonly showsTo: HostRule
}

async function answer({ routes, connections, showsTo }: Answering, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.httpVersionMajor !== 1) return send(response, plain(505, 'only HTTP/1.1 and HTTP/1.0'))
  if (!METHODS.has(request.method)) return send(response, { ...plain(405, 'only GET and HEAD'), allow: ALLOWED })
  const target = targetOf(request)
  if (target === undefined) return send(response, plain(400, 'the request names more than one host, or a user'))
  const { path, host } = target
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined
  if (route === undefined) return send(response, plain(404, `not found; the paths are ${Object.keys(routes).join(', ')}`))
  if (!route.anyHost && !showsTo(host)) return send(response, plain(421, NOT_FOR_THIS_HOST))
  const page = route.page()
  if (!(page instanceof Promise)) return send(response, page)
  const made = await page
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the parser is given no other
  const { connection } = request.socket as unknown as SingleRequest
  if (connection.destroyed) return
  connections.waiting.delete(connection)
  connections.sending.add(connection)
  send(response, made)
}

const METHODS: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD'])
const ALLOWED = 'GET, HEAD'

const NOT_FOR_THIS_HOST =
  'this page is not shown under the host that the request names: ask by address or as localhost, or list the host in http.allowedHosts (HTTP_ALLOWED_HOSTS)'

/** Every page but the probes is made once for many requests; a page that fails is reported once for all of them. */
function inBounds({ routes, failed }: ServerOptions): Routes {
  const bounded = ([path, route]: [string, Route]): [string, Route] => {
    if (route.probe) return [path, route]
    const page = shared(async () => {
      try {
        return await route.page()
      } catch (error) {
        failed(path, error)
        return plain(500, 'this page could not be made; the log says why')
      }
    })
    return [path, { ...route, page }]
  }
  return Object.fromEntries(Object.entries(routes).map(bounded))
}

const NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'"

function send(response: ServerResponse, { status, type, body, securityPolicy, allow }: Page & { readonly allow?: string }): void {
  response.writeHead(status, {
    connection: 'close',
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'content-security-policy': securityPolicy ?? NOTHING_ALLOWED,
    ...(allow === undefined ? {} : { allow }),
  })
  response.end(body)
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => reject(unavailable(host, port, error)))
    server.listen({ host, port, backlog: MOST_NOT_ACCEPTED }, resolve)
  })
}

function unavailable(host: string, port: number, error: NodeJS.ErrnoException): MaintenanceError {
  const advice = ADVICE[error.code ?? ''] ?? `${messageOf(error)}; check http.host and http.port`
  return new MaintenanceError(
    'HTTP_UNAVAILABLE',
    `http.enabled is set, but the worker cannot listen at ${urlOf(host, port)}: ${advice}. Nothing was done; the database was not opened`,
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
