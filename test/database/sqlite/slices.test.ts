import assert from 'node:assert/strict'
import { chmod, readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { Database } from '../../../src/database/database.ts'
import { DAY, hostClock, HOUR, SECOND, type EpochMs } from '../../../src/time/clock.ts'
import { wallClock } from '../../../src/time/zones.ts'
import { copyOf, freshSqliteFile, gatewayDatabase, withoutGatewayDatabase } from '../../support/databases.ts'
import { beside, NOON, opened, purged, slicesOf } from './opening.ts'

const MIXED = 'gateway-mixed-timestamps.sqlite'
const TRUTH = 'gateway-mixed-timestamps.csv'
const SESSIONS = { table: 'sessions', column: 'expires_at' }

describe('the rows that clients of every kind wrote', { skip: withoutGatewayDatabase(MIXED) || withoutGatewayDatabase(TRUTH) }, () => {
  const jobs = [
    { table: 'audit_logs', column: 'timestamp', cutoff: NOON - 90 * DAY },
    { table: 'policy_decisions', column: 'expires_at', cutoff: NOON },
    { table: 'sessions', column: 'expires_at', cutoff: NOON },
  ]
  for (const { table, column, cutoff } of jobs) {
    for (const size of [37, 10_000]) {
      it(`of ${table} go exactly as they should, ${size} at a time`, async () => {
        await using copy = (await copyOf(MIXED))!
        await chmod(copy.file, 0o600)
        await using open = await opened(copy.file)
        const { database } = open
        const truth = await truthOf(table)
        const expired = new Set(truth.filter(({ micros }) => micros !== undefined && micros < cutoff * 1000).map(({ id }) => id))
        const unreadable = truth.filter(({ micros }) => micros === undefined).length
        const rows = database.expired({ table, column }, cutoff)

        let counted = 0
        for (const slice of await slicesOf(rows, size)) counted += await slice.count()
        assert.equal(counted, expired.size)
        const { rows: estimated, more } = await rows.estimate()
        assert.deepEqual([estimated, more], [expired.size, false])
        assert.equal((await rows.census(true)).unreadable, unreadable)

        assert.equal(await purged(database, database.expired({ table, column }, cutoff), size), expired.size)
        const left = await database.query<{ id: number }>(`SELECT id FROM ${table} ORDER BY id`)
        assert.deepEqual(
          left.rows.map(({ id }) => id),
          truth.filter(({ id }) => !expired.has(id)).map(({ id }) => id),
        )
        const census = await database.expired({ table, column }, cutoff).census(false)
        assert.deepEqual([census.undated, census.unreadable, census.shapes.length], [0, unreadable, 3])
      })
    }
  }
})

describe('slices of a SQLite table', () => {
  const declared = ['TIMESTAMP', 'TEXT', 'INTEGER', '', 'VARCHAR(30)', 'REAL']
  const indexes = ['(expires_at)', '(expires_at DESC)', '(expires_at, id DESC)', undefined]

  it('slices hold exactly the expired rows, whatever is stored, declared and indexed', async () => {
    const instants = fc.integer({ min: NOON - 40 * HOUR, max: NOON + 40 * HOUR })
    const values = fc.oneof(
      { weight: 4, arbitrary: fc.record({ at: instants, form: fc.constantFrom(...FORMS.keys()) }) },
      fc.record({
        at: fc.constant(undefined),
        form: fc.constantFrom<Stored>(null, '', 'never', '2026-02-30 10:00', 20_260_101, -5, '2026-11-23 25:00', '9999'),
      }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(values, { maxLength: 40 }),
        fc.record({
          size: fc.integer({ min: 1, max: 15 }),
          cutoff: fc.integer({ min: NOON - DAY, max: NOON + DAY }),
          timeZone: fc.constantFrom('UTC', 'Asia/Tokyo', 'America/St_Johns', 'Pacific/Kiritimati'),
          type: fc.constantFrom(...declared),
          index: fc.constantFrom(...indexes),
          analyzed: fc.boolean(),
        }),
        async (rows, { size, cutoff, timeZone, type, index, analyzed }) => {
          await using fresh = await freshSqliteFile()
          // Without time passing: an estimate that takes long on a busy machine is cut short.
          await using open = await opened(fresh.file, { timeZone, clock: { ...hostClock(), monotonicMs: () => 0 } })
          const { database } = open
          await database.query(`CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at ${type})`)
          if (index !== undefined) await database.query(`CREATE INDEX by_time ON sessions ${index}`)
          if (analyzed) await database.query('INSERT INTO sessions VALUES (1, NULL); ANALYZE; DELETE FROM sessions')
          const expired: number[] = []
          let oldest = Infinity
          let unreadable = 0
          for (const [at, row] of rows.entries()) {
            const form = row.at === undefined ? undefined : FORMS.get(row.form)!
            const value = form === undefined ? (row.form as Stored) : form.write(row.at!, timeZone)
            await database.query('INSERT INTO sessions VALUES ($1, $2)', [at + 1, value])
            // A column that makes text of a number makes an unreadable time of it.
            const number = typeof value === 'number' || typeof value === 'bigint'
            const lost = number && (type === 'TEXT' || type.startsWith('VARCHAR'))
            if (value === null) continue
            if (row.at === undefined || lost) unreadable++
            else if (form!.precise(row.at) < cutoff) {
              expired.push(at + 1)
              oldest = Math.min(oldest, form!.precise(row.at))
            }
          }
          const seen = database.expired(SESSIONS, cutoff)
          const slices = await slicesOf(seen, size)
          let counted = 0
          for (const slice of slices) counted += await slice.count()
          assert.equal(counted, expired.length)
          const estimate = await seen.estimate()
          assert.deepEqual([estimate.rows, estimate.more], [expired.length, false])
          assert.ok(
            expired.length === 0 ? estimate.oldest === null : Math.abs(estimate.oldest! - oldest) <= 1,
            `${estimate.oldest} ${oldest}`,
          )
          assert.equal(await purged(database, database.expired(SESSIONS, cutoff), size), expired.length)
          const left = (await database.query<{ id: number }>('SELECT id FROM sessions ORDER BY id')).rows.map(({ id }) => id)
          assert.deepEqual(
            left,
            rows.map((_, at) => at + 1).filter((id) => !expired.includes(id)),
          )
          for (const census of [await seen.census(true), await database.expired(SESSIONS, cutoff).census(false)]) {
            assert.equal(census.unreadable, unreadable)
            assert.equal(census.undated, rows.filter((row) => row.at === undefined && row.form === null).length)
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  it('slices advance even if nothing is deleted, with each row once, also among thousands with the same time', async () => {
    for (const index of ['(expires_at)', '(expires_at DESC)']) {
      await using fresh = await freshSqliteFile()
      await using open = await opened(fresh.file)
      const { database } = open
      await makeSessions(database, index)
      await fill(database, 20_000, "'2026-01-01 00:00:00'")
      await fill(database, 500, "strftime('%Y-%m-%d %H:%M:%S', '2026-01-01', n || ' minutes')")
      const slices = await slicesOf(database.expired(SESSIONS, NOON), 700)
      const counts = await Promise.all(slices.map((slice) => slice.count()))
      assert.deepEqual(counts, [...Array.from({ length: 29 }, () => 700), 200])
    }
  })

  it('slices of rows with the same time take as long as others', async () => {
    const apart = await walking("strftime('%Y-%m-%d %H:%M:%S', '2026-01-01', n || ' minutes')")
    const tied = await walking("'2026-01-01 00:00:00'")
    // Looking from the start of the tie each time would be some forty times slower.
    assert.ok(tied < 8 * apart + 100, `${tied} ms against ${apart} ms`)
  })

  it('a smaller slice after the same position begins with the same row', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await makeSessions(database)
    await fill(database, 30, "strftime('%Y-%m-%d %H:%M:%S', '2026-01-01', n || ' minutes')")
    await database.query("INSERT INTO sessions (expires_at) VALUES (''), ('2026-01-01 00:07'), ('2026-01-01 00:99')")
    const rows = database.expired(SESSIONS, NOON)
    const first = await rows.next(10, undefined)
    const large = await rows.next(10, first)
    const small = await rows.next(1, first)
    assert.equal(await small?.count(), 1)
    await database.transaction((tx) => small!.remove(tx, []))
    assert.equal(await large?.count(), 9)
    assert.equal((await rows.census(true)).unreadable, 2)
  })

  it('slices skip any number of unreadable rows while the event loop goes on', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await makeSessions(database)
    await fill(database, 60_000, "'0000-00-00 00:00:00'")
    await fill(database, 3, "'2026-01-01'")
    let turns = 0
    const ticking = setInterval(() => turns++, 1)
    const slices = await slicesOf(database.expired(SESSIONS, NOON), 2)
    clearInterval(ticking)
    assert.equal(slices.length, 2)
    assert.ok(turns >= 3, `${turns} turns`)
  })

  it('slices get past text that is not UTF-8, and work in a UTF-16 database', async () => {
    for (const encoding of ['UTF-8', 'UTF-16le']) {
      await using fresh = await freshSqliteFile()
      await using open = await opened(fresh.file)
      const { database } = open
      await database.query(`PRAGMA encoding = '${encoding}'`)
      await makeSessions(database)
      for (let n = 0; n < 5; n++)
        await database.query("INSERT INTO sessions (expires_at) VALUES (CAST(x'3200fffe3000ff' AS TEXT)), (CAST(x'ff00' AS TEXT))")
      await fill(database, 5, "'2026-01-01 00:00'")
      await fill(database, 5, "'2026-12-01T00:00:00Z'")
      for (const size of [1, 2, 100]) {
        const rows = database.expired(SESSIONS, NOON)
        const slices = await slicesOf(rows, size)
        assert.equal(slices.length, Math.ceil(5 / size))
        assert.equal((await rows.census(false)).unreadable, 10)
      }
    }
  })

  it('slices hold rows whose numbers or nanoseconds exceed the safe integers', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await makeSessions(database)
    const nanos = BigInt(NOON) * 1_000_000n
    const numbers = [2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 60n) - 3n]
    for (const id of numbers) await database.query('INSERT INTO sessions VALUES ($1, $2, NULL)', [id, nanos - 1n])
    await database.query('INSERT INTO sessions VALUES (1, $1, NULL), (2, $2, NULL)', [nanos, nanos + 1n])
    assert.equal(await purged(database, database.expired(SESSIONS, NOON), 2), 3)
    const left = await database.query<{ id: number }>('SELECT id FROM sessions ORDER BY id')
    assert.deepEqual(left.rows, [{ id: 1 }, { id: 2 }])
  })
})

describe('a row that is renewed between being chosen and being deleted', () => {
  it('a renewed row stays, and a delete by row number alone would lose it', async () => {
    for (const renewed of ["'2027-01-01 00:00:00'", "'2026-11-23T23:00:00-01:00'", '4000000000', 'NULL']) {
      await using fresh = await freshSqliteFile()
      await using open = await opened(fresh.file)
      const { database } = open
      await makeSessions(database)
      await fill(database, 10, "'2026-01-01 00:00:00'")
      using gateway = beside(fresh.file)

      const slice = await database.expired(SESSIONS, NOON).next(100, undefined)
      const { rows: naive } = await database.query<{ id: number }>("SELECT id FROM sessions WHERE expires_at < '2026-11-23' LIMIT 100")
      gateway.exec(`UPDATE sessions SET expires_at = ${renewed} WHERE id = 4`)
      assert.equal(await slice?.count(), 9)
      assert.deepEqual(await database.transaction((tx) => slice!.remove(tx, [])), { affected: 9, locked: 0 })
      assert.deepEqual((await database.query('SELECT id FROM sessions')).rows, [{ id: 4 }])

      const lost = gateway.prepare(`DELETE FROM sessions WHERE id IN (${naive.map(({ id }) => id).join(', ')})`).run()
      assert.equal(lost.changes, 1)
    }
  })

  it('a row that somebody has deleted meanwhile is not an error', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await makeSessions(database)
    await fill(database, 10, "'2026-01-01 00:00:00'")
    const slice = await database.expired(SESSIONS, NOON).next(100, undefined)
    await database.query('DELETE FROM sessions WHERE id < 4')
    assert.deepEqual(await database.transaction((tx) => slice!.remove(tx, [])), { affected: 7, locked: 0 })
  })
})

describe('what others put on a table', () => {
  const refusals = [
    {
      name: 'a trigger that swallows the delete is told, not counted as nothing',
      sql: 'CREATE TRIGGER guard BEFORE DELETE ON sessions WHEN OLD.id = 3 BEGIN SELECT RAISE(IGNORE); END',
      message: /1 expired row of sessions remained .*RAISE\(IGNORE\)/,
    },
    {
      name: 'a trigger that refuses is heard',
      sql: "CREATE TRIGGER guard BEFORE DELETE ON sessions WHEN OLD.id = 3 BEGIN SELECT RAISE(ABORT, 'legal hold'); END",
      message: /legal hold/,
    },
    {
      name: 'a trigger that rolls back is heard',
      sql: "CREATE TRIGGER guard BEFORE DELETE ON sessions WHEN OLD.id = 3 BEGIN SELECT RAISE(ROLLBACK, 'legal hold'); END",
      message: /legal hold/,
    },
    {
      name: 'a reference to a row keeps it',
      sql: 'CREATE TABLE notes (session INTEGER REFERENCES sessions); INSERT INTO notes VALUES (3)',
      message: /FOREIGN KEY/,
    },
  ]
  for (const { name, sql, message } of refusals) {
    it(name, async () => {
      await using fresh = await freshSqliteFile()
      await using open = await opened(fresh.file)
      const { database } = open
      await makeSessions(database)
      await fill(database, 5, "'2026-01-01 00:00:00'")
      await database.query(sql)
      const rows = database.expired(SESSIONS, NOON)
      const all = await rows.next(100, undefined)
      await assert.rejects(
        database.transaction((tx) => all!.remove(tx, [])),
        { name: 'DatabaseError', kind: 'row-refused', message },
      )
      assert.equal(await all?.count(), 5)
      const refused: unknown[] = []
      for (const slice of await slicesOf(rows, 1))
        await database.transaction((tx) => slice.remove(tx, [])).catch((error) => refused.push(error))
      assert.equal(refused.length, 1)
      assert.deepEqual((await database.query('SELECT id FROM sessions')).rows, [{ id: 3 }])
    })
  }

  it('a foreign key with ON DELETE CASCADE deletes the dependent rows', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await makeSessions(database)
    await fill(database, 5, "'2026-01-01 00:00:00'")
    await database.query('CREATE TABLE notes (session INTEGER REFERENCES sessions ON DELETE CASCADE); INSERT INTO notes VALUES (3), (4)')
    assert.equal(await purged(database, database.expired(SESSIONS, NOON), 3), 5)
    assert.deepEqual((await database.query('SELECT * FROM notes')).rows, [])
  })
})

describe('the census', () => {
  it('the census counts among many rows to be kept only if it is thorough', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await makeSessions(database)
    await fill(database, 100_001, "'2026-12-01 00:00:00'")
    await database.query("INSERT INTO sessions (expires_at) VALUES ('2026-13-45 99:99:99'), (NULL), (0), (x'00'), ('zzz')")
    const unreadable = async (thorough: boolean): Promise<number> => (await database.expired(SESSIONS, NOON).census(thorough)).unreadable
    assert.equal(await unreadable(true), 4)
    assert.equal(await unreadable(false), 3)
    await database.query('DELETE FROM sessions WHERE id < 10')
    assert.equal(await unreadable(false), 4)
    assert.equal((await database.expired(SESSIONS, NOON).census(false)).undated, 1)
  })
})

