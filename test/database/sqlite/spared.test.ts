import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import type { Database } from '../../../src/database/database.ts'
import type { ExportedSlice } from '../../../src/database/exporting.ts'
import { NO_TERMS, type Slice, type Terms } from '../../../src/database/purging.ts'
import type { Transaction } from '../../../src/database/query.ts'
import type { Spared, SparedRows } from '../../../src/policy/spared.ts'
import { HOUR, MINUTE } from '../../../src/time/clock.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { beside, NOON, opened, slicesOf } from './opening.ts'

const COLUMN = { table: 'audit_logs', column: 'timestamp' }

interface Way {
  readonly chosen: (database: Database, spared?: SparedRows) => Promise<readonly Slice[]>
  readonly remove: (slice: Slice, tx: Transaction, spared: SparedRows) => Promise<number>
}

const WAYS: Readonly<Record<string, Way>> = {
  'without an archive': {
    chosen: (database, spared = []) => slicesOf(database.expired(COLUMN, NOON, spared), 100),
    remove: async (slice, tx, spared) => (await slice.remove(tx, spared)).affected,
  },
  'with an archive': {
    chosen: async (database, spared = []) => {
      const slices = await slicesOf(database.exported(COLUMN, NOON, Infinity, spared), 100)
      for (const slice of slices) await slice.read(() => Promise.resolve())
      return slices
    },
    remove: async (slice, tx, spared) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- chosen above
      const { affected, unknown } = await (slice as ExportedSlice).removeRead(tx, spared, () => () => true)
      assert.equal(unknown, 0)
      return affected
    },
  },
}

function held(match: Spared['match'], from?: string, until?: string): Spared {
  return { match, from: from === undefined ? undefined : Date.parse(from), until: until === undefined ? undefined : Date.parse(until) }
}

const ALICE = held({ user: ['alice'] })

interface Logs extends AsyncDisposable {
  readonly file: string
  readonly database: Database
  readonly gateway: BetterSqlite3.Database
  ids(): readonly unknown[]
}

const INDEX = 'CREATE INDEX idx_audit_logs_timestamp ON audit_logs (timestamp)'

async function logs({
  sql = '',
  time = 'timestamp TIMESTAMP',
  index = INDEX,
  timeZone = 'UTC',
}: {
  readonly sql?: string
  readonly time?: string
  readonly index?: string
  readonly timeZone?: string
}): Promise<Logs> {
  const fresh = await freshSqliteFile()
  const gateway = beside(fresh.file)
  gateway.exec(`CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, ${time}, "User" , tool_name TEXT); ${index}; ${sql}`)
  const open = await opened(fresh.file, { timeZone })
  return {
    file: fresh.file,
    database: open.database,
    gateway,
    ids: () => gateway.prepare('SELECT id FROM audit_logs ORDER BY id').pluck().all(),
    async [Symbol.asyncDispose]() {
      gateway.close()
      await open[Symbol.asyncDispose]()
      await fresh[Symbol.asyncDispose]()
    },
  }
}

/** Five rows that have expired: of alice, Bob, ALICE, bob and nobody. */
const FIVE = `INSERT INTO audit_logs VALUES (1, '2026-01-01 00:00:00', 'alice', 'a'), (2, '2026-01-02 00:00:00', 'Bob', 'b'), (3, '2026-01-03 00:00:00', 'ALICE', 'c'),
  (4, '2026-01-04 00:00:00', 'bob', 'd'), (5, '2026-01-05 00:00:00', NULL, NULL)`

async function purged(database: Database, spared: SparedRows): Promise<void> {
  for (const slice of await slicesOf(database.expired(COLUMN, NOON, spared), 3))
    await database.transaction((tx) => slice.remove(tx, spared))
}

