import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Client } from 'pg'
import { DatabaseError } from '../../../src/database/database-error.ts'
import type { Database } from '../../../src/database/database.ts'
import type { Slice, Tally } from '../../../src/database/purging.ts'
import type { Transaction } from '../../../src/database/query.ts'
import { DAY } from '../../../src/time/clock.ts'
import { freshPostgres, POSTGRES_MAJORS } from '../../support/databases.ts'
import { ROLE_WITH_PASSWORD } from '../../support/postgres-server.ts'
import { opened, purged } from './fixture.ts'

const COLUMN = { table: 'rows', column: 'at' }
/** Any moment will do: rows and cutoff are made from it. */
const CUTOFF = Date.UTC(2026, 5, 1, 12, 0, 0)

async function table(admin: Client, type: string): Promise<void> {
  await admin.query(`CREATE TABLE rows (id bigint PRIMARY KEY, at ${type}); CREATE INDEX rows_at ON rows (at DESC)`)
}

async function ids(admin: Client): Promise<number[]> {
  const { rows } = await admin.query<{ id: string }>('SELECT id FROM rows ORDER BY id')
  return rows.map(({ id }) => Number(id))
}

async function firstSlice(database: Database, size = 1_000): Promise<Slice> {
  const slice = await database.expired(COLUMN, CUTOFF).next(size, undefined)
  assert(slice !== undefined)
  return slice
}

