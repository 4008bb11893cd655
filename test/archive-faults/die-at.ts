// Loaded before the program: ends it with SIGKILL at the moment number DIE_AT. Each call to the file system and the database is counted as
// two moments, before and after it: a file that is open and not written, a COMMIT that was sent and not answered. A request to a bucket has three.
import BetterSqlite3 from 'better-sqlite3'
import fs from 'node:fs'
import http, { type ClientRequest } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { Client } from 'pg'

const dieAt = Number(process.env['DIE_AT'])
const from = process.env['DIE_FROM'] ?? ''
let counting = from === ''
let moments = 0

function moment(): void {
  if (!counting) return
  moments += 1
  if (moments === dieAt) process.kill(process.pid, 'SIGKILL')
}

// oxlint-disable-next-line typescript/no-explicit-any -- functions of any kind
type Any = (...values: any[]) => unknown

function watched(owner: object, name: string): void {
  const original = Reflect.get(owner, name) as Any
  Reflect.set(owner, name, function (this: unknown, ...values: unknown[]) {
    // Counting starts only after the start-up.
    if (!counting && textOf(values[0]).includes(from)) counting = true
    moment()
    const result = original.apply(this, values)
    moment()
    if (name === 'open' && result instanceof Promise) return result.then((handle: object) => watchedHandle(handle))
    return result
  })
}

/** A statement is text, or an object that contains it. */
function textOf(statement: unknown): string {
  if (typeof statement === 'string') return statement
  if (typeof statement !== 'object' || statement === null) return ''
  const text: unknown = Reflect.get(statement, 'text')
  return typeof text === 'string' ? text : ''
}

function watchedHandle<T extends object>(handle: T): T {
  for (const name of ['write', 'writeFile', 'sync', 'close']) watched(handle, name)
  return handle
}

for (const name of ['open', 'link', 'rename', 'rm', 'mkdir', 'readdir']) watched(fs.promises, name)

const request = Reflect.get(http, 'request') as Any
/** A request to a bucket: before it is sent, when it was sent, and when its answer has come. */
Reflect.set(http, 'request', (...values: unknown[]) => {
  moment()
  const sent = request(...values) as ClientRequest
  sent.once('finish', moment)
  sent.once('response', moment)
  return sent
})
syncBuiltinESMExports()

watched(Client.prototype, 'query')

const prepare = Reflect.get(BetterSqlite3.prototype, 'prepare') as Any
Reflect.set(BetterSqlite3.prototype, 'prepare', function (this: unknown, sql: string) {
  const statement = prepare.call(this, sql) as object
  if (/^(BEGIN|COMMIT|INSERT|UPDATE|DELETE)/.test(sql)) for (const name of ['run', 'all']) watched(statement, name)
  if (!counting && sql.includes(from)) counting = true
  return statement
})

process.on('exit', () => process.stderr.write(`moments ${moments}\n`))