for (const [way, { chosen, remove: removeIn }] of Object.entries(WAYS)) {
  const remove = (database: Database, slice: Slice, spared: SparedRows): Promise<number> =>
    database.transaction((tx) => removeIn(slice, tx, spared))

  describe(`a hold that comes after a row was chosen, ${way}:`, () => {
    it('keeps the row, although nothing in the table has changed', async () => {
      await using found = await logs({ sql: FIVE })
      const [slice] = await chosen(found.database)
      assert.equal(await remove(found.database, slice!, [ALICE]), 3)
      assert.deepEqual(found.ids(), [1, 3])
    })

    it('keeps the row at the edge of its time, where the DELETE itself cannot tell', async () => {
      await using found = await logs({ sql: FIVE })
      const [slice] = await chosen(found.database)
      const late = held({ user: ['alice'] }, '2026-01-01T00:00:00.000Z', '2026-01-03T00:00:00.000Z')
      assert.equal(await remove(found.database, slice!, [late]), 4)
      assert.deepEqual(found.ids(), [1])
    })

    it('keeps rows of later slices too, which are chosen without it, as long as the run lasts', async () => {
      await using found = await logs({ sql: FIVE })
      const late = [held({ user: ['alice'] }, '2026-01-03T00:00:00.000Z', '2026-01-04T00:00:00.000Z')]
      const rows = way === 'with an archive' ? found.database.exported(COLUMN, NOON, Infinity) : found.database.expired(COLUMN, NOON)
      for (let after: Slice | undefined; ;) {
        const slice = await rows.next(2, after)
        if (slice === undefined) break
        await remove(found.database, slice, late)
        after = slice
      }
      assert.deepEqual(found.ids(), [3])
    })

    it('keeps the row when a batch that was rolled back is tried again', async () => {
      await using found = await logs({ sql: FIVE })
      const [slice] = await chosen(found.database)
      await assert.rejects(
        found.database.transaction(async (tx) => {
          await removeIn(slice!, tx, [])
          throw new Error('the lease is gone')
        }),
        /the lease is gone/,
      )
      assert.equal(await remove(found.database, slice!, [ALICE]), 3)
      assert.deepEqual(found.ids(), [1, 3])
    })

    it('adds to what was held before', async () => {
      await using found = await logs({ sql: FIVE })
      const [slice] = await chosen(found.database, [ALICE])
      assert.equal(await remove(found.database, slice!, [ALICE, held({ tool_name: ['b*'] })]), 2)
      assert.deepEqual(found.ids(), [1, 2, 3])
    })

    it('leaves what was held before, even if that is not handed in again', async () => {
      await using found = await logs({ sql: FIVE })
      const [slice] = await chosen(found.database, [ALICE])
      found.gateway.exec("UPDATE audit_logs SET user = 'alice' WHERE id = 4")
      assert.equal(await remove(found.database, slice!, [held({ tool_name: ['b'] })]), 1)
      assert.deepEqual(found.ids(), [1, 2, 3, 4])
    })

    it('keeps a row that another program meanwhile gave to the user who is held', async () => {
      await using found = await logs({ sql: FIVE })
      const [slice] = await chosen(found.database, [ALICE])
      found.gateway.exec("UPDATE audit_logs SET user = 'Alice' WHERE id = 4")
      assert.equal(await remove(found.database, slice!, [ALICE]), 2)
      assert.deepEqual(found.ids(), [1, 3, 4])
    })

    it('is asked for each row that goes where a trigger changes others', async () => {
      const trigger = `CREATE TRIGGER t AFTER DELETE ON audit_logs WHEN OLD.id = 2 BEGIN UPDATE audit_logs SET user = 'alice' WHERE id = 4; END`
      await using found = await logs({ sql: `${FIVE}; ${trigger}` })
      const [slice] = await chosen(found.database, [ALICE])
      assert.equal(await remove(found.database, slice!, [ALICE]), 2)
      assert.deepEqual(found.ids(), [1, 3, 4])
    })

    it('does not hide that a trigger keeps a row from going', async () => {
      const trigger = `CREATE TRIGGER t BEFORE DELETE ON audit_logs WHEN OLD.id = 4 BEGIN SELECT RAISE(IGNORE); END`
      await using found = await logs({ sql: `${FIVE}; ${trigger}` })
      const [slice] = await chosen(found.database)
      await assert.rejects(remove(found.database, slice!, [ALICE]), {
        kind: 'row-refused',
        message: /1 expired row of audit_logs remained/,
      })
      assert.deepEqual(found.ids(), [1, 2, 3, 4, 5])
      // A row that a hold keeps is not one that was refused.
      assert.equal(await remove(found.database, slice!, [ALICE, held({ user: ['bob'] })]), 1)
      assert.deepEqual(found.ids(), [1, 2, 3, 4])
    })
  })
}

