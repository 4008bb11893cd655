import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Client } from 'pg'
import { hostClock } from '../../../src/time.ts'
import { freshPostgres, POSTGRES_MAJORS } from '../../support/databases.ts'
import { opened } from './fixture.ts'

const clock = hostClock()
/** Longer than a look at others is kept, and than a first look reaches back. */
const QUIET_MS = 1_100

for (const major of POSTGRES_MAJORS) {
  void describe(`pressure on PostgreSQL ${major}`, () => {
    void test('sees a client that works and one that is idle, of our role and of another', async () => {
      await using fresh = await freshPostgres(major)
      const role = `${fresh.name}_worker`
      await fresh.admin.query(
        `CREATE TABLE t (id int); CREATE ROLE ${role} LOGIN; GRANT ALL ON t TO ${role}; GRANT USAGE ON SCHEMA public TO ${role}`,
      )
      {
        await using database = await opened(fresh.url.replace('postgres@', `${role}@`))
        // The superuser's session is hidden from us: only what it writes shows.
        const own = async (): Promise<unknown> => database.transaction((tx) => tx.query('INSERT INTO t VALUES (1)'))
        await own()
        await database.pressure()
        await clock.sleep(60)
        await own()
        assert.equal((await database.pressure()).others, false)
        for (let id = 0; id < 20; id += 1) await fresh.admin.query(`INSERT INTO t VALUES (${id})`)
        await clock.sleep(60)
        await own()
        assert.equal((await database.pressure()).others, true)

        // A session of our own role is seen even when it only reads.
        const gateway = new Client({ connectionString: fresh.url.replace('postgres@', `${role}@`) })
        await gateway.connect()
        await clock.sleep(60)
        await database.pressure()
        await clock.sleep(60)
        assert.equal((await database.pressure()).others, false)
        await gateway.query('SELECT 1')
        await clock.sleep(60)
        assert.equal((await database.pressure()).others, true)
        await gateway.end()
      }
      await fresh.admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    })

    void test('tells that somebody waited for us, and how long the rows were held', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query('CREATE TABLE t (id int); INSERT INTO t VALUES (1)')
      await using database = await opened(fresh.url)
      let update: Promise<unknown> | undefined
      await database.transaction(async (tx) => {
        await tx.query('UPDATE t SET id = 2')
        update = fresh.admin.query('UPDATE t SET id = 3')
        for (;;) {
          const { rows } = await tx.query(`SELECT FROM pg_locks WHERE NOT granted`)
          if (rows.length > 0) break
        }
      })
      await update
      const pressure = await database.pressure()
      assert.equal(pressure.contended, true)
      assert(pressure.heldMs > 0 && pressure.heldMs < 5_000)
      await database.transaction((tx) => tx.query('UPDATE t SET id = 4'))
      assert.equal((await database.pressure()).contended, false)
    })

    void test('alone on the database nobody is seen', async () => {
      await using fresh = await freshPostgres(major)
      await using database = await opened(fresh.url)
      await clock.sleep(QUIET_MS)
      const { others, hold } = await database.pressure()
      assert.deepEqual({ others, hold }, { others: false, hold: undefined })
      await database.tidy()
      assert.equal(await database.reusableBytes(), undefined)
    })
  })
}