interface Truth {
  readonly id: number
  /** `undefined`: not a time. */
  readonly micros: number | undefined
}

async function truthOf(table: string): Promise<Truth[]> {
  const lines = (await readFile(gatewayDatabase(TRUTH)!, 'utf8')).trim().split('\n')
  return lines
    .map((line) => line.trim().split(','))
    .filter(([name]) => name === table)
    .map(([, id, , seconds]) => ({ id: Number(id), micros: seconds ? Math.round(Number(seconds) * 1e6) : undefined }))
}

/** Milliseconds to walk through rows with such times in small slices. */
async function walking(value: string): Promise<number> {
  await using fresh = await freshSqliteFile()
  await using open = await opened(fresh.file)
  await makeSessions(open.database)
  await fill(open.database, 20_000, value)
  const rows = open.database.expired(SESSIONS, NOON)
  await slicesOf(rows, 1_000)
  const began = performance.now()
  assert.equal((await slicesOf(rows, 20)).length, 1_000)
  return performance.now() - began
}

async function makeSessions(database: Database, index = '(expires_at)'): Promise<void> {
  await database.query('CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP, note TEXT)')
  await database.query(`CREATE INDEX idx_sessions_expires ON sessions ${index}`)
}

/** Rows whose time is an expression over `n`, the row's place. */
async function fill(database: Database, rows: number, value: string): Promise<void> {
  await database.query(
    `WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < $1) INSERT INTO sessions (expires_at) SELECT ${value} FROM counter`,
    [rows],
  )
}

