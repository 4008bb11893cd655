import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { DatabaseError } from '../../../src/database/database-error.ts'
import type { Database } from '../../../src/database/database.ts'
import type { MigrationLockOptions } from '../../../src/database/migrating.ts'
import { lockKey } from '../../../src/database/postgres/migrating/migration-lock.ts'
import { freshPostgres, POSTGRES_MAJORS } from '../../support/databases.ts'
import { opened } from './fixture.ts'

function locking(change: Partial<MigrationLockOptions> = {}): MigrationLockOptions {
  return { timeoutMs: 10_000, signal: new AbortController().signal, waiting: () => undefined, ...change }
}

/** Counts up in a table, in a way that loses counts unless workers take turns. */
async function increment(database: Database): Promise<void> {
  await database.withMigrationLock(locking(), (apply) =>
    apply(async (tx) => {
      const { rows } = await tx.query<{ n: number }>('SELECT n FROM counter')
      await tx.query('SELECT pg_sleep(0.01)')
      await tx.query('UPDATE counter SET n = $1', [(rows[0]?.n ?? 0) + 1])
    }),
  )
}

/** Other tests are at work in other databases of the server. */
const ADVISORY_LOCKS = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

for (const major of POSTGRES_MAJORS) {
  void describe(`the migration lock on PostgreSQL ${major}`, () => {
    void test('the migration lock lets workers do their work one after the other', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query('CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)')
      await using one = await opened(fresh.url)
      await using two = await opened(fresh.url)
      await using three = await opened(fresh.url)
      await Promise.all([one, two, three].map(increment))
      assert.equal((await one.query<{ n: number }>('SELECT n FROM counter')).rows[0]?.n, 3)
      assert.equal((await one.query(ADVISORY_LOCKS)).rows.length, 0)
    })

    void test('a worker that waits for the lock is told its holder, and gives up when the time is up', async () => {
      await using fresh = await freshPostgres(major)
      await using one = await opened(fresh.url)
      await using two = await opened(fresh.url)
      const told: string[] = []
      await one.withMigrationLock(locking(), async () => {
        const waiting = two.withMigrationLock(locking({ timeoutMs: 200, waiting: (holder) => void told.push(holder) }), async () => 'never')
        await assert.rejects(waiting, (error) => {
          assert(error instanceof DatabaseError && error.kind === 'busy')
          return /maintenance-test/.test(error.message) && /Nothing was changed/.test(error.message)
        })
      })
      assert.equal(told.length, 1)
      assert.match(told[0] ?? '', /server process \d+ \(maintenance-test from 127\.0\.0\.1 as postgres, connected for [\d.]+ m?s, idle\)/)
    })

    void test('a worker stops waiting for the lock when asked to', async () => {
      await using fresh = await freshPostgres(major)
      await using one = await opened(fresh.url)
      await using two = await opened(fresh.url)
      const stop = new AbortController()
      await one.withMigrationLock(locking(), async () => {
        const waiting = two.withMigrationLock(locking({ signal: stop.signal, waiting: () => stop.abort() }), async () => 'never')
        await assert.rejects(waiting, /Interrupted while/)
      })
    })

    void test('the lock is released when the work fails, and the error is that of the work', async () => {
      await using fresh = await freshPostgres(major)
      await using one = await opened(fresh.url)
      await using two = await opened(fresh.url)
      await assert.rejects(
        one.withMigrationLock(locking(), () => Promise.reject(new Error('broken file'))),
        /broken file/,
      )
      assert.equal(await two.withMigrationLock(locking({ timeoutMs: 0 }), async () => 'done'), 'done')
    })

    void test('each transaction takes the lock again, so that a worker behind a pooler is kept out too', async () => {
      await using fresh = await freshPostgres(major)
      await using one = await opened(fresh.url)
      // What a worker behind a pooler holds: only the lock of its transaction.
      await fresh.admin.query(`BEGIN; SELECT pg_advisory_xact_lock(${lockKey('public')})`)
      let applied = false
      const waited = Promise.withResolvers<void>()
      const working = one.withMigrationLock(locking({ waiting: () => waited.resolve() }), (apply) =>
        apply(async () => {
          applied = true
        }),
      )
      await waited.promise
      assert.equal(applied, false)
      await fresh.admin.query('COMMIT')
      await working
      assert.equal(applied, true)
    })

    // A server before 14 notices at the end of the statement.
    void test('the lock is released soon after its holder was cut off during a long statement', { skip: major < 14 }, async () => {
      await using fresh = await freshPostgres(major)
      await using two = await opened(fresh.url)
      const one = await opened(fresh.url)
      const asleep = one.withMigrationLock(locking(), (apply) => apply((tx) => tx.query('SELECT pg_sleep(60)')))
      for (let sleeping = false; !sleeping;) {
        const { rows } = await fresh.admin.query(
          `SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()`,
        )
        sleeping = rows.length > 0
      }
      await one[Symbol.asyncDispose]()
      await assert.rejects(asleep, (error) => error instanceof DatabaseError && error.kind === 'lost')
      assert.equal(await two.withMigrationLock(locking(), async () => 'done'), 'done')
    })

    void test('behind a transaction pooler only transactions hold the lock, and they still exclude each other', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query('CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)')
      await using pooler = await pretendedPooler(fresh.url)
      await using one = await opened(pooler.url)
      await using two = await opened(pooler.url)
      await using direct = await opened(fresh.url)
      await one.withMigrationLock(locking(), async () => {
        assert.equal((await fresh.admin.query(ADVISORY_LOCKS)).rows.length, 0)
      })
      await Promise.all([one, two, direct].map(increment))
      assert.equal((await direct.query<{ n: number }>('SELECT n FROM counter')).rows[0]?.n, 3)
    })

    void test('statements of a migration have no time limit, and find the schema first', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query('CREATE SCHEMA gw')
      await using database = await opened(fresh.url, { schema: 'gw' })
      await database.withMigrationLock(locking(), (apply) =>
        apply(async (tx) => {
          const { rows } = await tx.query<{ limit: string }>(`SELECT current_setting('statement_timeout') AS limit`)
          assert.equal(rows[0]?.limit, '0')
          await tx.query('CREATE TABLE made (id int); INSERT INTO made VALUES (1)')
        }),
      )
      assert.equal((await database.query('SELECT FROM gw.made')).rows.length, 1)
      assert.equal(lockKey('gw') === lockKey('public'), false)
    })
  })
}

