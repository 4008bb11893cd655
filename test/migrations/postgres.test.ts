import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createServer, connect } from 'node:net'
import { describe, it } from 'node:test'
import { DatabaseError } from '../../src/database/database-error.ts'
import { exitCodeOf, messageOf } from '../../src/errors.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { SECOND } from '../../src/time/clock.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'
import { initialSchema, listening, made, migrated, opened, optionsFor } from './support.ts'

const initial = await initialSchema()

for (const major of POSTGRES_MAJORS) {
  describe(`migrations on PostgreSQL ${major}`, () => {
    it('current migrations need no privilege except to read the history', async () => {
      await using test = await freshPostgres(major)
      await migrated(test.url, initial)
      await using role = await roleIn(test)
      await test.admin.query(`GRANT SELECT ON maintenance_migrations TO ${role.name}`)
      const told = listening()
      await migrated(role.url, initial, { listener: told.listener })
      assert.deepEqual(told.events, ['current 0/1'])
    })

    it('an unreadable history is reported as a missing privilege, by name', async () => {
      await using test = await freshPostgres(major)
      await migrated(test.url, initial)
      await using role = await roleIn(test)
      const error = await failureOf(migrated(role.url, initial))
      assert.equal(exitCodeOf(error), 3)
      assert.match(
        messageOf(error),
        /^permission denied for table maintenance_migrations.*\nThe worker reads maintenance_migrations .*Grant its role SELECT/,
      )
    })

    it('defaults and triggers store UTC, whatever the zone of the session', async () => {
      await using test = await freshPostgres(major)
      await migrated(test.url, initial)
      await test.admin.query(`SET timezone = 'Asia/Kathmandu';
        INSERT INTO tools (name, description, path, permissions, updated_at) VALUES ('a', 'b', 'c', '[]', '2020-01-01');
        UPDATE tools SET description = 'd'`)
      const { rows } = await test.admin.query(`SELECT abs(extract(epoch FROM created_at) - extract(epoch FROM now())) < 60 AS created,
        abs(extract(epoch FROM updated_at) - extract(epoch FROM now())) < 60 AS updated FROM tools`)
      assert.deepEqual(rows, [{ created: true, updated: true }])
    })

    it('a missing right to create tables is reported as a missing privilege, not as a failed migration', async () => {
      await using test = await freshPostgres(major)
      await using role = await roleIn(test)
      // As new clusters have it from 15 on.
      await test.admin.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC')
      await assertForbidden(migrated(role.url, initial), /^migrations\/001_initial_schema\.sql: permission denied for schema public/)
    })

    it('missing ownership of the tables is reported as a missing privilege, with the place in the file', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query('CREATE TABLE theirs (a INTEGER)')
      await using role = await roleIn(test)
      await test.admin.query(`GRANT CREATE ON SCHEMA public TO ${role.name}`)
      await assertForbidden(
        migrated(role.url, made('001_index', 'SELECT 1;\nCREATE INDEX i ON theirs (a);')),
        /^migrations\/001_index\.sql:2:1 \(statement 2\) must be owner of table theirs/,
      )
    })

    it('a file waits for a lock on a table without blocking the gateway, and goes on when it is free', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query('CREATE TABLE busy (a INTEGER)')
      await test.admin.query('BEGIN; LOCK TABLE busy')
      const told = listening()
      const blocked = (path: string, reason: string): void => {
        told.listener.blocked(path, reason, 0)
        void test.admin.query('COMMIT')
      }
      const files = made('001_busy', 'ALTER TABLE busy ADD COLUMN IF NOT EXISTS b INTEGER;')
      await migrated(test.url, files, { listener: { ...told.listener, blocked } })
      assert.deepEqual(told.events, ['blocked migrations/001_busy.sql', 'applied 1', 'current 1/1'])
      assert.match(
        told.messages[0] ?? '',
        /lock timeout \[55P03\], held up by server process \d+ \(unnamed from 127\.0\.0\.1 as postgres, connected for [\d.]+ m?s, idle in transaction, in a transaction begun [\d.]+ m?s ago\); tried again in 500 ms$/,
      )
    })

    it('a file gives up on a lock on a table when the time is up, and is rolled back', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query('CREATE TABLE busy (a INTEGER)')
      await test.admin.query('BEGIN; LOCK TABLE busy')
      const files = made('001_busy', 'CREATE TABLE first (a INTEGER);\nALTER TABLE busy ADD COLUMN b INTEGER;')
      const error = await failureOf(migrated(test.url, files, { lockTimeoutMs: SECOND }))
      assert.equal(exitCodeOf(error), 4)
      assert.match(
        messageOf(error),
        /^migrations\/001_busy\.sql:2:1 \(statement 2\) .*lock timeout \[55P03\], held up by server process \d+ \(unnamed from .*\)\n[^]*Rolled back\. The database is still without any migration\.\nStart the worker again/,
      )
      await test.admin.query('ROLLBACK')
      await assert.rejects(test.admin.query('SELECT * FROM first'))
    })

    it('a blocking session is named as far as the role may see it, and never with its query', async () => {
      await using test = await freshPostgres(major)
      await using role = await roleIn(test)
      await test.admin.query(
        `CREATE TABLE busy (a INTEGER); ALTER TABLE busy OWNER TO ${role.name}; GRANT CREATE ON SCHEMA public TO ${role.name}`,
      )
      await test.admin.query("SET application_name = 'gateway-api'")
      await test.admin.query("BEGIN; LOCK TABLE busy; SELECT 'a secret'")
      const error = await failureOf(migrated(role.url, made('001_busy', 'ALTER TABLE busy ADD b INTEGER;'), { lockTimeoutMs: SECOND }))
      assert.match(messageOf(error), /held up by server process \d+ \(gateway-api as postgres\)\n/)
      await test.admin.query('ROLLBACK')
      await test.admin.query(`GRANT pg_read_all_stats TO ${role.name}`)
      await test.admin.query("BEGIN; LOCK TABLE busy; SELECT 'a secret'")
      const more = await failureOf(migrated(role.url, made('001_busy', 'ALTER TABLE busy ADD b INTEGER;'), { lockTimeoutMs: SECOND }))
      assert.match(messageOf(more), /held up by server process \d+ \(gateway-api from .* as postgres, .* begun [\d.]+ m?s ago\)\n/)
      assert.doesNotMatch(messageOf(more), /secret/)
      await test.admin.query('ROLLBACK')
    })

    it('a file during which the connection breaks is known to be rolled back', async () => {
      await using test = await freshPostgres(major)
      const error = await failureOf(
        migrated(test.url, made('001_end', 'CREATE TABLE first (a INTEGER);\nSELECT pg_terminate_backend(pg_backend_pid());')),
      )
      assert.ok(error instanceof DatabaseError && error.kind === 'lost')
      assert.equal(error.exitCode, 3)
      assert.match(
        error.message,
        /^migrations\/001_end\.sql:2:1 \(statement 2\) [^]*\nConnected again\. Rolled back\. The database is still without any migration\.$/,
      )
    })

    it('a file whose COMMIT gets no answer is looked up in the history, and the rest goes on', async () => {
      await using test = await freshPostgres(major)
      await using proxy = await proxyThatLosesTheFirstCommit(test.url)
      await using database = await opened(proxy.url)
      const told = listening()
      const files = [...made('001_a', 'CREATE TABLE a (a INTEGER);'), ...made('002_b', 'CREATE TABLE b (a INTEGER);')]
      const applied = await migrate(optionsFor(database, files, { listener: told.listener }))
      // The server may need a moment to see that the first connection is gone, and keeps its lock until then.
      assert.deepEqual(
        told.events.filter((event) => event !== 'waiting'),
        ['applied 1', 'applied 2', 'current 2/2'],
      )
      assert.deepEqual(
        applied.map(({ version }) => version),
        [1, 2],
      )
      assert.equal(proxy.lost(), 1)
    })

    it('migrations go into the configured schema, and nowhere else', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query('CREATE SCHEMA "The Gateway"; CREATE VIEW policy_violations AS SELECT 1 AS id, session_user AS "user"')
      await using database = await opened(test.url, { schema: 'The Gateway' })
      await migrate(optionsFor(database, initial))
      const { rows } = await test.admin.query(`SELECT relnamespace::regnamespace::text AS schema, count(*)::int AS relations FROM pg_class
        WHERE relkind IN ('r', 'v') AND relnamespace::regnamespace::text IN ('public', '"The Gateway"') GROUP BY 1 ORDER BY 1`)
      assert.deepEqual(rows, [
        { schema: '"The Gateway"', relations: 10 },
        { schema: 'public', relations: 1 },
      ])
    })
  })
}

