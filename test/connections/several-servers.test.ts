import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { DatabaseError } from '../../src/database/database-error.ts'
import { listening, opened, type Opening } from '../database/postgres/fixture.ts'
import { Authority } from '../support/certificates.ts'
import { command, events } from '../support/command.ts'
import type { PostgresServer } from '../support/postgres-server.ts'
import { ReplicatedPair } from '../support/standby.ts'
import { commandWithHosts, withoutOwnHosts } from './own-hosts.ts'
import { freshFolder, NEWEST, PASSWORD, portOf, startServer, urlWith, type Folder } from './servers.ts'

/** Nobody listens there. */
const NOBODY = '1'

let folder: Folder
let first: PostgresServer
let second: PostgresServer
let silent: Server
let root: string
before(async () => {
  folder = await freshFolder()
  const authority = new Authority('test authority')
  root = await folder.write('root.crt', authority.root)
  ;[first, second] = await Promise.all([
    startServer(authority, authority.server('first.test')),
    startServer(authority, authority.server('second.test')),
  ])
  silent = createServer().listen(0, '127.0.0.1')
})
after(async () => {
  silent.close()
  await Promise.all([first.stop(), second.stop()])
  await folder[Symbol.asyncDispose]()
})

async function portReached(url: string, opening: Opening = {}): Promise<string> {
  await using database = await opened(url, opening)
  const { rows } = await database.query<{ port: number }>('SELECT pg_catalog.inet_server_port() AS port')
  return String(rows[0]!.port)
}

async function failure(url: string, opening: Opening = {}): Promise<DatabaseError> {
  try {
    await portReached(url, { connectTimeoutMs: 400, ...opening })
  } catch (error) {
    assert.ok(error instanceof DatabaseError, String(error))
    assert.doesNotMatch(error.message, new RegExp(PASSWORD))
    return error
  }
  throw new Error('connected')
}

function silentPort(): string {
  const address = silent.address()
  return String(typeof address === 'object' ? address?.port : '')
}

function verified(host: string, port: string): string {
  const place = { host, port, hostaddr: '127.0.0.1,127.0.0.1', user: 'trusted', dbname: 'postgres' }
  return urlWith({ ...place, sslmode: 'verify-full', sslrootcert: root })
}

function drawing(...numbers: number[]): Opening {
  return { random: () => numbers.shift() ?? 0 }
}

