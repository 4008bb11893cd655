import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MaintenanceError } from '../../src/errors.ts'
import { collected, plain, probe, shown, type Routes } from '../../src/http/pages.ts'
import { startServer, type HttpServer, type ServerOptions } from '../../src/http/server.ts'
import { SingleRequest } from '../../src/http/single-request.ts'

interface Fixture extends HttpServer {
  readonly port: number
  readonly failures: [string, unknown][]
}

async function served(routes: Routes = {}, at: Partial<ServerOptions> = {}): Promise<Fixture> {
  const failures: [string, unknown][] = []
  const failed = (path: string, error: unknown): void => void failures.push([path, error])
  const all = { '/x': probe(() => plain(200, 'hello')), ...routes }
  const server = await startServer({ host: '127.0.0.1', port: 0, allowedHosts: undefined, routes: all, failed, ...at })
  return { ...server, port: Number(new URL(server.url).port), failures }
}

const NOTHING: ServerOptions = { host: '127.0.0.1', port: 0, allowedHosts: undefined, routes: {}, failed: () => {} }

/** What a client that writes `text` is told until the connection ends, and after how long that is. */
async function talked(port: number, text: string, more: (socket: Socket) => unknown = () => {}): Promise<{ told: string; tookMs: number }> {
  const begun = performance.now()
  const socket = connect(port, '127.0.0.1')
  let told = ''
  socket.setEncoding('utf8').on('data', (data: string) => (told += data))
  // A reset is an end.
  socket.on('error', () => {})
  socket.write(text)
  more(socket)
  await new Promise((resolve) => socket.once('close', resolve))
  return { told, tookMs: performance.now() - begun }
}

/** Requests and answers may take five seconds, and are looked at once a second. */
const CUT_MS = 8_000
/** Long before that. */
const SOON_MS = 2_000

test('a page is read with GET and HEAD, and never kept', async () => {
  await using server = await served()
  const got = await fetch(`${server.url}/x?a=b`)
  assert.equal(got.status, 200)
  assert.equal(await got.text(), 'hello\n')
  assert.equal(got.headers.get('cache-control'), 'no-store')
  assert.equal(got.headers.get('content-type'), 'text/plain; charset=utf-8')
  assert.equal(got.headers.get('content-security-policy'), "default-src 'none'; frame-ancestors 'none'")
  assert.deepEqual([got.headers.get('x-content-type-options'), got.headers.get('referrer-policy')], ['nosniff', 'no-referrer'])
  const head = await fetch(`${server.url}/x`, { method: 'HEAD' })
  assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '6', ''])
})

test('nothing can be written to, and what is not there is not found', async () => {
  await using server = await served()
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const refused = await fetch(`${server.url}/x`, { method, ...(method === 'POST' ? { body: 'x'.repeat(100_000) } : {}) })
    assert.deepEqual([refused.status, refused.headers.get('allow')], [405, 'GET, HEAD'], method)
  }
  for (const path of ['/', '/y', '/x/', '//x', '/__proto__', '/constructor', '/toString', '/x%00'])
    assert.equal((await fetch(`${server.url}${path}`)).status, 404, path)
  for (const target of ['http://elsewhere/y', 'https://elsewhere/x', '*', '/../../x', 'x'])
    assert.match(
      (await talked(server.port, `GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`)).told,
      /^HTTP\/1\.1 40[04] /,
      target,
    )
})

test('a page that fails is answered with 500 and reported, without its content', async () => {
  await using server = await served({ '/broken': collected(() => Promise.reject(new Error('password=secret'))) })
  const answer = await fetch(`${server.url}/broken`)
  assert.equal(answer.status, 500)
  assert.doesNotMatch(await answer.text(), /secret/)
  assert.deepEqual(
    server.failures.map(([path]) => path),
    ['/broken'],
  )
})

test('a client that does not speak HTTP is cut off', async () => {
  await using server = await served()
  for (const text of [
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc',
    'GET\r\n\r\n',
    'GET /x HTTP/9.9\r\n\r\n',
    'GET /x HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n',
    '\0'.repeat(5_000),
  ]) {
    const { told, tookMs } = await talked(server.port, text)
    assert.doesNotMatch(told, /200 OK/)
    assert.ok(tookMs < CUT_MS, text)
  }
  assert.match((await talked(server.port, `GET /x HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(9_000)}\r\n\r\n`)).told, /^HTTP\/1\.1 431 /)
  assert.equal((await fetch(`${server.url}/x`)).status, 200)
})