type Stored = string | number | bigint | null

interface Form {
  readonly write: (at: EpochMs, timeZone: string) => Stored
  /** The instant that is left of `at` when it is written so. */
  readonly precise: (at: EpochMs) => EpochMs
}

const iso = (at: EpochMs): string => new Date(at).toISOString()
const local = (at: EpochMs, timeZone: string): string => iso(wallClock(timeZone)(at))
const floor = (unit: number) => (at: EpochMs) => Math.floor(at / unit) * unit
const exactly = (at: EpochMs): EpochMs => at

/** As clients write times. None of the zones above changes its clocks near the times of these tests. */
const FORMS: ReadonlyMap<unknown, Form> = new Map<unknown, Form>([
  ['orm', { write: (at, zone) => `${local(at, zone).slice(0, 23).replace('T', ' ')}000`, precise: exactly }],
  ['current_timestamp', { write: (at, zone) => local(at, zone).slice(0, 19).replace('T', ' '), precise: floor(SECOND) }],
  ['naive', { write: (at, zone) => local(at, zone).slice(0, 19), precise: floor(SECOND) }],
  ['iso', { write: (at) => iso(at), precise: exactly }],
  ['iso seconds', { write: (at) => `${iso(at).slice(0, 19)}Z`, precise: floor(SECOND) }],
  ['east', { write: (at) => `${iso(at + 14 * HOUR).slice(0, 19)}+14:00`, precise: floor(SECOND) }],
  [
    'west',
    {
      write: (at) =>
        `${iso(at - 12 * HOUR)
          .slice(0, 23)
          .replace('T', ' ')}-12:00`,
      precise: exactly,
    },
  ],
  ['seconds', { write: (at) => Math.floor(at / SECOND), precise: floor(SECOND) }],
  ['real seconds', { write: (at) => at / SECOND, precise: exactly }],
  ['milliseconds', { write: (at) => at, precise: exactly }],
  ['microseconds', { write: (at) => at * 1_000, precise: exactly }],
])