describe('several servers', () => {
  test('the first that answers is taken, in each way to write them', async () => {
    const port = portOf(second)
    const both = `127.0.0.1:${NOBODY},127.0.0.1:${port}`
    for (const url of [
      `postgresql://trusted@${both}/postgres`,
      `postgresql://trusted@127.0.0.1,127.0.0.1/postgres?port=${NOBODY},${port}`,
      `postgresql:///postgres?host=127.0.0.1,127.0.0.1&port=${NOBODY},${port}&user=trusted`,
      `postgresql+psycopg2://trusted@/postgres?host=127.0.0.1:${NOBODY}&host=127.0.0.1:${port}`,
      `postgresql+asyncpg://trusted@/postgres?host=127.0.0.1&host=127.0.0.1&port=${NOBODY},${port}`,
      `jdbc:postgresql://${both}/postgres?user=trusted`,
      `jdbc:postgresql://${both}/postgres?user=trusted&targetServerType=primary&loadBalanceHosts=true`,
    ])
      assert.equal(await portReached(url), port, url)
  })

  test('one that never answers does not keep the others from being asked, and is waited for where there is none', async () => {
    const port = portOf(second)
    assert.equal(await portReached(`postgresql://trusted@127.0.0.1:${silentPort()},127.0.0.1:${port}/postgres?connect_timeout=2`), port)
    const none = `postgresql://trusted@127.0.0.1:${NOBODY},127.0.0.1:${silentPort()}/postgres?connect_timeout=2`
    const { listener, lines } = listening()
    const error = await failure(none, { connectTimeoutMs: 3_000, listener })
    assert.equal(error.kind, 'unreachable')
    assert.match(
      error.message,
      new RegExp(`127\\.0\\.0\\.1:${NOBODY}: connect ECONNREFUSED.*; 127\\.0\\.0\\.1:${silentPort()}: timeout expired`),
    )
    assert.match(error.message, /tried [2-9] times/)
    assert.equal(lines.filter((line) => line.startsWith('awaiting')).length, 1)
  })

  test('a refusal ends the attempt, and says whose it is and what was wrong with those before', async () => {
    const both = `127.0.0.1:${NOBODY},127.0.0.1:${portOf(first)},127.0.0.1:${portOf(second)}`
    const error = await failure(`postgresql://scram_user:wrong@${both}/postgres`)
    assert.equal(error.kind, 'refused')
    assert.match(
      error.message,
      new RegExp(
        `${NOBODY}: connect ECONNREFUSED .*; 127\\.0\\.0\\.1:${portOf(first)}: password authentication failed for user "scram_user" \\[28P01\\]`,
      ),
    )
    assert.doesNotMatch(error.message, new RegExp(`127\\.0\\.0\\.1:${portOf(second)}: `))
  })

  test('each is checked against its own name', async () => {
    const [a, b] = [portOf(first), portOf(second)]
    assert.equal(await portReached(verified('first.test,second.test', `${a},${b}`)), a)
    assert.equal(await portReached(verified('first.test,second.test', `${NOBODY},${b}`)), b)
    const swapped = await failure(verified('second.test,first.test', `${a},${b}`))
    assert.equal(swapped.kind, 'refused')
    assert.match(swapped.message, new RegExp(`second\\.test:${a} \\(127\\.0\\.0\\.1\\): .*first\\.test`))
    assert.match((await failure(verified('first.test,first.test', `${NOBODY},${b}`))).message, /ALTNAME|altnames/)
  })

  test('load_balance_hosts=random tries them in another order each time', async () => {
    const [a, b] = [portOf(first), portOf(second)]
    const url = `postgresql://trusted@127.0.0.1:${a},127.0.0.1:${b}/postgres`
    assert.equal(await portReached(`${url}?load_balance_hosts=random`, drawing(0.1, 0.9)), a)
    assert.equal(await portReached(`${url}?load_balance_hosts=random`, drawing(0.9, 0.1)), b)
    assert.equal(await portReached(`${url}?load_balance_hosts=disable`, drawing(0.9, 0.1)), a)
    assert.equal(await portReached(url, drawing(0.9, 0.1)), a)
  })

  test('a standby is passed over by what writes, and taken by what only reads, unless the primary is asked for', async () => {
    await using pair = await ReplicatedPair.start(NEWEST)
    const [primary, standby] = [new URL(pair.primaryUrl).port, new URL(pair.standbyUrl).port]
    const url = `postgresql://postgres@127.0.0.1:${standby},127.0.0.1:${primary}/postgres`
    const reading = { access: 'read' } as const
    assert.equal(await portReached(url), primary)
    assert.equal(await portReached(url, reading), standby)
    for (const attributes of ['target_session_attrs=primary', 'target_session_attrs=read-write'])
      assert.equal(await portReached(`${url}?${attributes}`, reading), primary)
    assert.equal(
      await portReached(
        `jdbc:postgresql://127.0.0.1:${standby},127.0.0.1:${primary}/postgres?user=postgres&targetServerType=master`,
        reading,
      ),
      primary,
    )

    const none = await failure(`postgresql://postgres@127.0.0.1:${standby},127.0.0.1:${NOBODY}/postgres`)
    assert.equal(none.kind, 'read-only')
    assert.match(
      none.message,
      /names no server that will do \(127\.0\.0\.1:\d+ is a standby and takes no writes; 127\.0\.0\.1:1: connect ECONNREFUSED/,
    )
    const status = await command(['status'], { env: { DATABASE_URL: url } })
    assert.equal(status.code, 0, status.stdout)
    const migrated = await command(['migrate'], { env: { DATABASE_URL: url } })
    assert.equal(migrated.code, 0, migrated.stdout)
    assert.ok(events(migrated, 'migration.applied').length > 0)
  })
})

const skip = await withoutOwnHosts()

test('a name that stands for several addresses: each is tried, and certificates are checked against the name', { skip }, async () => {
  const hosts = await folder.write('hosts', '127.0.0.2 first.test second.test\n127.0.0.1 localhost first.test second.test\n', 0o644)
  const status = async (host: string): Promise<string> => {
    const url = urlWith({ host, port: portOf(first), user: 'trusted', dbname: 'postgres', sslmode: 'verify-full', sslrootcert: root })
    return (await commandWithHosts(hosts, ['status'], { DATABASE_URL: url })).output
  }
  assert.match(await status('first.test'), /first\.test:\d+\/postgres/)
  assert.doesNotMatch(await status('first.test'), /cannot be reached|refused/)
  assert.match(await status('second.test'), /second\.test:\d+ \(127\.0\.0\.1\): .*first\.test/)
})