/** How often others had their turn meanwhile. */
async function turnsOf<T>(work: Promise<T>): Promise<readonly [T, number]> {
  let turns = 0
  const working = new AbortController()
  const result = work.finally(() => working.abort())
  for (; !working.signal.aborted; turns += 1) await turn()
  return [await result, turns]
}

function spaced(at: number): string {
  return new Date(at).toISOString().slice(0, -1).replace('T', ' ')
}

describe('the edges of a hold', () => {
  const FROM = '2026-03-01T10:00:00.000Z'
  const UNTIL = '2026-03-01T11:00:00.000Z'
  const [from, until] = [Date.parse(FROM), Date.parse(UNTIL)]
  const FORMATS: Readonly<Record<string, (at: number) => string | bigint>> = {
    milliseconds: (at) => BigInt(at),
    microseconds: (at) => BigInt(at) * 1_000n + 999n,
    nanoseconds: (at) => BigInt(at) * 1_000_000n + 999_999n,
    'text with a Z': (at) => `${spaced(at)}Z`,
    'text with a T and digits below a millisecond': (at) => `${spaced(at).replace(' ', 'T')}999`,
    'text with an offset': (at) => `${spaced(at - 5.5 * HOUR)}-05:30`,
    'text without a zone': spaced,
  }
  for (const time of ['timestamp', 'timestamp INTEGER', 'timestamp TIMESTAMP']) {
    for (const [name, written] of Object.entries(FORMATS)) {
      it(`are met to the millisecond by ${name} in a column declared ${JSON.stringify(time)}`, async () => {
        await using found = await logs({ time })
        const insert = found.gateway.prepare('INSERT INTO audit_logs VALUES (?, ?, NULL, NULL)')
        for (const [index, at] of [from - 1, from, until - 1, until].entries()) insert.run(index + 1, written(at))
        await purged(found.database, [held({}, FROM, UNTIL)])
        assert.deepEqual(found.ids(), [2, 3])
      })
    }
  }

  it('are met by seconds, and by days', async () => {
    await using found = await logs({})
    const insert = found.gateway.prepare('INSERT INTO audit_logs VALUES (?, ?, NULL, NULL)')
    const values = [from / 1_000 - 1, from / 1_000, until / 1_000 - 0.5, until / 1_000, '2026-02-28', '2026-03-02', '2026-03-03']
    for (const [index, at] of values.entries()) insert.run(index + 1, Number.isInteger(at) ? BigInt(at) : at)
    await purged(found.database, [held({}, FROM, UNTIL), held({}, '2026-03-02T00:00:00Z', '2026-03-03T00:00:00Z')])
    assert.deepEqual(found.ids(), [2, 3, 6])
  })

  it('keep a row if either meaning of a repeated hour lies in it, and the rows next to a skipped one', async () => {
    await using found = await logs({ timeZone: 'Europe/Berlin' })
    // On 2026-10-25 half past two came at 00:30Z and at 01:30Z; on 2026-03-29 it never came.
    const rows = ['2026-10-25 01:59:59', '2026-10-25 02:30:00', '2026-10-25 03:00:00', '2026-03-29 01:59:59', '2026-03-29 03:00:00']
    const insert = found.gateway.prepare("INSERT INTO audit_logs VALUES (?, ?, 'alice', NULL)")
    for (const [index, at] of rows.entries()) insert.run(index + 1, at)
    const kept = async (first: string, end: string): Promise<number> =>
      (await found.database.sparedBy(COLUMN, held({ user: ['Alice'] }, first, end), NOON, 10)).rows
    assert.equal(await kept('2026-10-25T00:00:00Z', '2026-10-25T00:45:00Z'), 1)
    assert.equal(await kept('2026-10-25T01:15:00Z', '2026-10-25T01:45:00Z'), 1)
    assert.equal(await kept('2026-10-24T23:59:59Z', '2026-10-25T00:00:00Z'), 1)
    assert.equal(await kept('2026-10-25T02:00:00Z', '2026-10-25T03:00:00Z'), 1)
    assert.equal(await kept('2026-03-29T00:59:59Z', '2026-03-29T01:00:00Z'), 1)
    assert.equal(await kept('2026-03-29T01:00:00Z', '2026-03-29T01:00:01Z'), 1)
    assert.equal(await kept('2026-03-29T02:00:00Z', '2026-03-29T03:00:00Z'), 0)
  })
})