const dribbling =
  (bytes: string) =>
  (socket: Socket): void => {
    const timer = setInterval(() => socket.write(bytes), 200)
    socket.once('close', () => clearInterval(timer))
  }

const reading =
  (waitMs: number) =>
  (socket: Socket): void => {
    socket.pause()
    setTimeout(() => socket.resume(), waitMs)
  }

const LARGE = 30_000_000

test('slow clients are cut off: silent, a byte now and then, a body that never ends, an answer that is not fetched', async () => {
  await using server = await served({ '/large': collected(async () => ({ ...plain(200, ''), body: 'x'.repeat(LARGE) })) })
  const request = 'GET /x HTTP/1.1\r\nHost: h\r\n'
  const [late, ...slow] = await Promise.all([
    talked(server.port, 'GET /large HTTP/1.1\r\nHost: h\r\n\r\n', reading(CUT_MS)),
    talked(server.port, ''),
    talked(server.port, `${request}X: `, dribbling('x')),
    talked(server.port, `${request}Content-Length: 100000\r\n\r\n`, dribbling('x')),
    talked(server.port, `${request}Transfer-Encoding: chunked\r\n\r\n`, dribbling('1\r\nx\r\n')),
    talked(server.port, `${request}\r\n`),
  ])
  assert.ok(late.told.length > 0 && late.told.length < LARGE)
  assert.ok(
    slow.every(({ tookMs }) => tookMs < CUT_MS),
    JSON.stringify(slow),
  )
})

/** More than are held at once. */
const MANY = 600

async function connected(port: number, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {}))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  return sockets
}

const ASKED = 'GET /x HTTP/1.1\r\nHost: h\r\n\r\n'

test('a newcomer takes the place of the connection that has said nothing for longest', async () => {
  await using server = await served()
  const first = await connected(server.port, 10)
  const ended = Promise.all(first.map((socket) => once(socket.resume(), 'end')))
  const more = await connected(server.port, MANY)
  // Well before their time is over.
  await Promise.race([ended, sleep(4_000).then(() => assert.fail('the first are still connected'))])
  assert.match((await talked(server.port, ASKED)).told, /^HTTP\/1\.1 200 /)
  const newest = more.at(-1)!
  newest.write(ASKED)
  assert.match(String((await once(newest, 'data'))[0]), /^HTTP\/1\.1 200 /)
  for (const socket of [...first, ...more]) socket.destroy()
})

test('a page is held for some dozens of clients that do not take it, and then for the newest', async () => {
  await using server = await served({ '/page': shown(async () => plain(200, 'page')) }, { allowedHosts: ['*'] })
  const clients = await connected(server.port, 80)
  for (const client of clients) {
    client.resume().write('GET /page HTTP/1.1\r\nHost: h\r\n\r\n')
    await once(client, 'end')
  }
  // A reset shows to who writes.
  const gone = Promise.all(clients.slice(0, 16).map((client) => new Promise((resolve) => client.once('close', resolve))))
  const writing = setInterval(() => clients.forEach((client) => client.writable && client.write('x')), 50).unref()
  await Promise.race([gone, sleep(4_000).then(() => assert.fail('the first are still connected'))])
  clearInterval(writing)
  assert.ok(clients.slice(16).every(({ destroyed }) => !destroyed))
  for (const client of clients) client.destroy()
})

const LINE_FEEDS_ALONE = ASKED.replaceAll('\r', '')

test('one request is read from a connection, and nothing that follows it', async () => {
  let made = 0
  await using server = await served({ '/page': probe(() => ((made += 1), plain(200, 'page'))) })
  const page = 'GET /page HTTP/1.1\r\nHost: h\r\n\r\n'
  const { told } = await talked(server.port, page.repeat(1_000))
  assert.equal(told.split('HTTP/1.1 200 OK').length, 2)
  assert.match(told, /^connection: close\r$/m)
  assert.equal(made, 1)
  for (const first of [`GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc`, `\r\n${page}`, `\n\n${page}`, LINE_FEEDS_ALONE]) {
    made = 0
    await talked(server.port, first + page.repeat(1_000))
    assert.ok(made <= 1, `${made} after ${JSON.stringify(first)}`)
  }
})