async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    () => assert.fail('it went through'),
    (error: unknown) => error,
  )
}

async function assertForbidden(attempt: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await failureOf(attempt)
  assert.ok(error instanceof DatabaseError, messageOf(error))
  assert.deepEqual([error.kind, error.exitCode], ['forbidden', 3])
  assert.match(error.message, message)
  assert.match(
    error.message,
    /\nRolled back\. The database is still without any migration\.\nConnect as the role that owns the tables, or as a member of it/,
  )
}

async function roleIn(test: FreshPostgres): Promise<AsyncDisposable & { name: string; url: string }> {
  const name = `role_${randomBytes(6).toString('hex')}`
  await test.admin.query(`CREATE ROLE ${name} LOGIN`)
  return {
    name,
    url: Object.assign(new URL(test.url), { username: name }).href,
    async [Symbol.asyncDispose]() {
      await test.admin.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`)
    },
  }
}

/** Passes everything on, until a client says COMMIT for the first time: the server gets it, and the connection is cut before its answer. */
async function proxyThatLosesTheFirstCommit(url: string): Promise<AsyncDisposable & { url: string; lost: () => number }> {
  const { hostname, port } = new URL(url)
  let lost = 0
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    let committing = false
    client.on('data', (data) => {
      committing ||= lost === 0 && data.includes('COMMIT\0')
      upstream.write(data)
    })
    upstream.on('data', (data) => {
      if (committing) {
        lost += 1
        client.destroy()
      } else {
        client.write(data)
      }
    })
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const through = new URL(url)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  through.port = String(address.port)
  through.searchParams.set('sslmode', 'disable')
  return {
    url: through.href,
    lost: () => lost,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