async function isMatched(value: string, pattern: string): Promise<boolean> {
  await using found = await logs({ sql: `INSERT INTO audit_logs VALUES (1, '2026-01-01', ${value}, NULL)` })
  await purged(found.database, [held({ user: [pattern] })])
  return found.ids().length === 1
}

describe('what a hold matches', () => {
  const cases: readonly (readonly [value: string, pattern: string, matches: boolean])[] = [
    ['42', '42', true],
    ['42', '4*', true],
    ["x'616C696365'", 'Alice', true],
    ["'a_b'", 'a_b', true],
    ["'axb'", 'a_b', false],
    ["'a%'", 'a%*', true],
    ["'ab'", 'a%*', false],
    ["'a*b'", 'a*b', true],
    ["'axb'", 'a*b', false],
    ["'*'", '**', true],
    ["''", '*', true],
    ['NULL', '*', false],
    ["'JÜRGEN'", 'jÜrgen', true],
    ["'JÜRGEN'", 'jürgen', false],
    ["'😀x'", '😀*', true],
    ["'é'", 'e*', false],
    // Bytes that are not UTF-8: behind what is searched for, and within.
    ["CAST(x'616CFF' AS TEXT)", 'al*', true],
    ["CAST(x'C3A9A9' AS TEXT)", 'é*', true],
    ["CAST(x'C3A9A9' AS TEXT)", 'é', false],
    ["CAST(x'61FF6C' AS TEXT)", 'al*', false],
    ["CAST(x'616C006963' AS TEXT)", 'al*', true],
    ["'alice '", 'alice', false],
  ]
  for (const [value, pattern, matches] of cases)
    it(`${value} is ${matches ? '' : 'not '}${JSON.stringify(pattern)}`, async () => {
      assert.equal(await isMatched(value, pattern), matches)
    })

  it('a database in UTF-16 is no other', async () => {
    await using fresh = await freshSqliteFile()
    using gateway = beside(fresh.file)
    gateway.exec(`PRAGMA encoding = 'UTF-16le'; CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, timestamp TEXT, user TEXT); ${INDEX};
      INSERT INTO audit_logs VALUES (1, '2026-01-01', 'Jörg'), (2, '2026-01-01', 'jö'), (3, '2026-01-01', 'jo')`)
    await using open = await opened(fresh.file)
    await purged(open.database, [held({ user: ['jö*'] }, '2025-12-31T00:00:00Z'), held({ user: ['JÖRG', 'jö'] })])
    assert.deepEqual(gateway.prepare('SELECT id FROM audit_logs').pluck().all(), [1, 2])
  })

  it('a hundred holds, each of its own time, are told apart', async () => {
    await using found = await logs({})
    const insert = found.gateway.prepare('INSERT INTO audit_logs VALUES (?, ?, ?, NULL)')
    const at = Date.parse('2026-01-01T00:00:00Z')
    const spared: Spared[] = []
    for (let hold = 0; hold < 100; hold += 1) {
      const from = at + hold * HOUR
      spared.push({ match: { user: [`user-${hold}`] }, from, until: from + MINUTE })
      insert.run(3 * hold + 1, BigInt(from), `USER-${hold}`)
      insert.run(3 * hold + 2, BigInt(from + MINUTE), `user-${hold}`)
      insert.run(3 * hold + 3, BigInt(from), `user-${hold + 1}`)
    }
    const { each, together } = await found.database.expired(COLUMN, NOON).sparedBy(spared)
    assert.deepEqual([new Set(each), together], [new Set([1]), 100])
    await purged(found.database, spared)
    assert.deepEqual(
      found.ids(),
      Array.from({ length: 100 }, (_, hold) => 3 * hold + 1),
    )
  })

  it('thousands of holds make one statement', async () => {
    await using found = await logs({ sql: FIVE })
    const spared = Array.from({ length: 1_100 }, (_, hold) => held({ user: [`user-${hold}`], tool_name: [`tool-${hold}`] }))
    const alike = Array.from({ length: 2_000 }, (_, hold) => held({ user: [`other-${hold}`, 'bob'], tool_name: ['d'] }))
    await purged(found.database, [...spared, ...alike, ALICE])
    assert.deepEqual(found.ids(), [1, 3, 4])
  })
})

