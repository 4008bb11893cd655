import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hostClock } from '../../../src/time/clock.ts'
import { freshPostgres, POSTGRES_MAJORS } from '../../support/databases.ts'
import { opened } from './fixture.ts'

const clock = hostClock()
/** Longer than the first look reaches back. */
const QUIET_MS = 1_100
/** Longer than a look is kept. */
const LOOK_MS = 60

for (const major of POSTGRES_MAJORS) {
  void describe(`pressure on PostgreSQL ${major}`, () => {
    void test('a client of our own role that only reads is noticed, and an idle one is not', async () => {
      await using fresh = await freshPostgres(major)
      await using database = await opened(fresh.url)
      await clock.sleep(QUIET_MS)
      assert.equal((await database.pressure()).others, false)
      await clock.sleep(LOOK_MS)
      await fresh.admin.query('SELECT 1')
      await clock.sleep(LOOK_MS)
      assert.equal((await database.pressure()).others, true)
      await clock.sleep(LOOK_MS)
      assert.equal((await database.pressure()).others, false)
    })

    void test('a client of a role that hides its activity is noticed by its writes, and our own writes are not taken for those of another', async () => {
      await using fresh = await freshPostgres(major)
      const role = `${fresh.name}_worker`
      await fresh.admin.query(`CREATE TABLE t (id int); CREATE ROLE ${role} LOGIN; GRANT ALL ON t TO ${role}`)
      {
        await using database = await opened(fresh.url.replace('postgres@', `${role}@`))
        await database.pressure()
        for (let id = 0; id < 20; id += 1) await fresh.admin.query(`INSERT INTO t VALUES (${id})`)
        await clock.sleep(LOOK_MS)
        assert.equal((await database.pressure()).others, true)
        // Transaction ids are the whole server's, and other tests may be writing: one quiet look is enough.
        for (let others = true; others;) {
          await database.transaction((tx) => tx.query('INSERT INTO t VALUES (1)'))
          await clock.sleep(LOOK_MS)
          others = (await database.pressure()).others
        }
      }
      await fresh.admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    })

    void test('pressure shows that another client waited for us, and how long the rows were locked', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query('CREATE TABLE t (id int); INSERT INTO t VALUES (1)')
      await using database = await opened(fresh.url)
      let update: Promise<unknown> | undefined
      await database.transaction(async (tx) => {
        await tx.query('UPDATE t SET id = 2')
        update = fresh.admin.query('UPDATE t SET id = 3')
        for (;;) {
          const { rows } = await tx.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
          if (rows.length > 0) break
        }
      })
      await update
      const pressure = await database.pressure()
      assert.equal(pressure.contended, true)
      assert(database.heldMs() > 0 && database.heldMs() < 5_000)
      await database.transaction((tx) => tx.query('UPDATE t SET id = 4'))
      assert.equal((await database.pressure()).contended, false)
    })

    void test('without replicas there is no backpressure, and nothing to do after a batch', async () => {
      await using fresh = await freshPostgres(major)
      await using database = await opened(fresh.url)
      assert.equal((await database.pressure()).backpressure, undefined)
      await database.afterBatch(false)
    })
  })
}
