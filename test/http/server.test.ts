import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MaintenanceError } from '../../src/errors.ts'
import { plain, startServer, type HttpServer, type Pages } from '../../src/http/server.ts'

interface Fixture extends HttpServer {
  readonly port: number
  readonly failures: [string, unknown][]
}

async function served(pages: Pages = {}): Promise<Fixture> {
  const failures: [string, unknown][] = []
  const failed = (path: string, error: unknown): void => void failures.push([path, error])
  const server = await startServer({ host: '127.0.0.1', port: 0, pages: { '/x': () => plain(200, 'hello'), ...pages }, failed })
  return { ...server, port: Number(new URL(server.url).port), failures }
}

/** What a client that writes `text` is told until the connection ends, and after how long that is. */
async function talked(port: number, text: string, more: (socket: Socket) => void = () => {}): Promise<{ told: string; tookMs: number }> {
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

test('a page is read with GET and HEAD, and never kept', async () => {
  await using server = await served()
  const got = await fetch(`${server.url}/x?a=b`)
  assert.equal(got.status, 200)
  assert.equal(await got.text(), 'hello\n')
  assert.equal(got.headers.get('cache-control'), 'no-store')
  assert.equal(got.headers.get('content-type'), 'text/plain; charset=utf-8')
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
  for (const target of ['http://elsewhere/x', '*', '/../../x', 'x'])
    assert.match(
      (await talked(server.port, `GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`)).told,
      /^HTTP\/1\.1 40[04] /,
      target,
    )
})

test('a page that breaks is answered with 500 and told of, without what it said', async () => {
  await using server = await served({ '/broken': () => Promise.reject(new Error('password=secret')) })
  const answer = await fetch(`${server.url}/broken`)
  assert.equal(answer.status, 500)
  assert.doesNotMatch(await answer.text(), /secret/)
  assert.deepEqual(
    server.failures.map(([path]) => path),
    ['/broken'],
  )
})

test('who speaks no HTTP is cut off', async () => {
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
  await using server = await served({ '/large': () => ({ ...plain(200, ''), body: 'x'.repeat(LARGE) }) })
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

test('more connections than a few are turned away, and those that go make room', async () => {
  await using server = await served()
  const held = Array.from({ length: 32 }, () => connect(server.port, '127.0.0.1'))
  await Promise.all(held.map((socket) => once(socket, 'connect')))
  for (const socket of held) socket.on('error', () => {})
  assert.equal((await talked(server.port, 'GET /x HTTP/1.1\r\nHost: h\r\n\r\n')).told, '')
  for (const socket of held) socket.destroy()
  let status = 0
  while (status !== 200)
    status = await fetch(`${server.url}/x`).then(
      (answer) => answer.status,
      () => 0,
    )
})

test('it closes at once, whoever is still connected', async () => {
  const never = new Promise<never>(() => {})
  const server = await served({ '/never': () => never })
  const idle = talked(server.port, 'GET /x HTTP/1.1\r\nHost: h\r\n\r\n')
  const waiting = talked(server.port, 'GET /never HTTP/1.1\r\nHost: h\r\n\r\n')
  const half = talked(server.port, 'GET /x HT')
  await fetch(`${server.url}/x`)
  await sleep(20)
  const begun = performance.now()
  await server[Symbol.asyncDispose]()
  await Promise.all([idle, waiting, half])
  assert.ok(performance.now() - begun < 1_000)
  await assert.rejects(fetch(`${server.url}/x`))
})

test('an address that cannot be listened at is told with what to do, and is a mistake of settings', async () => {
  await using taken = await served()
  const cases: [host: string, port: number, message: RegExp][] = [
    [
      '127.0.0.1',
      taken.port,
      /^http\.enabled is set, and http:\/\/127\.0\.0\.1:\d+ cannot be listened at: another process has the port; .*HTTP_PORT/,
    ],
    ['192.0.2.1', 0, /this machine does not have the address; .*HTTP_HOST/],
    ['no-such-host.invalid', 0, /the name is not known|getaddrinfo/],
  ]
  for (const [host, port, message] of cases) {
    await assert.rejects(startServer({ host, port, pages: {}, failed: () => {} }), (error) => {
      assert.ok(error instanceof MaintenanceError)
      assert.deepEqual([error.code, error.exitCode], ['HTTP_UNAVAILABLE', 2])
      assert.match(error.message, message)
      return true
    })
  }
})

test('an address of version 6 is written as one', async (t) => {
  const probe = createServer()
  const has = await new Promise((resolve) => probe.once('error', () => resolve(false)).listen(0, '::1', () => resolve(true)))
  probe.close()
  if (has !== true) return t.skip('this machine has no ::1')
  await using server = await startServer({ host: '::1', port: 0, pages: { '/x': () => plain(200, 'six') }, failed: () => {} })
  assert.match(server.url, /^http:\/\/\[::1\]:\d+$/)
  assert.equal(await (await fetch(`${server.url}/x`)).text(), 'six\n')
})