describe('a long stretch in which everything is held', () => {
  it('makes no slice, and lets others have a turn', async () => {
    await using found = await logs({})
    const rows = 120_000
    found.gateway.exec(`WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${rows})
      INSERT INTO audit_logs SELECT n, iif(n % 2, '2026-01-01 00:00:00', strftime('%Y-%m-%d %H:%M:%S', 1767225600 + n, 'unixepoch')), 'alice', NULL FROM s;
      INSERT INTO audit_logs VALUES (1000000, '2026-06-01 00:00:00', 'bob', NULL)`)
    for (const spared of [ALICE, held({ user: ['a*'] }, '2025-06-01T00:00:00Z', '2026-05-01T00:00:00Z')]) {
      let turns = 0
      const walking = new AbortController()
      const others = (async () => {
        for (; !walking.signal.aborted; turns += 1) await turn()
      })()
      const rowsLeft = found.database.expired(COLUMN, NOON, [spared])
      const slice = await rowsLeft.next(100, undefined)
      walking.abort()
      await others
      assert.equal(slice?.name(), 'rowid 1000000')
      assert.ok(turns >= rows / 10_000, `${turns} turns`)
      assert.equal(await rowsLeft.next(100, slice), undefined)
      assert.deepEqual(await rowsLeft.sparedBy([ALICE]), { each: [0], together: 0 })
      // Of all of those in front only so many are looked at.
      assert.equal((await rowsLeft.estimate(Date.parse('2026-05-30T00:00:00Z'))).rows, 1)
    }
  })

  it('is not read again after a survey', async () => {
    await using found = await logs({})
    const rows = 120_000
    found.gateway.exec(`WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${rows})
      INSERT INTO audit_logs SELECT n, iif(n % 2, '2026-01-01 00:00:00', strftime('%Y-%m-%d %H:%M:%S', 1767225600 + n, 'unixepoch')), 'alice', NULL FROM s;
      INSERT INTO audit_logs VALUES (1000000, '2026-06-01 00:00:00', 'bob', NULL), (1000001, 'soon', 'alice', NULL)`)
    const expired = found.database.expired(COLUMN, NOON, [ALICE])
    const [kept, whole] = await turnsOf(expired.survey([ALICE]))
    assert.deepEqual(kept, { each: [rows], together: rows })
    assert.ok(whole >= rows / 10_000, `${whole} turns`)
    const [slice, few] = await turnsOf(expired.next(100, undefined))
    assert.equal(slice?.name(), 'rowid 1000000')
    assert.ok(few < 6, `${few} turns`)
    const [census, none] = await turnsOf(expired.census(false))
    assert.deepEqual(census, { undated: 0, unreadable: 1, shapes: ['aaaa'] })
    assert.ok(none < 12, `${none} turns`)
    // Without a survey a walk finds it at once.
    found.gateway.exec("INSERT INTO audit_logs VALUES (500000, '2026-01-01 00:00:00', 'bob', NULL)")
    assert.equal((await expired.next(100, undefined))?.name(), 'rowid 1000000')
    const [first] = await slicesOf(found.database.expired(COLUMN, NOON, [ALICE]), 1)
    assert.equal(first?.name(), 'rowid 500000')
  })

  for (const surveyed of [false, true])
    it(`ends where an export was to end${surveyed ? ', after a survey' : ''}`, async () => {
      await using found = await logs({})
      found.gateway.exec(`WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 30000)
      INSERT INTO audit_logs SELECT n, iif(n < 25000, '2026-01-01 00:00:00', '2026-01-02 00:00:00'), iif(n IN (5, 24000, 24999, 29000, 29001), 'bob', 'alice'), NULL FROM s`)
      const rows = found.database.exported(COLUMN, NOON, Infinity, [ALICE])
      if (surveyed) assert.equal((await rows.survey([ALICE])).together, 29_995)
      const [first, second, third, fourth, fifth] = await slicesOf(rows, 1)
      assert.deepEqual(
        [first, second, third, fourth, fifth].map((slice) => slice?.name()),
        ['rowid 5', 'rowid 24000', 'rowid 24999', 'rowid 29000', 'rowid 29001'],
      )
      const until = async (size: number, after: ExportedSlice | undefined, end: ExportedSlice): Promise<number | undefined> =>
        (await rows.next(size, after, end))?.count()
      assert.equal(await until(10, undefined, second!), 2)
      assert.equal(await until(10, undefined, third!), 3)
      assert.equal(await until(10, first, fourth!), 3)
      assert.equal(await until(10, third, fourth!), 1)
      assert.equal(await until(10, fourth, fourth!), undefined)
      assert.equal(await until(10, fifth, fourth!), undefined)
      assert.deepEqual(await rows.tooLarge(), { rows: 0, ids: [] })
    })

  it('does not hide times that cannot be read, nor count what is held as one of them', async () => {
    const rows = `INSERT INTO audit_logs VALUES (1, 'soon', 'alice', ''), (2, NULL, 'alice', ''), (3, '2026-02-30', 'alice', ''), (4, '2026-01-01 00:00:00', 'alice', ''), (5, 7, 'alice', '')`
    await using found = await logs({ sql: rows })
    const { undated, unreadable } = await found.database.expired(COLUMN, NOON, [ALICE]).census(true)
    assert.deepEqual({ undated, unreadable }, { undated: 1, unreadable: 3 })
  })
})