/** Stands between client and server and, as PgBouncer does, tells the client another process id than the server's. */
async function pretendedPooler(url: string): Promise<AsyncDisposable & { readonly url: string }> {
  const target = new URL(url)
  const sockets: Socket[] = []
  const server = createServer((client) => {
    const onward = connect(Number(target.port), target.hostname)
    for (const socket of [client, onward]) sockets.push(socket.on('error', () => undefined))
    client.pipe(onward).on('close', () => client.destroy())
    onward.on('data', (data) => client.write(withAnotherProcessId(data)))
    client.on('close', () => onward.destroy())
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert(typeof address === 'object' && address !== null)
  const pooled = Object.assign(new URL(url), { port: String(address.port), search: '?sslmode=disable' })
  return {
    url: pooled.href,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => void server.close(resolve))
    },
  }
}

/** BackendKeyData is a `K`, its length, and the process id; it comes in the first answer, which begins with `R`. */
function withAnotherProcessId(data: Buffer): Buffer {
  if (data[0] !== LETTER_R) return data
  for (let at = 0; at < data.length; at += 1 + data.readInt32BE(at + 1)) {
    if (data[at] === LETTER_K) data.writeInt32BE(data.readInt32BE(at + 5) + 100_000, at + 5)
  }
  return data
}

const LETTER_K = 0x4b
const LETTER_R = 0x52
