import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DatabaseError, type ErrorKind } from '../../../src/database/database-error.ts'
import type { Inspection } from '../../../src/database/purging.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../../support/databases.ts'
import { opened } from './fixture.ts'

async function inspected(url: string, column = 'at', timeZone = 'UTC', keep?: { readonly from: 'written' }): Promise<Inspection> {
  await using database = await opened(url, { timeZone })
  return await database.inspect({ table: 'rows', column, ...(keep === undefined ? {} : { keep }) })
}

function says(kind: ErrorKind, ...parts: RegExp[]): (error: unknown) => true {
  return (error) => {
    assert(error instanceof DatabaseError, String(error))
    assert.equal(error.kind, kind)
    for (const part of [...parts, /othing was deleted/]) assert.match(error.message, part)
    return true
  }
}

/** A role of its own, gone with the database. */
async function role(fresh: FreshPostgres): Promise<{ name: string; url: string; drop: () => Promise<unknown> }> {
  const name = `${fresh.name}_role`
  await fresh.admin.query(`CREATE ROLE ${name} LOGIN`)
  return {
    name,
    url: fresh.url.replace('postgres@', `${name}@`),
    drop: () => fresh.admin.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`),
  }
}

const READY = { kind: 'ready', warnings: [], lasting: [] }

for (const major of POSTGRES_MAJORS) {
  void describe(`inspecting a table on PostgreSQL ${major}`, () => {
    void test('a missing table is absent, even if another schema has one of its name', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query('CREATE SCHEMA other; CREATE TABLE other.rows (at timestamp)')
      assert.deepEqual(await inspected(fresh.url), { kind: 'absent', reason: 'table public.rows does not exist' })
    })

    void test('a view, a missing column and a column without times are refused by name', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query('CREATE VIEW rows AS SELECT now() AS at')
      await assert.rejects(inspected(fresh.url), says('failed', /public\.rows is a view/i))
      await fresh.admin.query('DROP VIEW rows; CREATE TABLE rows (at bigint, seen date)')
      await assert.rejects(inspected(fresh.url), says('failed', /"at" of public\.rows has type bigint/))
      await assert.rejects(inspected(fresh.url, 'seen'), says('failed', /type date/))
      await assert.rejects(inspected(fresh.url, 'gone'), says('failed', /public\.rows has no column "gone"/))
    })

    void test('a missing privilege is reported with the GRANT to run, and running it helps', async () => {
      await using fresh = await freshPostgres(major)
      const someone = await role(fresh)
      await fresh.admin.query('REVOKE USAGE ON SCHEMA public FROM PUBLIC; CREATE TABLE rows (at timestamp)')
      let message = ''
      await assert.rejects(inspected(someone.url), (error) => {
        message = error instanceof Error ? error.message : ''
        return says('forbidden', /GRANT USAGE ON SCHEMA "public"/, /GRANT SELECT, DELETE ON "public"\."rows"/)(error)
      })
      await fresh.admin.query(message.slice(message.indexOf('Run: ') + 5))
      assert.deepEqual(await inspected(someone.url), READY)
      await fresh.admin.query(`REVOKE DELETE ON rows FROM ${someone.name}`)
      await assert.rejects(inspected(someone.url), says('forbidden', /GRANT DELETE ON/))
      await someone.drop()
    })

    void test('row-level security that hides rows is an error, but not for the owner', async () => {
      await using fresh = await freshPostgres(major)
      const someone = await role(fresh)
      await fresh.admin.query(`
        CREATE TABLE rows (at timestamp); INSERT INTO rows VALUES ('2020-01-01');
        GRANT SELECT, DELETE ON rows TO ${someone.name}; ALTER TABLE rows ENABLE ROW LEVEL SECURITY`)
      await assert.rejects(inspected(someone.url), says('forbidden', /Row-level security/, /BYPASSRLS/))
      assert.deepEqual(await inspected(fresh.url), READY)
      await fresh.admin.query(`ALTER TABLE rows OWNER TO ${someone.name}`)
      assert.deepEqual(await inspected(someone.url), READY)
      await fresh.admin.query('ALTER TABLE rows FORCE ROW LEVEL SECURITY')
      await assert.rejects(inspected(someone.url), says('forbidden', /Row-level security/))
      await someone.drop()
    })

    void test('row-level security that is enabled during a purge ends it with an error', async () => {
      await using fresh = await freshPostgres(major)
      const someone = await role(fresh)
      await fresh.admin.query(
        `CREATE TABLE rows (at timestamp); INSERT INTO rows VALUES ('2020-01-01'); GRANT SELECT, DELETE ON rows TO ${someone.name}`,
      )
      {
        await using database = await opened(someone.url)
        const slice = await database.expired({ table: 'rows', column: 'at' }, Date.UTC(2026, 0, 1)).next(10, undefined)
        await fresh.admin.query('ALTER TABLE rows ENABLE ROW LEVEL SECURITY')
        assert(slice !== undefined)
        await assert.rejects(
          database.transaction((tx) => slice.remove(tx, [])),
          (error) => error instanceof DatabaseError && error.kind === 'forbidden' && /row-level security/.test(error.message),
        )
      }
      await someone.drop()
    })

    void test('a small table needs no index, and a large one without it is refused with the statement that creates it', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(
        `CREATE TABLE rows (id int, at timestamp); INSERT INTO rows SELECT i, now() FROM generate_series(1, 50000) AS i`,
      )
      assert.deepEqual(await inspected(fresh.url), READY)
      await fresh.admin.query(`
        INSERT INTO rows VALUES (0, now()); CREATE INDEX ON rows (id, at); CREATE INDEX ON rows (at) WHERE id > 5; CREATE INDEX ON rows USING hash (at)`)
      let message = ''
      await assert.rejects(inspected(fresh.url), (error) => {
        message = error instanceof Error ? error.message : ''
        return says('failed', /no index that begins with "at"/)(error)
      })
      await fresh.admin.query(/CREATE INDEX CONCURRENTLY [^.]*\.[^.]*\)/.exec(message)?.[0] ?? 'none')
      await fresh.admin.query('ANALYZE rows')
      assert.deepEqual(await inspected(fresh.url), READY)
    })

    void test('times written in another zone are noticed if a retention counts from them', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`
        CREATE TABLE rows (at timestamp, expires timestamp, zoned timestamptz); CREATE INDEX ON rows (at); CREATE INDEX ON rows (expires); CREATE INDEX ON rows (zoned);
        INSERT INTO rows SELECT t, t, now() + interval '2 h' FROM generate_series(0, 59) AS i,
          LATERAL (SELECT (now() AT TIME ZONE 'Asia/Tokyo') - i * interval '1 s' AS t) AS l;
        INSERT INTO rows VALUES ('infinity', 'infinity', 'infinity')`)
      assert.match(
        JSON.stringify(await inspected(fresh.url, 'at', 'UTC', { from: 'written' })),
        /newest row of public\.rows is 9 h ahead of the clock .*DATABASE_TIME_ZONE/,
      )
      assert.deepEqual(await inspected(fresh.url, 'at', 'Asia/Tokyo', { from: 'written' }), READY)
      assert.match(JSON.stringify(await inspected(fresh.url, 'at', 'Pacific/Auckland', { from: 'written' })), /behind the clock/)
      assert.deepEqual(await inspected(fresh.url, 'expires'), READY)
      assert.deepEqual(await inspected(fresh.url, 'zoned', 'UTC', { from: 'written' }), READY)
    })
  })
}