describe('a survey', () => {
  /** In SQL only what looks exactly like its neighbours is taken for a time. */
  for (const odd of [
    '2026-02-10 24:00:00',
    '2026-02-10 10:60:00',
    '2026-02-10 10:00:0x',
    '2026-02-30 10:00:00',
    '2026-02-1 10:00:000',
    '2026-02-00 10:00:00',
    '2026-02-10 10:00:00\0',
    '2026-02-10 10:00:00+99:00',
    '2026-02-10\u{e4}10:00:00',
  ])
    it(`does not count ${JSON.stringify(odd)} as an expired time`, async () => {
      await using found = await logs({})
      const insert = found.gateway.prepare("INSERT INTO audit_logs VALUES (?, ?, 'alice', NULL)")
      for (const [index, at] of ['2026-02-01 00:00:00', odd, '2026-02-28 23:59:59', '2026-03-01 00:00:00'].entries())
        insert.run(index + 1, at)
      const rows = found.database.expired(COLUMN, NOON, [ALICE])
      assert.deepEqual(await rows.survey([ALICE]), { each: [3], together: 3 })
      assert.equal((await rows.census(false)).unreadable, 1)
    })

  it('counts a row for each hold that keeps it, and skips none that only a rule of the walk does not keep', async () => {
    await using found = await logs({ sql: FIVE })
    const second = held({ tool_name: ['a', 'd'] }, '2026-01-01T00:00:00Z', '2026-01-04T00:00:00Z')
    const rows = found.database.expired(COLUMN, NOON, [held({ user: ['bob'] }), second, ALICE])
    assert.deepEqual(await rows.survey([ALICE, second]), { each: [2, 1], together: 2 })
    assert.deepEqual(await rows.survey([]), { each: [], together: 0 })
    assert.equal(await (await rows.next(10, undefined))?.count(), 1)
    // Of a hold that the walk does not know, no row is passed over.
    const other = found.database.expired(COLUMN, NOON, [second])
    assert.deepEqual(await other.survey([held({}, '2025-01-01T00:00:00Z')]), { each: [5], together: 5 })
    assert.equal(await (await other.next(10, undefined))?.count(), 4)
  })

  it('may find nothing to do right behind the row at which a walk is to end', async () => {
    await using found = await logs({})
    found.gateway.exec(`WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 25000)
      INSERT INTO audit_logs SELECT n, '2026-01-01 00:00:00', iif(n IN (10000, 25000), 'bob', 'alice'), NULL FROM s`)
    const rows = found.database.exported(COLUMN, NOON, Infinity, [ALICE])
    await rows.survey([ALICE])
    const slice = await rows.next(1, undefined)
    assert.equal(slice?.name(), 'rowid 10000')
    assert.equal(await (await rows.next(10, undefined, slice))?.count(), 1)
    assert.equal(await rows.next(10, slice, slice), undefined)
  })

  it('is no work where nothing is spared', async () => {
    await using found = await logs({ sql: FIVE })
    const rows = found.database.expired(COLUMN, NOON)
    assert.deepEqual(await rows.survey([]), { each: [], together: 0 })
    assert.equal(await (await rows.next(10, undefined))?.count(), 5)
  })
})

