import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import { exitCodeOf, messageOf } from '../../src/errors.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { SECOND } from '../../src/time/clock.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'
import { listening, made, migrated, opened, optionsFor } from './support.ts'

const TABLE = 'CREATE TABLE things (a INTEGER, b INTEGER); INSERT INTO things SELECT n, n / 2 FROM generate_series(1, 100) AS n'

function building(...statements: readonly string[]): ReturnType<typeof made> {
  return made('001_indexes', ['-- @no-transaction', ...statements].join('\n'))
}

for (const major of POSTGRES_MAJORS) {
  describe(`indexes built outside a transaction on PostgreSQL ${major}`, () => {
    it('indexes are built one by one, in the configured schema, and the file is recorded', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query(`CREATE SCHEMA gw; SET search_path = gw; ${TABLE}; CREATE INDEX old ON things (b)`)
      await using database = await opened(test.url, { schema: 'gw' })
      const told = listening()
      const files = building(
        'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS by_a ON things (a);',
        'CREATE INDEX CONCURRENTLY IF NOT EXISTS "By B" ON things (b);',
        'DROP INDEX CONCURRENTLY IF EXISTS old;',
      )
      await migrate(optionsFor(database, files, { listener: told.listener }))
      assert.deepEqual(told.events, ['applied 1', 'current 1/1'])
      assert.deepEqual(await indexes(test), ['gw."By B" valid', 'gw.by_a valid'])
      const { rows } = await test.admin.query('SELECT version, name FROM gw.maintenance_migrations')
      assert.deepEqual(rows, [{ version: 1, name: 'indexes' }])
      // Nothing of what the session was set to stays; these two are of the transaction that asks.
      const left = await database.query(
        `SELECT name FROM pg_settings WHERE source = 'session' AND name <> 'application_name' ORDER BY name`,
      )
      assert.deepEqual(left.rows, [{ name: 'search_path' }, { name: 'transaction_isolation' }])
    })

    it('the limits of the role do not cut off a build', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query(TABLE)
      await using role = await hastyOwner(test, major)
      await using waiting = await writing(test, 'INSERT INTO things VALUES (0, 0)')
      const told = listening()
      const listener = { ...told.listener, blocked: (_path: string, reason: string) => (told.events.push(reason), void waiting.commit()) }
      await migrated(role.url, building('CREATE INDEX CONCURRENTLY IF NOT EXISTS by_a ON things (a);'), { listener })
      assert.match(told.events[0] ?? '', new RegExp(`^held up by server process ${waiting.pid} \\(`))
      assert.deepEqual(told.events.slice(1), ['applied 1', 'current 1/1'])
      assert.deepEqual(await indexes(test), ['public.by_a valid'])
    })

    it('indexes that an interrupted attempt left invalid are built again, and those of others are left alone', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query(TABLE)
      await assert.rejects(test.admin.query('CREATE UNIQUE INDEX CONCURRENTLY by_b ON things (b)'))
      await assert.rejects(test.admin.query('CREATE UNIQUE INDEX CONCURRENTLY somebodys ON things (b)'))
      const told = listening()
      await migrated(test.url, building('CREATE INDEX CONCURRENTLY IF NOT EXISTS by_b ON things (b);'), { listener: told.listener })
      assert.deepEqual(told.events, ['healed migrations/001_indexes.sql by_b', 'applied 1', 'current 1/1'])
      assert.deepEqual(await indexes(test), ['public.by_b valid', 'public.somebodys invalid'])
    })

    it('indexes that cannot be built leave no invalid index and no row', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query(TABLE)
      const files = building(
        'CREATE INDEX CONCURRENTLY IF NOT EXISTS by_a ON things (a);',
        'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS by_b ON things (b);',
      )
      const error = await failureOf(migrated(test.url, files))
      assert.equal(exitCodeOf(error), 4)
      assert.match(
        messageOf(error),
        /^migrations\/001_indexes\.sql:3:1 \(statement 2\) could not create unique index "by_b"[^]*\n1 of its 2 statements have run. The database still counts as without any migration. The next start runs this file again, which is safe\.$/,
      )
      assert.deepEqual(await indexes(test), ['public.by_a valid'])
      assert.deepEqual((await test.admin.query('SELECT version FROM maintenance_migrations')).rows, [])
      await test.admin.query('DELETE FROM things WHERE a % 2 = 0')
      await migrated(test.url, files)
      assert.deepEqual(await indexes(test), ['public.by_a valid', 'public.by_b valid'])
    })

    it('an index that another session is building is waited for, not dropped', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query(TABLE)
      await using waiting = await writing(test, 'INSERT INTO things VALUES (0, 0)')
      const somebody = new Client({ connectionString: test.url, application_name: 'a person' })
      await somebody.connect()
      const theirs = somebody.query('CREATE INDEX CONCURRENTLY by_a ON things (a)')
      while ((await indexes(test)).length === 0) continue
      const told = listening()
      const listener = { ...told.listener, blocked: (_path: string, reason: string) => (told.events.push(reason), void waiting.commit()) }
      await migrated(test.url, building('CREATE INDEX CONCURRENTLY IF NOT EXISTS by_a ON things (a);'), { listener })
      await theirs
      await somebody.end()
      assert.match(told.events[0] ?? '', /^held up by server process \d+ \(a person from/)
      assert.deepEqual(told.events.slice(1), ['applied 1', 'current 1/1'])
    })

    it('a build does not queue for longer than the limit while another session changes the table, and names that session', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query(TABLE)
      await using working = await writing(test, 'LOCK TABLE things IN SHARE UPDATE EXCLUSIVE MODE')
      const files = building('CREATE INDEX CONCURRENTLY IF NOT EXISTS by_a ON things (a);')
      const error = await failureOf(migrated(test.url, files, { lockTimeoutMs: SECOND }))
      assert.equal(exitCodeOf(error), 4)
      const named = `waited 1(?:\\.\\d)? s for a lock on things, held up by server process ${working.pid} \\(the gateway from `
      assert.match(messageOf(error), new RegExp(`^migrations/001_indexes\\.sql:2:1 \\(statement 1\\) ${named}`))
      assert.match(
        messageOf(error),
        /\n0 of its 1 statements have run\. [^]*\nStart the worker again when the holder of the lock has finished\.$/,
      )
      assert.deepEqual(await indexes(test), [])
    })

    it('a build and a wait for the migration lock do not block each other', async () => {
      await using test = await freshPostgres(major)
      await test.admin.query(TABLE)
      const files = building('CREATE INDEX CONCURRENTLY IF NOT EXISTS by_a ON things (a);')
      await using waiting = await writing(test, 'INSERT INTO things VALUES (0, 0)')
      const blocked = Promise.withResolvers<void>()
      const first = migrated(test.url, files, { listener: { ...listening().listener, blocked: () => blocked.resolve() } })
      await blocked.promise
      const told = listening()
      // Released only after the others have begun to wait; each of them polls while the index is built.
      const listener = { ...told.listener, waiting: (holder: string) => (told.messages.push(holder), void waiting.commit()) }
      const others = [1, 2, 3].map(() => migrated(test.url, files, { listener }))
      const applied = await Promise.all([first, ...others])
      assert.deepEqual(
        applied.map((each) => each.length),
        [1, 0, 0, 0],
      )
      assert.match(told.messages[0] ?? '', /^server process \d+ \(migration tests from .*, active, in a transaction begun /)
      assert.deepEqual(await indexes(test), ['public.by_a valid'])
    })
  })
}

