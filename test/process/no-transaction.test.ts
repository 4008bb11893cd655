import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { command, events, start } from '../support/command.ts'
import { POSTGRES_MAJORS, serverUrl } from '../support/databases.ts'
import { postgresDatabase, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { NEXT_MIGRATION, packageWith } from '../support/package-root.ts'
import { startPgBouncer, withoutPgBouncer } from '../support/pgbouncer.ts'

const STEM = `${NEXT_MIGRATION}_index_output`
const FILES = {
  [`${STEM}.sql`]: '-- @no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS idx_output ON audit_logs (output);\n',
  [`${STEM}_sqlite.sql`]: 'CREATE INDEX IF NOT EXISTS idx_output ON audit_logs (output);\n',
}

for (const major of POSTGRES_MAJORS) {
  describe(`CREATE INDEX CONCURRENTLY as a migration, PostgreSQL ${major}`, () => {
    it('killed half-way: its lock is soon free, the next start heals it, and the index is valid', async () => {
      await using database = await postgresDatabase(major)
      await using program = await packageWith(FILES)
      const env = { DATABASE_URL: database.url, PURGE_SESSIONS_SCHEDULE: '0 0 1 1 *' }
      assert.equal((await command(['migrate'], { env })).code, 0)
      await database.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status) SELECT 't', 'u', 'a', 's' FROM generate_series(1, 1000)`,
      )

      // A transaction of the gateway's that has written: the build makes its index, not valid yet, and waits.
      await using gateway = await gatewayTransaction(database.url)
      const worker = start([], { env, packageRoot: program.root })
      const blocked = await worker.line((line) => line['event'] === 'migrations.blocked')
      assert.match(
        String(blocked['msg']),
        new RegExp(
          `${STEM}\\.sql waits for a lock: held up by server process ${gateway.pid} ` +
            String.raw`\(gateway-api from 127\.0\.0\.1 as postgres, connected for [\d.]+ m?s, idle in transaction, in a transaction begun [\d.]+ m?s ago\)$`,
        ),
      )
      assert.deepEqual(await indexes(database), [{ name: 'idx_output', valid: false }])
      worker.kill('SIGKILL')
      assert.equal((await worker.ended).signal, 'SIGKILL')
      const killedAt = performance.now()
      while ((await locks(database)) > 0) await sleep(50)
      assert.ok(performance.now() - killedAt < 5_000, 'the lock was not free within five seconds')
      assert.deepEqual(await indexes(database), [{ name: 'idx_output', valid: false }])

      await gateway.commit()
      const next = await command(['migrate'], { env, packageRoot: program.root })
      assert.equal(next.code, 0, next.stdout)
      assert.deepEqual(
        next.lines.map((line) => line['event']),
        ['migrations.healed', 'migration.applied', 'migrations.current'],
      )
      assert.deepEqual(await indexes(database), [{ name: 'idx_output', valid: true }])
      const again = await command(['migrate'], { env, packageRoot: program.root })
      assert.deepEqual(
        again.lines.map((line) => line['event']),
        ['migrations.current'],
      )
    })

    it('told to stop half-way: ends within eight seconds, and the next start heals it', async () => {
      await using database = await postgresDatabase(major)
      await using program = await packageWith(FILES)
      const env = { DATABASE_URL: database.url }
      assert.equal((await command(['migrate'], { env })).code, 0)
      await using gateway = await gatewayTransaction(database.url)
      const migrating = start(['migrate'], { env, packageRoot: program.root })
      await migrating.line((line) => line['event'] === 'migrations.blocked')
      const toldAt = performance.now()
      migrating.kill('SIGTERM')
      const ended = await migrating.ended
      assert.ok(performance.now() - toldAt < 8_500, 'it took longer than eight seconds')
      assert.equal(ended.code, 143, ended.stdout)
      await gateway.commit()
      assert.equal((await command(['migrate'], { env, packageRoot: program.root })).code, 0)
      assert.deepEqual(await indexes(database), [{ name: 'idx_output', valid: true }])
    })

    it('is refused behind a pooler before anything is done, saying to connect directly', { skip: withoutPgBouncer() }, async () => {
      await using database = await postgresDatabase(major)
      await using program = await packageWith(FILES)
      await using pooler = await startPgBouncer(serverUrl(major))
      for (const words of [['migrate'], ['migrate', '--dry-run'], ['--run-now'], []]) {
        const refused = await command(words, { env: { DATABASE_URL: pooler.through(database.url) }, packageRoot: program.root })
        assert.equal(refused.code, 4, refused.stdout)
        const told = events(refused, 'program.failed').map((line) => `${String(line['code'])} ${String(line['msg'])}`)
        assert.match(told[0] ?? '', new RegExp(`^MIGRATION_REFUSED migrations/${STEM}\\.sql runs outside a transaction, but .* a pooler`))
        assert.match(told[1] ?? '', /Nothing was changed\. Run .* with a DATABASE_URL that leads directly to the server\.$/)
      }
      assert.deepEqual(await database.sql(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`), [])
      assert.equal((await command(['migrate'], { env: { DATABASE_URL: database.url }, packageRoot: program.root })).code, 0)
      // Once it is done the pooler is no obstacle.
      const through = await command(['--run-now'], { env: { DATABASE_URL: pooler.through(database.url) }, packageRoot: program.root })
      assert.equal(through.code, 0, through.stdout)
    })

    it('is applied once by five starters, one of which is always waiting', async () => {
      await using database = await postgresDatabase(major)
      await using program = await packageWith(FILES)
      const env = { DATABASE_URL: database.url }
      const all = await Promise.all(Array.from({ length: 5 }, () => command(['migrate'], { env, packageRoot: program.root })))
      for (const each of all) assert.equal(each.code, 0, each.stdout)
      const applied = all.flatMap((each) => events(each, 'migration.applied').map((line) => line['version']))
      assert.equal(applied.filter((version) => version === Number(NEXT_MIGRATION)).length, 1)
      assert.deepEqual(await indexes(database), [{ name: 'idx_output', valid: true }])
    })
  })
}

it('the SQLite twin of such a migration is an ordinary one', async () => {
  await using database = await sqliteDatabase()
  await using program = await packageWith(FILES)
  assert.equal((await command(['migrate'], { env: { DATABASE_URL: database.url }, packageRoot: program.root })).code, 0)
  assert.equal((await database.sql(`SELECT name FROM sqlite_schema WHERE name = 'idx_output'`)).length, 1)
})

function indexes(database: TestDatabase): Promise<unknown[]> {
  return database.sql(
    `SELECT indexrelid::regclass::text AS name, indisvalid AS valid FROM pg_index WHERE indexrelid::regclass::text LIKE 'idx_output%' ORDER BY 1`,
  )
}

async function locks(database: TestDatabase): Promise<number> {
  const rows = await database.sql(
    `SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  )
  return rows.length
}

async function gatewayTransaction(url: string): Promise<AsyncDisposable & { readonly pid: number; commit(): Promise<void> }> {
  const client = new Client({ connectionString: url, application_name: 'gateway-api' })
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  await client.query(`BEGIN; INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('secret tool', 'u', 'a', 's')`)
  return {
    pid: rows[0]?.pid ?? NaN,
    commit: async () => void (await client.query('COMMIT')),
    [Symbol.asyncDispose]: () => client.end(),
  }
}
