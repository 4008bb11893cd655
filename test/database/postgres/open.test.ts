import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { DatabaseError } from '../../../src/database/database-error.ts'
import { freshPostgres, POSTGRES_MAJORS, serverUrl } from '../../support/databases.ts'
import { ROLE_WITH_PASSWORD, TLS_MAJOR, TLS_ROOT } from '../../support/postgres-server.ts'
import { listening, opened } from './fixture.ts'

function isTrouble(kind: string, ...parts: RegExp[]): (error: unknown) => true {
  return (error) => {
    assert(error instanceof DatabaseError, String(error))
    assert.equal(error.kind, kind, error.message)
    for (const part of parts) assert.match(error.message, part)
    assert.doesNotMatch(error.message, /sesame|s3cret/)
    return true
  }
}

function changed(url: string, change: (url: URL) => void): string {
  const copy = new URL(url)
  change(copy)
  return copy.href
}

interface Listening extends AsyncDisposable {
  readonly port: number
}

/** Something that is not PostgreSQL, on a free port; gone with all its connections when it is disposed of. */
async function listeningServer(onConnection: (socket: Socket, onward: () => Socket) => void): Promise<Listening> {
  const sockets: Socket[] = []
  const target = new URL(serverUrl(POSTGRES_MAJORS[0]!))
  const kept = (socket: Socket): Socket => {
    sockets.push(socket.on('error', () => undefined))
    return socket
  }
  const server = createServer((socket) => onConnection(kept(socket), () => kept(connect(Number(target.port), target.hostname))))
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert(typeof address === 'object' && address !== null)
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => void server.close(resolve))
    },
  }
}

/** By name: the certificate holds no address. */
function named(parameters: string): string {
  return changed(serverUrl(TLS_MAJOR), (to) => (to.hostname = 'localhost')) + parameters
}