test('a request is understood however it is cut into packets', async () => {
  await using server = await served()
  for (const size of [1, 2, 3, ASKED.length - 1]) {
    const parts = ASKED.match(new RegExp(`[^]{1,${size}}`, 'g'))!
    const { told } = await talked(server.port, parts[0], async (socket) => {
      socket.setNoDelay(true)
      for (const part of parts.slice(1)) {
        await sleep(1)
        socket.write(part)
      }
    })
    assert.match(told, /^HTTP\/1\.1 200 OK/, String(size))
  }
})

const closing = (socket: Socket): void => void socket.end()

test('a client that closes its side after the request is answered, and one that closes it before is dropped', async () => {
  await using server = await served({ '/late': collected(() => sleep(50, plain(200, 'late'))) })
  assert.match((await talked(server.port, 'GET /late HTTP/1.0\r\n\r\n', closing)).told, /^HTTP\/1\.1 200 OK[^]*late\n$/)
  for (const text of ['', 'GET /late HT']) {
    const { told, tookMs } = await talked(server.port, text, closing)
    assert.equal(told, '')
    assert.ok(tookMs < 1_000, text)
  }
})

test('a body is not waited for, and one without end is not read', async () => {
  await using server = await served()
  // Goes on sending when it has been answered.
  const [socket] = await connected(server.port, 1)
  const begun = performance.now()
  let told = ''
  socket!.setEncoding('utf8').on('data', (text: string) => (told += text))
  const closed = new Promise((resolve) => socket!.once('close', resolve))
  const more = (): void => void (socket!.writable && socket!.write('x'.repeat(65_536), more))
  socket!.write('POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n', more)
  await closed
  assert.match(told, /^(?:HTTP\/1\.1 405 |$)/)
  // Well before its time is over.
  assert.ok(performance.now() - begun < 3_000)
})