describe('the rows of a table that a hold would keep', () => {
  const rows = `INSERT INTO audit_logs VALUES (1, '2026-01-01', 'alice', 'a'), (2, '2099-01-01', 'alice', 'a'), (3, NULL, 'alice', 'a'), (4, 'soon', 'alice', 'a'), (5, '2026-01-01', 'bob', 'a')`
  for (const index of [INDEX, '', 'CREATE INDEX i ON audit_logs (timestamp DESC)'])
    it(`are counted, expired or not, with ${index === '' ? 'no index on the time' : index}`, async () => {
      await using found = await logs({ sql: rows, index })
      const count = (spared: Spared, most = 10): Promise<unknown> => found.database.sparedBy(COLUMN, spared, NOON, most)
      assert.deepEqual(await count(ALICE), { rows: 4, expired: 1, more: false })
      assert.deepEqual(await count(ALICE, 4), { rows: 4, expired: 1, more: false })
      assert.deepEqual(await count(ALICE, 3), { rows: 3, expired: 1, more: true })
      assert.deepEqual(await count({ ...ALICE, from: 0 }), { rows: 2, expired: 1, more: false })
      assert.deepEqual(await count({ ...ALICE, until: NOON }), { rows: 1, expired: 1, more: false })
      assert.deepEqual(await count(held({ tool_name: ['nothing'] })), { rows: 0, expired: 0, more: false })
      await assert.rejects(count(held({ status: ['x'] })), { kind: 'failed', message: /audit_logs has no column "status"/ })
    })

  it('are none where there is no table', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    assert.deepEqual(await open.database.sparedBy(COLUMN, ALICE, NOON, 10), { rows: 0, expired: 0, more: false })
  })
})