for (const major of POSTGRES_MAJORS) {
  void describe(`opening PostgreSQL ${major}`, () => {
    void test('a wrong password is reported at once, and the message does not contain it', async () => {
      const url = changed(serverUrl(major), (to) => {
        to.username = ROLE_WITH_PASSWORD.name
        to.password = 's3cret'
      })
      const started = performance.now()
      await assert.rejects(opened(url), isTrouble('refused', /28P01/, /DATABASE_URL/, /Nothing was changed/))
      assert(performance.now() - started < 5_000)
    })

    void test('the right password opens', async () => {
      const url = changed(serverUrl(major), (to) => {
        to.username = ROLE_WITH_PASSWORD.name
        to.password = ROLE_WITH_PASSWORD.password
      })
      await using database = await opened(url)
      assert.deepEqual((await database.query('SELECT 1 AS one')).rows, [{ one: 1 }])
      assert.equal(JSON.stringify(database.label).includes(ROLE_WITH_PASSWORD.password), false)
    })

    void test('a missing database is waited for, but only briefly', async () => {
      const url = changed(serverUrl(major), (to) => (to.pathname = '/nowhere'))
      await assert.rejects(opened(url, { connectTimeoutMs: 500 }), isTrouble('refused', /3D000/, /nowhere/, /Create the database/))
    })

    void test('a missing schema is named', async () => {
      await assert.rejects(opened(serverUrl(major), { schema: 'gateway' }), isTrouble('refused', /CREATE SCHEMA "gateway"/))
    })

    void test('a role that may only read is refused for writing and accepted for reading', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET default_transaction_read_only = on`)
      await assert.rejects(opened(fresh.url), isTrouble('read-only', /default_transaction_read_only/))
      await using database = await opened(fresh.url, { access: 'read' })
      assert.equal((await database.query('SELECT 1')).rows.length, 1)
    })

    void test('opened for reading, nothing can be written', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query('CREATE TABLE t (id int)')
      await using database = await opened(fresh.url, { access: 'read' })
      await assert.rejects(database.query('INSERT INTO t VALUES (1)'), isTrouble('read-only'))
      await assert.rejects(
        database.transaction((tx) => tx.query('CREATE TABLE u (id int)')),
        isTrouble('read-only'),
      )
    })

    void test('PGTZ, TZ, DateStyle and search_path of a session change nothing: big integers are numbers and now is an epoch', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET DateStyle = 'German'`)
      await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET search_path = ''`)
      await using database = await opened(fresh.url)
      const before = Date.now()
      const now = await database.now()
      assert(Number.isInteger(now) && Math.abs(now - before) < 60_000, `${now}`)
      const { rows } = await database.query<{ big: number }>('SELECT 9007199254740991::bigint AS big')
      assert.equal(rows[0]?.big, Number.MAX_SAFE_INTEGER)
      await database.transaction(async (tx) => {
        assert(Math.abs(tx.now - before) < 60_000)
        assert.equal((await tx.query('SELECT 1 AS x')).rows.length, 1)
      })
    })

    void test('TLS is tried first, plain text is used if the server has no TLS, and sslmode=require insists', async () => {
      const encrypted = async (parameters: string): Promise<boolean> => {
        await using database = await opened(`${serverUrl(major)}${parameters}`, { connectTimeoutMs: 1_000 })
        const { rows } = await database.query<{ ssl: boolean }>('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
        return rows[0]?.ssl === true
      }
      assert.equal(await encrypted(''), major === TLS_MAJOR)
      assert.equal(await encrypted('?sslmode=prefer'), major === TLS_MAJOR)
      assert.equal(await encrypted('?sslmode=allow'), false)
      assert.equal(await encrypted('?sslmode=disable'), false)
      if (major === TLS_MAJOR) {
        assert.equal(await encrypted('?sslmode=require'), true)
        assert.equal(await encrypted(`?sslmode=verify-ca&sslrootcert=${TLS_ROOT}`), true)
      } else {
        await assert.rejects(encrypted('?sslmode=require'), isTrouble('refused', /does not support SSL/))
      }
    })
  })
}

void describe('verifying the server', () => {
  void test('verify-full takes a certificate for the name, signed by the given root', async () => {
    await using database = await opened(named(`?sslmode=verify-full&sslrootcert=${TLS_ROOT}`))
    assert.equal((await database.query('SELECT 1')).rows.length, 1)
  })

  void test('verify-full refuses a certificate for another name, and verify-ca accepts it', async () => {
    const url = serverUrl(TLS_MAJOR)
    await assert.rejects(opened(`${url}?sslmode=verify-full&sslrootcert=${TLS_ROOT}`), isTrouble('refused', /ALTNAME/))
    await using database = await opened(`${url}?sslmode=verify-ca&sslrootcert=${TLS_ROOT}`)
    assert.equal((await database.query('SELECT 1')).rows.length, 1)
  })

  void test('a root certificate that did not sign, or cannot be read, is refused at once', async () => {
    await assert.rejects(opened(named('?sslmode=verify-full&sslrootcert=system')), isTrouble('refused', /is not trusted: .*sslrootcert/))
    await assert.rejects(opened(named('?sslmode=verify-ca&sslrootcert=/nowhere.crt')), isTrouble('refused', /nowhere\.crt/))
  })
})

void describe('a server that cannot be reached', () => {
  void test('a refused connection is retried until the time is up', async () => {
    const closed = await listeningServer(() => undefined)
    await closed[Symbol.asyncDispose]()
    const { port } = closed
    const url = `postgres://someone:s3cret@127.0.0.1:${port}/gateway`
    await assert.rejects(
      opened(url, { connectTimeoutMs: 600 }),
      isTrouble('unreachable', /127\.0\.0\.1:\d+\/gateway/, /ECONNREFUSED/, /tried 2 times/),
    )
  })

  void test('a server that never answers is given up', async () => {
    await using silent = await listeningServer(() => undefined)
    const started = performance.now()
    await assert.rejects(
      opened(`postgres://someone@127.0.0.1:${silent.port}/gateway`, { connectTimeoutMs: 100 }),
      isTrouble('unreachable', /timeout/),
    )
    assert(performance.now() - started < 5_000)
  })

  void test('a request to stop ends the waiting', async () => {
    await using silent = await listeningServer(() => undefined)
    const stop = new AbortController()
    const opening = opened(`postgres://someone@127.0.0.1:${silent.port}/gateway`, { connectTimeoutMs: 60_000, signal: stop.signal })
    setTimeout(() => stop.abort(), 50)
    await assert.rejects(opening, isTrouble('unreachable', /Interrupted while/))
  })

  void test('a server that starts late is found', async () => {
    let refusals = 0
    await using proxy = await listeningServer((socket, onward) => {
      refusals += 1
      if (refusals <= 2) socket.destroy()
      else socket.pipe(onward()).pipe(socket)
    })
    await using database = await opened(`postgres://postgres@127.0.0.1:${proxy.port}/postgres?sslmode=disable`)
    assert.equal((await database.query('SELECT 1')).rows.length, 1)
  })
})