async function indexes({ admin }: FreshPostgres): Promise<string[]> {
  const { rows } = await admin.query<{ index: string }>(
    `SELECT format('%I.%I %s', relnamespace::regnamespace::text, relname, CASE WHEN indisvalid THEN 'valid' ELSE 'invalid' END) AS index
     FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid::regclass::text LIKE '%things' ORDER BY relname`,
  )
  return rows.map(({ index }) => index)
}

/** Every limit that a role may have, shorter than a build that has to wait. */
async function hastyOwner(test: FreshPostgres, major: number): Promise<AsyncDisposable & { readonly url: string }> {
  const name = `hasty_${randomBytes(6).toString('hex')}`
  await test.admin.query(`CREATE ROLE ${name} LOGIN; GRANT CREATE ON SCHEMA public TO ${name}; ALTER TABLE things OWNER TO ${name}`)
  const limits = [
    'lock_timeout',
    'statement_timeout',
    'idle_in_transaction_session_timeout',
    ...(major < 17 ? [] : ['transaction_timeout']),
  ]
  for (const limit of limits) await test.admin.query(`ALTER ROLE ${name} SET ${limit} = '900ms'`)
  return {
    url: Object.assign(new URL(test.url), { username: name }).href,
    async [Symbol.asyncDispose]() {
      await test.admin.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`)
    },
  }
}

/** A transaction that has written and is open. */
async function writing(test: FreshPostgres, sql: string): Promise<AsyncDisposable & { readonly pid: number; commit(): Promise<void> }> {
  const client = new Client({ connectionString: test.url, application_name: 'the gateway' })
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  await client.query('BEGIN')
  await client.query(sql)
  return {
    pid: rows[0]?.pid ?? NaN,
    commit: async () => void (await client.query('COMMIT')),
    [Symbol.asyncDispose]: () => client.end(),
  }
}

async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    () => assert.fail('it went through'),
    (error: unknown) => error,
  )
}