test('a header ends with an empty line, also where lines end without a carriage return', async () => {
  const texts: string[] = []
  const listener = createServer((socket) => {
    socket.once('data', (first) => new SingleRequest(socket, first).setEncoding('utf8').on('data', (text: string) => texts.push(text)))
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  for (const head of ['GET / HTTP/1.1\nHost: h\n\n', 'GET / HTTP/1.1\r\nHost: h\n\r\n', ASKED]) {
    const client = connect(port, '127.0.0.1').on('error', () => {})
    client.end(`${head}GET /more HTTP/1.1\n\n`)
    await once(client.resume(), 'end').catch(() => {})
    assert.equal(texts.splice(0).join(''), head)
  }
  listener.close()
})

test('a few empty lines before a request are skipped, and more are refused', async () => {
  await using server = await served()
  const request = 'GET /x HTTP/1.1\r\nHost: h\r\n\r\n'
  for (const blank of ['\r\n', '\n', '\r\n\r\n', '\r\n\r\n\r\n', '\n\n\n\n']) {
    const whole = await talked(server.port, blank + request)
    assert.match(whole.told, /^HTTP\/1\.1 200 [^]*hello\n$/, JSON.stringify(blank))
    assert.ok(whole.tookMs < SOON_MS)
    const cut = await talked(server.port, blank, (socket) => setTimeout(() => socket.write(request), 50))
    assert.match(cut.told, /^HTTP\/1\.1 200 /, JSON.stringify(blank))
  }
  for (const blank of ['\r\n'.repeat(5), '\r\n'.repeat(50_000), '\r'.repeat(9), '\n'.repeat(1_000)])
    for (const more of ['', request]) {
      const { told, tookMs } = await talked(server.port, blank + more)
      assert.match(told, /^HTTP\/1\.1 400 [^]*Connection: close/, JSON.stringify(blank.slice(0, 20)))
      assert.ok(tookMs < SOON_MS)
    }
})

test('another version of HTTP is refused at once, however it is cut into packets', async () => {
  await using server = await served()
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
  for (const text of [
    preface,
    `${preface}\0\0\x12\x04\0\0\0\0\0`,
    'GET /x HTTP/2.0\r\nHost: h\r\n\r\n',
    'GET /x HTTP/3.7\r\nHost: h\r\n\r\n',
  ]) {
    const { told, tookMs } = await talked(server.port, text)
    assert.match(told, /^HTTP\/1\.1 505 [^]*Connection: close/i, text)
    assert.ok(tookMs < SOON_MS)
  }
  for (const at of [1, 3, 4, 14, 17, 18, 20]) {
    const { told } = await talked(server.port, preface.slice(0, at), (socket) => setTimeout(() => socket.write(preface.slice(at)), 20))
    assert.match(told, /^HTTP\/1\.1 505 /, String(at))
  }
})

test('an upgrade, a tunnel and an expectation are ended', async () => {
  await using server = await served()
  const ask = async (head: string): Promise<string> => (await talked(server.port, `${head}\r\nHost: h\r\n\r\n`)).told
  assert.match(await ask('GET /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket'), /^HTTP\/1\.1 200 OK[^]*connection: close/)
  assert.match(await ask('CONNECT h:22 HTTP/1.1'), /^HTTP\/1\.1 405 [^]*Allow: GET, HEAD\r\n/)
  assert.match(await ask('POST /x HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue'), /HTTP\/1\.1 405 /)
  assert.match(await ask('GET /x HTTP/1.1\r\nExpect: a miracle'), /^HTTP\/1\.1 417 /)
})

test('a page that many clients request at once is rendered once, and a failing one is reported once', async () => {
  let made = 0
  const routes = {
    '/page': collected(async () => ((made += 1), await sleep(50), plain(200, 'page'))),
    '/broken': collected(() => sleep(50).then(() => Promise.reject(new Error('x')))),
  }
  await using server = await served(routes)
  const statuses = async (path: string): Promise<number[]> =>
    Promise.all(Array.from({ length: 40 }, async () => (await fetch(`${server.url}${path}`)).status))
  const begun = performance.now()
  assert.deepEqual([...new Set(await statuses('/page'))], [200])
  // Where forty connections take their time, it is made anew every 150 ms.
  assert.ok(made <= 1 + (performance.now() - begun) / 150, String(made))
  assert.deepEqual([...new Set(await statuses('/broken'))], [500])
  assert.ok(server.failures.length < 10)
  await sleep(150)
  const before = made
  await statuses('/page')
  assert.ok(made > before)
})

const PAGES = { '/page': shown(async () => plain(200, 'page')), '/counts': collected(async () => plain(200, 'counts')) }

test('on loopback a page is shown to requests by address or for localhost, and a probe to all', async () => {
  await using server = await served(PAGES)
  const status = async (request: string): Promise<string> =>
    /^HTTP\/1\.1 (\d+)/.exec((await talked(server.port, `${request}\r\n\r\n`)).told)?.[1] ?? 'none'
  const asking = (host: string, path = '/page'): Promise<string> => status(`GET ${path} HTTP/1.1\r\nHost: ${host}`)
  for (const host of ['localhost', 'LOCALHOST:9465', 'localhost.:80', '127.0.0.1', '10.1.2.3:8080', '[::1]:9465', '[2001:db8::1]'])
    assert.equal(await asking(host), '200', host)
  for (const host of [
    'evil.example',
    'localhost.evil.example:9465',
    'evil.localhost',
    '127.0.0.1.evil.example',
    'localhost:80:80',
    'u@localhost',
    '::1',
    '[::1',
    '%6cocalhost',
    '',
  ]) {
    assert.equal(await asking(host), '421', host)
    for (const path of ['/x', '/counts']) assert.equal(await asking(host, path), '200', `${host} ${path}`)
  }
  const refused = await talked(server.port, 'GET /page HTTP/1.1\r\nHost: evil.example\r\n\r\n')
  assert.match(refused.told, /HTTP_ALLOWED_HOSTS\)\n$/)
  assert.doesNotMatch(refused.told, /evil/)

  // HTTP/1.0 needs none, and then names none.
  assert.deepEqual([await status('GET /x HTTP/1.0'), await status('GET /page HTTP/1.0')], ['200', '421'])
  assert.equal(await status('GET /x HTTP/1.1'), '400')
  for (const path of ['/page', '/x']) assert.equal(await status(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nhOST: localhost`), '400')

  // A whole address goes before the header.
  assert.equal(await status('GET http://localhost:1/page?q HTTP/1.1\r\nHost: evil.example'), '200')
  assert.equal(await status('GET HTTP://evil.example/page HTTP/1.1\r\nHost: localhost'), '421')
  assert.equal(await status('GET http://evil.example/x HTTP/1.1\r\nHost: localhost'), '200')
  assert.equal(await status('GET http://localhost@evil.example/page HTTP/1.1\r\nHost: localhost'), '400')
  assert.equal(await status('GET http:///page HTTP/1.1\r\nHost: localhost'), '421')
})

async function statusFor({ port }: Fixture, host: string): Promise<number> {
  return Number((await talked(port, `GET /page HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).told.slice(9, 12))
}

test('listed hosts are shown pages too on loopback, and they alone beyond it; without a list everybody is', async () => {
  const allowedHosts = ['maintenance.example.com', '*.internal', '10.0.0.7']
  const asked: [host: string, onLoopback: number, beyond: number][] = [
    ['Maintenance.Example.com.:9465', 200, 200],
    ['a.b.internal', 200, 200],
    ['10.0.0.7:80', 200, 200],
    ['internal', 421, 421],
    ['xinternal', 421, 421],
    ['x.maintenance.example.com', 421, 421],
    ['10.0.0.8', 200, 421],
    ['localhost', 200, 421],
  ]
  await using onLoopback = await served(PAGES, { allowedHosts })
  await using beyond = await served(PAGES, { host: '0.0.0.0', allowedHosts })
  await using unlisted = await served(PAGES, { host: '0.0.0.0' })
  for (const [host, first, second] of asked)
    assert.deepEqual(
      [await statusFor(onLoopback, host), await statusFor(beyond, host), await statusFor(unlisted, host)],
      [first, second, 200],
      host,
    )
})

test('it closes at once, whoever is still connected', async () => {
  const never = new Promise<never>(() => {})
  const server = await served({ '/never': collected(() => never) })
  const idle = talked(server.port, 'GET /x HTTP/1.1\r\nHost: h\r\n\r\n')
  const waiting = talked(server.port, 'GET /never HTTP/1.1\r\nHost: h\r\n\r\n')
  const half = talked(server.port, 'GET /x HT')
  const silent = await connected(server.port, MANY)
  await fetch(`${server.url}/x`)
  await sleep(20)
  const begun = performance.now()
  await server[Symbol.asyncDispose]()
  await Promise.all([idle, waiting, half])
  for (const socket of silent) socket.destroy()
  assert.ok(performance.now() - begun < 1_000)
  await assert.rejects(fetch(`${server.url}/x`))
})

test('an address that cannot be listened on is reported with what to do, as a mistake in the settings', async () => {
  await using taken = await served()
  const cases: [host: string, port: number, message: RegExp][] = [
    [
      '127.0.0.1',
      taken.port,
      /^http\.enabled is set, but the worker cannot listen at http:\/\/127\.0\.0\.1:\d+: another process has the port; .*HTTP_PORT/,
    ],
    ['192.0.2.1', 0, /this machine does not have the address; .*HTTP_HOST/],
    ['no-such-host.invalid', 0, /the name is not known|getaddrinfo/],
  ]
  for (const [host, port, message] of cases) {
    await assert.rejects(startServer({ ...NOTHING, host, port }), (error) => {
      assert.ok(error instanceof MaintenanceError)
      assert.deepEqual([error.code, error.exitCode], ['HTTP_UNAVAILABLE', 2])
      assert.match(error.message, message)
      return true
    })
  }
})

test('an address of version 6 is written as one', async (t) => {
  const attempt = createServer()
  const has = await new Promise((resolve) => attempt.once('error', () => resolve(false)).listen(0, '::1', () => resolve(true)))
  attempt.close()
  if (has !== true) return t.skip('this machine has no ::1')
  await using server = await startServer({ ...NOTHING, host: '::1', routes: { '/x': probe(() => plain(200, 'six')) } })
  assert.match(server.url, /^http:\/\/\[::1\]:\d+$/)
  assert.equal(await (await fetch(`${server.url}/x`)).text(), 'six\n')
})