void describe('a lost connection', () => {
  for (const major of POSTGRES_MAJORS) {
    void test(`a lost connection to PostgreSQL ${major} is reported once, fails with lost, and is made again`, async () => {
      await using fresh = await freshPostgres(major)
      const told = listening()
      await using database = await opened(fresh.url, { listener: told.listener })
      const { rows } = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      const work = database.transaction(async (tx) => {
        await fresh.admin.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
        return tx.query('SELECT 1')
      })
      await assert.rejects(work, isTrouble('lost'))
      await assert.rejects(database.query('SELECT 1'), isTrouble('lost'))
      await database.reconnected(new AbortController().signal)
      assert.deepEqual((await database.query('SELECT 1 AS one')).rows, [{ one: 1 }])
      assert.deepEqual(told.lines, ['lost lost', 'regained'])
    })

    void test(`a lost connection to PostgreSQL ${major} is noticed while it is idle`, async () => {
      await using fresh = await freshPostgres(major)
      const lost = Promise.withResolvers<void>()
      const told = listening()
      const listener = { ...told.listener, lost: () => lost.resolve() }
      await using database = await opened(fresh.url, { listener })
      const { rows } = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      await fresh.admin.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
      await lost.promise
      await assert.rejects(database.query('SELECT 1'), isTrouble('lost'))
    })
  }

  void test('runs that lose their connection at the same time make one new connection', async () => {
    const sockets: Socket[] = []
    await using proxy = await listeningServer((socket, onward) => {
      const other = onward()
      sockets.push(socket)
      socket
        .on('error', () => {})
        .pipe(other.on('error', () => {}))
        .pipe(socket)
    })
    await using database = await opened(`postgres://postgres@127.0.0.1:${proxy.port}/postgres?sslmode=disable`)
    const before = sockets.length
    for (const socket of sockets) socket.destroy()
    await assert.rejects(database.query('SELECT 1'), isTrouble('lost'))
    const { signal } = new AbortController()
    await Promise.all([1, 2, 3].map(() => database.reconnected(signal)))
    assert.equal(sockets.length, before + 1)
    assert.equal((await database.query('SELECT 1')).rows.length, 1)
    await database.reconnected(signal)
    assert.equal(sockets.length, before + 1)
  })

  void test('closing does not wait for a dead connection', async () => {
    const sockets: Socket[] = []
    await using proxy = await listeningServer((socket, onward) => {
      const other = onward()
      sockets.push(socket, other)
      socket.pipe(other).pipe(socket)
    })
    const database = await opened(`postgres://postgres@127.0.0.1:${proxy.port}/postgres?sslmode=disable`)
    for (const socket of sockets) socket.pause().unpipe()
    const started = performance.now()
    await database[Symbol.asyncDispose]()
    assert(performance.now() - started < 3_000)
  })
})

void describe('a transaction', () => {
  for (const major of POSTGRES_MAJORS) {
    void test(`a transaction on PostgreSQL ${major} is rolled back as a whole when its work fails, and the first error is reported`, async () => {
      await using fresh = await freshPostgres(major)
      await using database = await opened(fresh.url)
      await database.query('CREATE TABLE t (id int PRIMARY KEY)')
      const failing = database.transaction(async (tx) => {
        await tx.query('INSERT INTO t VALUES (1)')
        await tx.query('INSERT INTO t VALUES (1)')
      })
      await assert.rejects(failing, isTrouble('row-refused', /23505/))
      assert.equal((await database.query('SELECT FROM t')).rows.length, 0)
    })

    void test(`a transaction on PostgreSQL ${major} that swallowed an error does not count as committed`, async () => {
      await using fresh = await freshPostgres(major)
      await using database = await opened(fresh.url)
      await database.query('CREATE TABLE t (id int PRIMARY KEY)')
      const swallowing = database.transaction(async (tx) => {
        await tx.query('INSERT INTO t VALUES (1)')
        await tx.query('SELECT nonsense').catch(() => undefined)
      })
      await assert.rejects(swallowing)
      assert.equal((await database.query('SELECT FROM t')).rows.length, 0)
    })

    void test(`a transaction on PostgreSQL ${major} waits its turn, and sees our schema before the session's own path`, async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query('CREATE SCHEMA gw; CREATE TABLE gw.t (id int); CREATE TABLE public.t (id int, other int)')
      await using database = await opened(fresh.url, { schema: 'gw' })
      const order: string[] = []
      await Promise.all([
        database.transaction(async (tx) => {
          await tx.query('INSERT INTO t VALUES (1)')
          order.push('first')
        }),
        database.query('SELECT 1').then(() => order.push('second')),
        database.transaction(async (tx) => void order.push(`third sees ${(await tx.query('SELECT FROM gw.t')).rows.length}`)),
      ])
      assert.deepEqual(order, ['first', 'second', 'third sees 1'])
      assert.equal(database.named('a"b'), '"gw"."a""b"')
    })
  }

  void test('an error points at its place in the text of the statement', async () => {
    await using database = await opened(serverUrl(POSTGRES_MAJORS.at(-1)!))
    await assert.rejects(database.query('SELECT 1 +\n nonsense'), (error) => error instanceof DatabaseError && error.position === 13)
  })
})
