// Opens connections to a port of this machine that ask for too much, or for nothing, and opens each anew when it is ended.
// A process of its own, so that its work does not pass for the worker's: node test/support/hostile-clients.ts PORT KIND COUNT
import { connect, type Socket } from 'node:net'

const LONGEST_MS = 60_000
/** 600 then open 2,400 connections a second: more than that is a matter of how fast a process can accept them, not of what it does with them. */
const AGAIN_MS = 250

const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`

/** What each does once it is connected. */
export const KINDS = {
  silent: () => {},
  'half a request': (socket) => socket.write('GET /healthz HT'),
  'a byte now and then': (socket) => {
    socket.write('GET /healthz HTTP/1.1\r\nX: ')
    every(500, socket, () => socket.write('x'))
  },
  'a body now and then': (socket) => {
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n')
    every(500, socket, () => socket.write('1\r\nx\r\n'))
  },
  'a body without end': (socket) =>
    flood(socket, 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n', 'x'.repeat(65_536)),
  'a header without end': (socket) => flood(socket, 'GET / HTTP/1.1\r\nHost: localhost\r\n', `X: ${'x'.repeat(1_000)}\r\n`.repeat(64)),
  'no HTTP': (socket) => flood(socket, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc', '\0'.repeat(65_536)),
  '1,000 requests for /': (socket) => socket.write(request('/').repeat(1_000)),
  '1,000 requests for /metrics': (socket) => socket.write(request('/metrics').repeat(1_000)),
  '1,000 requests for /status': (socket) => socket.write(request('/status').repeat(1_000)),
  '1,000 requests for /healthz': (socket) => socket.write(request('/healthz').repeat(1_000)),
  '1,000 requests, lines that end without a carriage return': (socket) => socket.write(request('/').replaceAll('\r', '').repeat(1_000)),
  '1,000 requests, none of the answers read': (socket) => socket.pause().write(request('/').repeat(1_000)),
  'requests without end': (socket) => flood(socket, '', request('/status').repeat(1_000)),
  'an answer that is not read': (socket) => socket.pause().write(request('/')),
  'many paths': (socket) => socket.write(request(`/${Math.random()}?${'x'.repeat(4_000)}`)),
  'an upgrade': (socket) => socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
  'a tunnel': (socket) => socket.write('CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n'),
  'HTTP/2': (socket) => flood(socket, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '\0'.repeat(65_536)),
  'empty lines without end': (socket) => flood(socket, '', '\r\n'.repeat(32_768)),
  'an expectation': (socket) => socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n'),
  'an end before the answer': (socket) => socket.end(request('/')),
  'a reset in the middle of the answer': (socket) => {
    socket.once('data', () => socket.resetAndDestroy())
    socket.write(request('/'))
  },
} as const satisfies Readonly<Record<string, (socket: Socket) => unknown>>

export type Kind = keyof typeof KINDS

function every(ms: number, socket: Socket, act: () => void): void {
  const timer = setInterval(act, ms)
  socket.once('close', () => clearInterval(timer))
}

function flood(socket: Socket, first: string, more: string): void {
  const on = (): void => {
    while (socket.writable && socket.write(more));
  }
  socket.on('drain', on).write(first)
  on()
}

function attack(port: number, kind: Kind): void {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.once('close', () => setTimeout(attack, AGAIN_MS, port, kind))
  socket.once('connect', () => {
    socket.resume()
    KINDS[kind](socket)
  })
}

const [port, kind, count] = process.argv.slice(2)
if (import.meta.main && port !== undefined && kind !== undefined) {
  setTimeout(() => process.exit(), LONGEST_MS)
  for (let at = 0; at < Number(count); at += 1) attack(Number(port), kind as Kind)
  setTimeout(() => process.stdout.write('attacking\n'), 500)
}