for (const major of POSTGRES_MAJORS) {
  void describe(`expired rows on PostgreSQL ${major}`, () => {
    for (const type of ['timestamp', 'timestamptz', 'timestamp(0)', 'timestamptz(3)']) {
      void test(`${type}: a row a microsecond before the cutoff is deleted, and one at the cutoff stays`, async () => {
        await using fresh = await freshPostgres(major)
        await table(fresh.admin, type)
        const zone = type.startsWith('timestamptz') ? '+00' : ''
        const step = type.endsWith(')') ? '2026-06-01 11:59:59' : '2026-06-01 11:59:59.999999'
        await fresh.admin.query(
          `INSERT INTO rows VALUES (1, '${step}${zone}'), (2, '2026-06-01 12:00:00${zone}'), (3, '2026-06-01 12:00:01${zone}')`,
        )
        await using database = await opened(fresh.url)
        assert.deepEqual(await purged(database, 'rows', CUTOFF, 10), { deleted: 1, sizes: [1] })
        assert.deepEqual(await ids(fresh.admin), [2, 3])
      })

      void test(`${type}: NULL and infinity never expire, -infinity is kept and counted`, async () => {
        await using fresh = await freshPostgres(major)
        await table(fresh.admin, type)
        await fresh.admin.query(
          `INSERT INTO rows VALUES (1, NULL), (2, NULL), (3, 'infinity'), (4, '-infinity'), (5, '0044-03-15 12:00:00 BC'), (6, '294000-01-01'), (7, '1970-01-01')`,
        )
        await using database = await opened(fresh.url)
        assert.equal((await purged(database, 'rows', CUTOFF, 10)).deleted, 2)
        assert.deepEqual(await ids(fresh.admin), [1, 2, 3, 4, 6])
        assert.deepEqual(await database.expired(COLUMN, CUTOFF).census(true), { undated: 2, unreadable: 1, shapes: ['-infinity'] })
      })
    }

    void test('COMMIT of a batch does not wait for the disk, and any other COMMIT does', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`INSERT INTO rows VALUES (1, '2026-05-01'), (2, '2026-05-02')`)
      await using database = await opened(fresh.url)
      const waits = async (remove: (tx: Transaction) => Promise<Tally>): Promise<string | undefined> => {
        return database.transaction(async (tx) => {
          assert.equal((await remove(tx)).affected, 1)
          return (await tx.query<{ value: string }>(`SELECT current_setting('synchronous_commit') AS value`)).rows[0]?.value
        })
      }
      const exported = (await database.exported(COLUMN, CUTOFF, Number.MAX_SAFE_INTEGER).next(1, undefined))!
      assert.equal(await waits((tx) => exported.removeRead(tx, [], () => () => true)), 'off')
      const slice = await firstSlice(database, 1)
      assert.equal(await waits((tx) => slice.remove(tx, [])), 'off')
      // Files are moved by what was committed, so that the server's default is none of ours.
      await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET synchronous_commit = off`)
      await using hasty = await opened(fresh.url)
      const { rows } = await hasty.transaction((tx) => tx.query<{ value: string }>(`SELECT current_setting('synchronous_commit') AS value`))
      assert.deepEqual(rows, [{ value: 'on' }])
      // Whoever may connect may wait for the disk.
      const { name, password } = ROLE_WITH_PASSWORD
      await using limited = await opened(Object.assign(new URL(fresh.url), { username: name, password }).href)
      const flushed = async (): Promise<string> =>
        (await fresh.admin.query<{ at: string }>('SELECT pg_current_wal_flush_lsn() AS at')).rows[0]!.at
      await fresh.admin.query(`INSERT INTO rows VALUES (3, '2026-05-01'); GRANT SELECT, DELETE ON rows TO ${name}`)
      assert.equal((await purged(limited, 'rows', CUTOFF, 10)).deleted, 1)
      const before = await flushed()
      await limited.durable()
      assert.notEqual(await flushed(), before)
    })

    void test('the same rows are deleted whatever the zones of server, session and process', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(
        `INSERT INTO rows SELECT i, timestamp '2026-06-01 12:00' + (i - 1500) * interval '1 minute' FROM generate_series(1, 3000) AS i`,
      )
      for (const zone of ['Asia/Tokyo', 'America/Los_Angeles']) {
        await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET timezone = '${zone}'`)
        await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET DateStyle = 'SQL, DMY'`)
        await using database = await opened(fresh.url)
        const slice = await firstSlice(database, 5_000)
        assert.equal(await slice.count(), 1_499, zone)
      }
      // Tokyo's clocks are nine hours ahead: rows stamped there are nine hours older than they say.
      await using tokyo = await opened(fresh.url, { timeZone: 'Asia/Tokyo' })
      assert.equal(await (await firstSlice(tokyo, 5_000)).count(), 1_499 + 9 * 60)
    })

    void test('a time with zone is an instant, whatever DATABASE_TIME_ZONE says', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamptz')
      await fresh.admin.query(`INSERT INTO rows VALUES (1, '2026-06-01 20:59:59+09'), (2, '2026-06-01 21:00:00+09')`)
      await using database = await opened(fresh.url, { timeZone: 'Asia/Tokyo' })
      await purged(database, 'rows', CUTOFF, 10)
      assert.deepEqual(await ids(fresh.admin), [2])
    })

    void test('cutoffs beyond the calendar delete too few rows, never too many', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`INSERT INTO rows VALUES (1, '0044-03-15 BC'), (2, '2026-01-01'), (3, '294000-01-01')`)
      await using database = await opened(fresh.url)
      assert.equal(await database.expired(COLUMN, -1e17).next(10, undefined), undefined)
      assert.equal((await purged(database, 'rows', 1e17, 10)).deleted, 2)
      assert.deepEqual(await ids(fresh.admin), [3])
    })

    void test('ten thousand rows with the same time are deleted in slices of the requested size', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`
        INSERT INTO rows VALUES (0, '2026-01-01');
        INSERT INTO rows SELECT i, '2026-02-01 00:00:00.123456' FROM generate_series(1, 10000) AS i;
        INSERT INTO rows SELECT i, '2026-03-01' FROM generate_series(10001, 10003) AS i;
        INSERT INTO rows VALUES (99999, '2026-06-01 12:00')`)
      await using database = await opened(fresh.url)
      const { deleted, sizes } = await purged(database, 'rows', CUTOFF, 700)
      assert.equal(deleted, 10_004)
      assert(
        sizes.every((size) => size > 0 && size <= 700),
        sizes.join(),
      )
      assert.deepEqual(await ids(fresh.admin), [99_999])
    })

    void test('slices advance even if nothing is deleted, and each row is in exactly one of them', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(
        `INSERT INTO rows SELECT i, timestamp '2026-01-01' + (i / 7) * interval '1 s' FROM generate_series(1, 2000) AS i`,
      )
      await fresh.admin.query(`INSERT INTO rows SELECT i, timestamp '2026-01-01 00:01' FROM generate_series(2001, 4000) AS i`)
      await using database = await opened(fresh.url, { access: 'read' })
      for (const size of [1_500, 400, 61]) {
        const rows = database.expired(COLUMN, CUTOFF)
        const sizes: number[] = []
        for (let slice = await rows.next(size, undefined); slice !== undefined; slice = await rows.next(size, slice))
          sizes.push(await slice.count())
        assert.equal(
          sizes.reduce((sum, each) => sum + each, 0),
          4_000,
        )
        assert(
          sizes.every((each) => each > 0 && each <= size),
          `${size}: ${sizes.join()}`,
        )
      }
    })

    void test('a slice of size 1 has one row, even among rows with the same time, and a smaller retry begins at the same place', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(
        `INSERT INTO rows SELECT i, CASE WHEN i <= 3 THEN timestamp '2026-01-01' ELSE timestamp '2026-01-02' END FROM generate_series(1, 1200) AS i`,
      )
      await using database = await opened(fresh.url)
      const rows = database.expired(COLUMN, CUTOFF)
      let after: Slice | undefined
      for (let row = 1; row <= 10; row += 1) {
        const wide = await rows.next(800, after)
        assert(wide !== undefined && (await wide.count()) >= (row === 3 ? 1 : 2))
        after = await rows.next(1, after)
        assert(after !== undefined)
        assert.equal(await after.count(), 1)
        const one = after
        await database.transaction((tx) => one.remove(tx, []))
        assert.equal((await ids(fresh.admin)).length, 1200 - row)
      }
    })

    void test('rows with the same time in several partitions are deleted, each slice within its size', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`
        CREATE TABLE rows (id bigint, at timestamp) PARTITION BY HASH (id);
        CREATE TABLE rows_0 PARTITION OF rows FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE rows_1 PARTITION OF rows FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE INDEX rows_at ON rows (at);
        INSERT INTO rows SELECT i, '2026-01-01' FROM generate_series(1, 2000) AS i`)
      await using database = await opened(fresh.url)
      assert.equal((await database.inspect(COLUMN)).kind, 'ready')
      for (const size of [1, 600]) {
        const slice = await firstSlice(database, size)
        assert((await slice.count()) <= size)
      }
      const { deleted, sizes } = await purged(database, 'rows', CUTOFF, 600)
      assert.equal(deleted, 2_000)
      assert(sizes.every((size) => size <= 600))
    })

    void test('a row renewed between being chosen and being deleted stays', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`INSERT INTO rows SELECT i, timestamp '2026-01-01' + i * interval '1 s' FROM generate_series(1, 100) AS i`)
      await using database = await opened(fresh.url)
      const slice = await firstSlice(database)
      await fresh.admin.query(`UPDATE rows SET at = '2027-01-01' WHERE id = 7`)
      assert.deepEqual(await database.transaction((tx) => slice.remove(tx, [])), { affected: 99, locked: 0 })
      assert.deepEqual(await ids(fresh.admin), [7])
    })

    void test('a row whose renewal commits while the delete waits for it stays', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`INSERT INTO rows SELECT i, '2026-01-01' FROM generate_series(1, 50) AS i`)
      await using database = await opened(fresh.url)
      for (const [size, left] of [
        [1_000, [7]],
        [20, [7, 8]],
      ] as const) {
        await fresh.admin.query(`INSERT INTO rows SELECT i, '2026-01-01' FROM generate_series(1, 50) AS i ON CONFLICT DO NOTHING`)
        const renewed = left.at(-1)
        await fresh.admin.query(`BEGIN; UPDATE rows SET at = '2027-01-01' WHERE id = ${renewed}`)
        const slice = await firstSlice(database, size)
        const deleteSlice = database.transaction((tx) => slice.remove(tx, []))
        await waiting(fresh.admin)
        await fresh.admin.query('COMMIT')
        await deleteSlice
        await purged(database, 'rows', CUTOFF, size)
        assert.deepEqual(await ids(fresh.admin), left)
      }
    })

    void test('one locked row is skipped and counted, all others are deleted, and nobody waits longer than the lock timeout', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`INSERT INTO rows SELECT i, timestamp '2026-01-01' + i * interval '1 ms' FROM generate_series(1, 10000) AS i`)
      await using database = await opened(fresh.url)
      await fresh.admin.query('BEGIN; SELECT FROM rows WHERE id = 5000 FOR UPDATE')
      const rows = database.expired(COLUMN, CUTOFF)
      let locked = 0
      let affected = 0
      let longestMs = 0
      for (let slice = await rows.next(1_000, undefined); slice !== undefined; slice = await rows.next(1_000, slice)) {
        const current = slice
        const tally = await database.transaction((tx) => current.remove(tx, []))
        locked += tally.locked
        affected += tally.affected
        const heldMs = database.heldMs()
        const { contended } = await database.pressure()
        longestMs = Math.max(longestMs, heldMs)
        assert.equal(contended, tally.locked > 0)
      }
      assert.deepEqual({ affected, locked }, { affected: 9_999, locked: 1 })
      assert(longestMs < 1_500, `${longestMs}`)
      await fresh.admin.query('ROLLBACK')
      assert.deepEqual(await ids(fresh.admin), [5_000])
      assert.equal((await purged(database, 'rows', CUTOFF, 1_000)).deleted, 1)
    })

    void test('a role that may not lock rows skips the batch with the locked row and goes on', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      const role = `${fresh.name}_purger`
      await fresh.admin.query(`INSERT INTO rows SELECT i, timestamp '2026-01-01' + i * interval '1 s' FROM generate_series(1, 100) AS i`)
      await fresh.admin.query(`CREATE ROLE ${role} LOGIN; GRANT SELECT, DELETE ON rows TO ${role}`)
      {
        await using database = await opened(fresh.url.replace('postgres@', `${role}@`))
        await fresh.admin.query('BEGIN; SELECT FROM rows WHERE id = 15 FOR UPDATE')
        const slice = await firstSlice(database, 10)
        assert.deepEqual(await database.transaction((tx) => slice.remove(tx, [])), { affected: 10, locked: 0 })
        const second = await firstSlice(database, 10)
        assert.deepEqual(await database.transaction((tx) => second.remove(tx, [])), { affected: 0, locked: 10 })
        await fresh.admin.query('ROLLBACK')
        assert.equal((await purged(database, 'rows', CUTOFF, 10)).deleted, 90)
      }
      await fresh.admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    })

    void test('a whole table that somebody has locked is busy', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`INSERT INTO rows VALUES (1, '2026-01-01')`)
      await using database = await opened(fresh.url)
      const slice = await firstSlice(database)
      await fresh.admin.query('BEGIN; LOCK TABLE rows IN SHARE MODE')
      await assert.rejects(
        database.transaction((tx) => slice.remove(tx, [])),
        (error) => error instanceof DatabaseError && error.kind === 'busy',
      )
      assert.equal((await database.pressure()).contended, true)
      await fresh.admin.query('ROLLBACK')
      assert.equal((await purged(database, 'rows', CUTOFF, 10)).deleted, 1)
    })

    void test('a foreign key refuses the row, and no row of the slice is deleted', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`
        INSERT INTO rows VALUES (1, '2026-01-01'), (2, '2026-01-02'), (3, '2026-01-03');
        CREATE TABLE evidence (row_id bigint REFERENCES rows); INSERT INTO evidence VALUES (2)`)
      await using database = await opened(fresh.url)
      const slice = await firstSlice(database)
      await assert.rejects(
        database.transaction((tx) => slice.remove(tx, [])),
        refusal(/evidence/),
      )
      assert.deepEqual(await ids(fresh.admin), [1, 2, 3])
    })

    void test('a trigger that raises any error refuses the row', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`INSERT INTO rows VALUES (1, '2026-01-01')`)
      await using database = await opened(fresh.url)
      for (const raise of [`RAISE EXCEPTION 'on hold'`, `RAISE EXCEPTION 'on hold' USING ERRCODE = 'ZZ999'`, `PERFORM 1 / 0`]) {
        await trigger(fresh.admin, `${raise}; RETURN OLD;`)
        const slice = await firstSlice(database)
        await assert.rejects(
          database.transaction((tx) => slice.remove(tx, [])),
          refusal(/on hold|division by zero/),
        )
      }
    })

    void test('a trigger that silently prevents deletes is an error, for all rows and for one', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`INSERT INTO rows SELECT i, timestamp '2026-01-01' + i * interval '1 s' FROM generate_series(1, 20) AS i`)
      await using database = await opened(fresh.url)
      for (const [body, rows] of [
        ['RETURN NULL;', '20 expired rows'],
        ['IF OLD.id = 7 THEN RETURN NULL; END IF; RETURN OLD;', 'an expired row'],
      ] as const) {
        await trigger(fresh.admin, body)
        for (const size of [1_000, 20]) {
          const slice = await firstSlice(database, size)
          await assert.rejects(
            database.transaction((tx) => slice.remove(tx, [])),
            refusal(new RegExp(`trigger or rule on public\\.rows silently prevents ${rows}`)),
          )
        }
      }
      assert.equal((await ids(fresh.admin)).length, 20)
    })

    void test('a rule that silently prevents deletes is an error too, and so is one such row beside a locked one', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`INSERT INTO rows SELECT i, timestamp '2026-01-01' + i * interval '1 s' FROM generate_series(1, 20) AS i`)
      await using database = await opened(fresh.url)
      await trigger(fresh.admin, 'IF OLD.id = 7 THEN RETURN NULL; END IF; RETURN OLD;')
      await fresh.admin.query('BEGIN; SELECT FROM rows WHERE id = 3 FOR UPDATE')
      const slice = await firstSlice(database)
      await assert.rejects(
        database.transaction((tx) => slice.remove(tx, [])),
        refusal(/silently prevents an expired row/),
      )
      await fresh.admin.query('ROLLBACK; DROP TRIGGER keep ON rows; CREATE RULE keep AS ON DELETE TO rows DO INSTEAD NOTHING')
      await using calm = await opened(fresh.url)
      const all = await firstSlice(calm)
      await assert.rejects(
        calm.transaction((tx) => all.remove(tx, [])),
        refusal(/silently prevents 20 expired rows/),
      )
    })

    void test('rows that arrive late, before the position reached, wait for the next run', async () => {
      await using fresh = await freshPostgres(major)
      await table(fresh.admin, 'timestamp')
      await fresh.admin.query(`INSERT INTO rows SELECT i, timestamp '2026-01-01' + i * interval '1 s' FROM generate_series(1, 20) AS i`)
      await using database = await opened(fresh.url)
      const rows = database.expired(COLUMN, CUTOFF)
      const first = await rows.next(10, undefined)
      assert(first !== undefined)
      await fresh.admin.query(`INSERT INTO rows VALUES (99, '2026-01-01 00:00:01.5')`)
      assert.equal((await database.transaction((tx) => first.remove(tx, []))).affected, 11)
      await fresh.admin.query(`INSERT INTO rows VALUES (100, '2026-01-01 00:00:01.5')`)
      const second = await rows.next(10, first)
      assert(second !== undefined)
      assert.equal(await second.count(), 10)
      assert.equal((await purged(database, 'rows', CUTOFF + DAY, 10)).deleted, 11)
    })
  })
}

async function trigger(admin: Client, body: string): Promise<void> {
  await admin.query(`
    CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$;
    DROP TRIGGER IF EXISTS keep ON rows;
    CREATE TRIGGER keep BEFORE DELETE ON rows FOR EACH ROW EXECUTE FUNCTION keep()`)
}

/** Until the purge waits for the row that this session holds. */
async function waiting(admin: Client): Promise<void> {
  for (;;) {
    const { rows } = await admin.query(`SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))`)
    if (rows.length > 0) return
  }
}

function refusal(message: RegExp): (error: unknown) => true {
  return (error) => {
    assert(error instanceof DatabaseError, String(error))
    assert.equal(error.kind, 'row-refused', error.message)
    assert.match(error.message, message)
    return true
  }
}
