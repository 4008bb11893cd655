import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { PACKAGE_ROOT } from '../migrations/support.ts'
import { count, expiredSessions } from '../runs/support.ts'
import { command, events } from '../support/command.ts'
import { serverUrl, POSTGRES_MAJORS } from '../support/databases.ts'
import { ENGINES, postgresDatabase, type TestDatabase } from '../support/engines.ts'
import { startPgBouncer, withoutPgBouncer } from '../support/pgbouncer.ts'

const STARTERS = 12
const versions = new Set((await readMigrationFiles(PACKAGE_ROOT)).map(({ version }) => version))

for (const major of POSTGRES_MAJORS) {
  describe(`through PgBouncer in transaction mode, PostgreSQL ${major}`, { skip: withoutPgBouncer() }, () => {
    it(`${STARTERS} starters on an empty database apply each migration once, and leave no lock behind`, async () => {
      await using database = await postgresDatabase(major)
      await using pooler = await startPgBouncer(serverUrl(major))
      const env = { DATABASE_URL: pooler.through(database.url) }
      const all = await Promise.all(Array.from({ length: STARTERS }, () => command(['migrate'], { env })))
      for (const each of all) assert.equal(each.code, 0, each.stdout + each.stderr)
      const applied = all.flatMap((each) => events(each, 'migration.applied').map((line) => Number(line['version'])))
      assert.deepEqual(
        applied.toSorted((a, b) => a - b),
        [...versions],
      )
      assert.deepEqual(
        await database.sql('SELECT version FROM maintenance_migrations ORDER BY version'),
        [...versions].map((version) => ({ version })),
      )
      assert.deepEqual(await leftBehind(database), [])
    })

    it('a run of every job works, and leaves no setting in the shared sessions', async () => {
      await using database = await postgresDatabase(major)
      // One server session, which every client uses in turn: what one leaves in it, the next meets.
      await using pooler = await startPgBouncer(serverUrl(major), { poolSize: 1 })
      const env = { DATABASE_URL: pooler.through(database.url) }
      assert.equal((await command(['migrate'], { env })).code, 0)
      await expiredSessions(
        database,
        ENGINES.find(({ name }) => name === `postgres ${major}`)!,
        30_000,
      )
      const ran = await command(['--run-now'], { env })
      assert.equal(ran.code, 0, ran.stdout)
      assert.equal(await count(database, 'sessions'), 0)
      assert.equal(events(ran, 'job.finished').find((line) => line['job'] === 'purge-sessions')?.['deleted'], 30_000)
      assert.deepEqual(await database.sql('SELECT outcome, rows_deleted FROM maintenance_runs ORDER BY rows_deleted DESC LIMIT 1'), [
        { outcome: 'succeeded', rows_deleted: 30_000 },
      ])
      assert.deepEqual(await database.sql('SELECT job FROM maintenance_leases WHERE expires_at <> 0'), [])
      assert.deepEqual(await leftBehind(database), [])
      assert.deepEqual(await settingsThrough(pooler.through(database.url)), [])
    })
  })
}

function leftBehind(database: TestDatabase): Promise<unknown[]> {
  return database.sql(
    `SELECT locktype, pid FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  )
}

/** What the shared session was left with. The pooler itself passes the application's name on. */
async function settingsThrough(url: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT name, setting FROM pg_settings WHERE source = 'session' AND name <> 'application_name'`,
    )
    return rows
  } finally {
    await client.end()
  }
}