describe('what protects a held row besides', () => {
  it('an index that says something else than its table deletes no held row', async () => {
    await using fresh = await freshSqliteFile()
    {
      using gateway = beside(fresh.file)
      gateway.exec(`CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, timestamp TEXT, user TEXT); CREATE INDEX i ON audit_logs (timestamp, user);
        INSERT INTO audit_logs VALUES (1, '2026-01-01 00:00', 'bob'), (2, '2026-01-01 00:00', 'bob')`)
      const index = gateway.prepare<[], unknown[]>("SELECT * FROM sqlite_schema WHERE type = 'index'").raw().get()!
      gateway.unsafeMode(true)
      gateway.pragma('writable_schema = ON')
      gateway.exec("DELETE FROM sqlite_schema WHERE type = 'index'")
      using other = beside(fresh.file)
      other.exec("UPDATE audit_logs SET user = 'alice' WHERE id = 2")
      gateway.prepare('INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)').run(...index)
    }
    await using open = await opened(fresh.file)
    const { database } = open
    for (const slice of await slicesOf(database.expired(COLUMN, NOON, [ALICE]), 10))
      assert.equal((await database.transaction((tx) => slice.remove(tx, [ALICE]))).affected, 1)
    assert.deepEqual((await database.query('SELECT id FROM audit_logs NOT INDEXED')).rows, [{ id: 2 }])
  })

  const TERMS: Terms = { ...NO_TERMS, cascade: ['audit_logs', 'policy_decisions'], keeping: ['audit_logs'], matched: ['user', 'TOOL_NAME'] }

  it('a table without a column that is asked for is not purged', async () => {
    await using found = await logs({ sql: FIVE })
    assert.deepEqual(await found.database.inspect(COLUMN, TERMS), { kind: 'ready', warnings: [], lasting: [] })
    await assert.rejects(found.database.inspect(COLUMN, { ...TERMS, matched: ['user', 'status'] }), {
      kind: 'failed',
      message:
        /table audit_logs has no column "status", by which a hold or a rule keeps rows of it; it has id, timestamp, User, tool_name\. Nothing was deleted/,
    })
  })

  for (const [action, effect] of [
    ['CASCADE', 'deletes'],
    ['SET NULL', 'changes'],
  ])
    it(`a foreign key of a table to itself that ${effect} rows is refused, whatever is allowed`, async () => {
      await using fresh = await freshSqliteFile()
      await using open = await opened(fresh.file)
      await open.database.query(
        `CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, timestamp TEXT, user TEXT, tool_name TEXT, parent INTEGER REFERENCES audit_logs ON DELETE ${action})`,
      )
      await open.database.query(INDEX)
      await open.database.inspect(COLUMN, { ...TERMS, keeping: [] })
      await assert.rejects(open.database.inspect(COLUMN, TERMS), {
        kind: 'failed',
        message: new RegExp(`also ${effect} rows of audit_logs.* a legal hold or a retention rule keeps rows of audit_logs`),
      })
    })

  it('the first row is tried that would go, not one that is held', async () => {
    const slow = `CREATE TRIGGER t BEFORE DELETE ON audit_logs WHEN OLD.user = 'alice' BEGIN
      SELECT count(*) FROM (WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 30000000) SELECT n FROM s); END`
    await using found = await logs({ sql: `${FIVE}; ${slow}` })
    const never = new AbortController().signal
    await found.database.rehearse(COLUMN, NOON, [ALICE], never)
    await assert.rejects(found.database.rehearse(COLUMN, NOON, [], never), /takes longer than/)
  })
})
