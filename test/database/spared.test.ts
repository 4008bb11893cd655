import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import type { ExportedSlice } from '../../src/database/exporting.ts'
import type { ExpiredRows, Slice } from '../../src/database/purging.ts'
import { isMatch, type Match } from '../../src/policy/match.ts'
import type { Spared, SparedRows } from '../../src/policy/spared.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/time/clock.ts'
import { opened } from '../runs/support.ts'
import { ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'

const COLUMN = { table: 'events', column: 'at' }
const CUTOFF = Date.UTC(2026, 5, 1, 12, 0, 0)
/** `MODEL_ROWS=100000` for a thorough run. */
const MODEL_ROWS = Number(process.env['MODEL_ROWS'] ?? 3_000)
const MODEL_SLICE = Math.max(50, MODEL_ROWS / 100)
const PATIENCE = { timeout: Math.max(2 * MINUTE, MODEL_ROWS * 10) }

interface Row {
  readonly id: number
  /** `null`: it has no time. */
  readonly at: number | null
  readonly user: string | null
  readonly tool: string | null
}

/** Repeatable. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const USERS = [
  'alice',
  'Alice',
  'bob',
  'BOB ',
  'a_ice',
  'al%',
  'o"neil',
  "d'arc",
  'back\\slash',
  '{x,y}',
  'jürgen',
  'JÜRGEN',
  'NULL',
  '',
  null,
]
const TOOLS = ['stripe:charge', 'Stripe:Refund', 'stripe_x', 'files/read', '%', '*', null]
const USER_PATTERNS = [
  'ALICE',
  'bob',
  'al*',
  'a_*',
  'al%',
  'o"neil',
  "D'arc",
  'back\\slash',
  'back\\*',
  '{x,y}',
  'jürgen',
  'nobody',
  'null',
  '*',
]
const TOOL_PATTERNS = ['stripe:*', 'STRIPE*', 'files/read', '%*', '**', 'x']

function someOf<T>(random: (below: number) => number, all: readonly T[], most: number): T[] {
  return Array.from({ length: 1 + random(most) }, () => all[random(all.length)]!)
}

function randomSpared(random: (below: number) => number): Spared {
  const match: Match = {
    ...(random(3) > 0 ? { user: someOf(random, USER_PATTERNS, 3) } : {}),
    ...(random(3) === 0 ? { tool_name: someOf(random, TOOL_PATTERNS, 2) } : {}),
  }
  const isEverything = Object.keys(match).length === 0
  const from = isEverything || random(2) === 0 ? CUTOFF - (1 + random(20)) * HOUR : undefined
  const until = isEverything || random(3) === 0 ? (from ?? CUTOFF - 20 * HOUR) + random(5) * HOUR : undefined
  return { match, from, until }
}

function randomRows(random: (below: number) => number, count: number): Row[] {
  return Array.from({ length: count }, (_, index) => {
    // A few times have very many rows.
    const at = random(20) === 0 ? null : random(3) === 0 ? CUTOFF - (1 + random(4)) * 5 * HOUR : CUTOFF - random(22 * HOUR) + HOUR
    return { id: index + 1, at, user: USERS[random(USERS.length)]!, tool: TOOLS[random(TOOLS.length)]! }
  })
}

function isSpared(spared: SparedRows, { at, user, tool }: Row): boolean {
  const columns: Readonly<Record<string, string | null>> = { user, tool_name: tool }
  return (
    at !== null &&
    spared.some(
      ({ match, from, until }) =>
        isMatch(match, (column) => columns[column] ?? undefined) &&
        (from === undefined || at >= from) &&
        (until === undefined || at < until),
    )
  )
}

function isExpired({ at }: Row): boolean {
  return at !== null && at < CUTOFF
}

function text(value: string | null): string {
  return value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`
}

function time(at: number | null): string {
  return text(at === null ? null : new Date(at).toISOString().slice(0, 23).replace('T', ' '))
}

interface Fixture extends AsyncDisposable {
  readonly outside: TestDatabase
  readonly database: Database
  insert(rows: readonly Row[]): Promise<void>
  ids(): Promise<number[]>
}

async function made(engine: TestEngine): Promise<Fixture> {
  const outside = await engine.fresh()
  await outside.sql(`CREATE TABLE events (id INTEGER PRIMARY KEY, at TIMESTAMP, "user" TEXT, tool_name VARCHAR(64))`)
  await outside.sql('CREATE INDEX events_at ON events (at)')
  const database = await opened(outside.url)
  return {
    outside,
    database,
    async insert(rows) {
      for (let from = 0; from < rows.length; from += 500) {
        const values = rows.slice(from, from + 500).map(({ id, at, user, tool }) => `(${id}, ${time(at)}, ${text(user)}, ${text(tool)})`)
        await outside.sql(`INSERT INTO events VALUES ${values.join(', ')}`)
      }
    },
    ids: async () => (await outside.sql<{ id: number }>('SELECT id FROM events ORDER BY id')).map(({ id }) => id),
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await outside[Symbol.asyncDispose]()
    },
  }
}

interface Purged {
  readonly affected: number
  readonly slices: number
}

async function purged(database: Database, rows: ExpiredRows, size: number, spared: SparedRows): Promise<Purged> {
  let [affected, slices] = [0, 0]
  for (let slice: Slice | undefined; (slice = await rows.next(size, slice)) !== undefined;) {
    const current: Slice = slice
    const tally = await database.transaction((tx) => current.remove(tx, spared))
    assert.ok(tally.affected <= size, `${tally.affected} rows of a slice of ${size}`)
    affected += tally.affected
    slices += 1
  }
  return { affected, slices }
}

async function idsOf(slice: ExportedSlice): Promise<number[]> {
  const ids: number[] = []
  await slice.read(async ({ count, idOf }) => {
    for (let index = 0; index < count; index += 1) ids.push(Number(idOf(index)))
  })
  return ids
}

function ascending(ids: readonly number[]): number[] {
  return ids.toSorted((a, b) => a - b)
}

for (const engine of ENGINES) {
  for (const seed of [1, 2, 3, 4]) {
    test(`${engine.name}: of random rows, random holds and rules keep what a naive model keeps (seed ${seed})`, PATIENCE, async () => {
      const random = randomFrom(seed)
      const rows = randomRows(random, MODEL_ROWS)
      await using fixture = await made(engine)
      const { database } = fixture
      await fixture.insert(rows)
      const spared = Array.from({ length: random(5) }, () => randomSpared(random))
      const placed = Array.from({ length: 1 + random(2) }, () => randomSpared(random))
      const expired = rows.filter(isExpired)
      const free = expired.filter((row) => !isSpared(spared, row))
      const walked = database.expired(COLUMN, CUTOFF, spared)
      assert.deepEqual([(await walked.estimate()).rows, (await walked.estimate()).more], [free.length, false])
      const oldest = (await walked.estimate()).oldest
      if (free.length === 0) assert.equal(oldest, null)
      else assert.ok(Math.abs(oldest! - Math.min(...free.map(({ at }) => at!))) < DAY)
      const holds = spared.filter((_, index) => index % 2 === 0)
      assert.deepEqual(await walked.survey(holds), {
        each: holds.map((each) => expired.filter((row) => isSpared([each], row)).length),
        together: expired.filter((row) => isSpared(holds, row)).length,
      })
      assert.deepEqual(await walked.sparedBy(placed), {
        each: placed.map((each) => free.filter((row) => isSpared([each], row)).length),
        together: free.filter((row) => isSpared(placed, row)).length,
      })
      for (const each of placed) {
        const all = rows.filter((row) => isSpared([each], row))
        const { rows: found, expired: gone, more } = await database.sparedBy(COLUMN, each, CUTOFF, MODEL_ROWS)
        assert.deepEqual({ gone, more }, { gone: all.filter(isExpired).length, more: false })
        // A row without a time is never deleted, and may be counted.
        assert.ok(found >= all.length)
      }

      const asked = spared.filter(() => random(3) > 0)
      const surveyed = database.expired(COLUMN, CUTOFF, spared)
      assert.deepEqual(await surveyed.survey(asked), {
        each: asked.map((each) => expired.filter((row) => isSpared([each], row)).length),
        together: expired.filter((row) => isSpared(asked, row)).length,
      })
      for (const walk of [walked, surveyed]) {
        let counted = 0
        const days = new Map<number, number>()
        for (let slice: Slice | undefined; (slice = await walk.next(MODEL_SLICE, slice)) !== undefined;) {
          const count = await slice.count()
          assert.ok(count > 0 && count <= MODEL_SLICE, `${count} rows of a slice of ${MODEL_SLICE}`)
          counted += count
          for (const [day, number] of await slice.countByDay()) days.set(day, (days.get(day) ?? 0) + number)
        }
        assert.equal(counted, free.length)
        for (const [day, number] of days) assert.equal(number, free.filter(({ at }) => at! >= day && at! < day + DAY).length)
      }

      const now = [...spared, ...placed]
      const stays = rows.filter((row) => !isExpired(row) || isSpared(now, row)).map(({ id }) => id)
      await purged(database, surveyed, MODEL_SLICE + 14, now)
      assert.deepEqual(await fixture.ids(), stays)
    })

    test(`${engine.name}: what is read for the archive is what is not spared, and only that goes (seed ${seed})`, PATIENCE, async () => {
      const random = randomFrom(100 + seed)
      const rows = randomRows(random, MODEL_ROWS)
      await using fixture = await made(engine)
      const { database } = fixture
      await fixture.insert(rows)
      const spared = Array.from({ length: 1 + random(3) }, () => randomSpared(random))
      const placed = [randomSpared(random)]
      const exported = database.exported(COLUMN, CUTOFF, Number.MAX_SAFE_INTEGER, spared)
      await exported.survey(spared)
      const read: number[] = []
      for (
        let slice = await exported.next(4 * MODEL_SLICE, undefined);
        slice !== undefined;
        slice = await exported.next(4 * MODEL_SLICE, slice)
      ) {
        read.push(...(await idsOf(slice)))
        const current = slice
        // Every third row is unknown, as one that was changed since.
        let asked = 0
        const known = (): (() => boolean) => {
          asked = 0
          return () => (asked += 1) % 3 !== 0
        }
        await database.transaction((tx) => current.removeRead(tx, [...spared, ...placed], known))
      }
      const free = rows.filter((row) => isExpired(row) && !isSpared(spared, row))
      assert.deepEqual(
        ascending(read),
        free.map(({ id }) => id),
      )
      const left = new Set(await fixture.ids())
      for (const row of rows)
        if (!isExpired(row) || isSpared([...spared, ...placed], row)) assert.ok(left.has(row.id), `row ${row.id} stays`)
      const mayGo = free.filter((row) => !isSpared(placed, row))
      if (mayGo.length > 0) assert.ok(mayGo.some(({ id }) => !left.has(id)))
    })
  }

  test(`${engine.name}: a walk up to a slice ends there in slices of any other size, and the next one begins behind it`, async () => {
    for (const seed of [5, 6, 7]) {
      const random = randomFrom(seed)
      const rows = randomRows(random, 400)
      await using fixture = await made(engine)
      await fixture.insert(rows)
      const spared = Array.from({ length: 1 + random(2) }, () => randomSpared(random))
      const exported = fixture.database.exported(COLUMN, CUTOFF, Number.MAX_SAFE_INTEGER, spared)
      const all: number[] = []
      let after: ExportedSlice | undefined
      for (;;) {
        const copied: number[] = []
        let until = after
        for (let slices = 1 + random(4); slices > 0; slices -= 1) {
          const slice = await exported.next(1 + random(40), until)
          if (slice === undefined) break
          copied.push(...(await idsOf(slice)))
          until = slice
        }
        if (until === undefined || copied.length === 0) break
        const part: number[] = []
        const size = 1 + random(90)
        for (let slice = after; (slice = await exported.next(size, slice, until)) !== undefined;) part.push(...(await idsOf(slice)))
        assert.deepEqual(ascending(part), ascending(copied))
        all.push(...part)
        after = until
      }
      const free = rows.filter((row) => isExpired(row) && !isSpared(spared, row))
      assert.deepEqual(
        ascending(all),
        free.map(({ id }) => id),
      )
    }
  })

  test(`${engine.name}: a row whose column is NULL is not held, and is deleted`, async () => {
    await using fixture = await made(engine)
    await fixture.insert([
      { id: 1, at: CUTOFF - HOUR, user: null, tool: null },
      { id: 2, at: CUTOFF - HOUR, user: 'alice', tool: null },
      { id: 3, at: CUTOFF - HOUR, user: null, tool: 'x' },
    ])
    const spared: SparedRows = [
      { match: { user: ['*'] }, from: undefined, until: undefined },
      { match: { user: ['alice'], tool_name: ['x'] }, from: undefined, until: undefined },
    ]
    const rows = fixture.database.expired(COLUMN, CUTOFF, spared)
    assert.deepEqual(await purged(fixture.database, rows, 10, spared), { affected: 2, slices: 1 })
    assert.deepEqual(await fixture.ids(), [2])
  })

  test(`${engine.name}: a time in the range is from its beginning up to, but not including, its end`, async () => {
    await using fixture = await made(engine)
    const at = CUTOFF - DAY
    await fixture.insert([-1, 0, 1, 999, 1_000, 1_001].map((ms, index) => ({ id: index + 1, at: at + ms, user: 'a', tool: null })))
    const spared: SparedRows = [{ match: {}, from: at, until: at + SECOND }]
    await purged(fixture.database, fixture.database.expired(COLUMN, CUTOFF, spared), 2, spared)
    assert.deepEqual(await fixture.ids(), [2, 3, 4])
  })

  test(`${engine.name}: where every second row is held, slices are full; where all are, there is none`, async () => {
    await using fixture = await made(engine)
    const users = ['held', 'free']
    await fixture.insert(
      Array.from({ length: 2_000 }, (_, index) => ({
        id: index + 1,
        at: CUTOFF - DAY + index * SECOND,
        user: users[index % 2]!,
        tool: null,
      })),
    )
    const spared: SparedRows = [{ match: { user: ['HELD'] }, from: undefined, until: undefined }]
    const rows = fixture.database.expired(COLUMN, CUTOFF, spared)
    const { affected, slices } = await purged(fixture.database, rows, 100, spared)
    assert.equal(affected, 1_000)
    assert.ok(slices <= 11, `${slices} slices`)
    assert.equal(await rows.next(100, undefined), undefined)
    assert.equal((await fixture.ids()).length, 1_000)
  })

  test(`${engine.name}: since a time, only rows from then on are counted`, async () => {
    await using fixture = await made(engine)
    await fixture.insert(
      Array.from({ length: 60 }, (_, index) => ({
        id: index + 1,
        at: CUTOFF - (index + 1) * MINUTE,
        user: index % 2 === 0 ? 'a' : 'b',
        tool: null,
      })),
    )
    const counted = async (spared: SparedRows, since?: number): Promise<unknown> => {
      const { rows, more } = await fixture.database.expired(COLUMN, CUTOFF, spared).estimate(since)
      return { rows, more }
    }
    const held: SparedRows = [{ match: { user: ['a'] }, from: undefined, until: undefined }]
    assert.deepEqual(await counted([], CUTOFF - 10 * MINUTE), { rows: 10, more: false })
    assert.deepEqual(await counted(held, CUTOFF - 10 * MINUTE), { rows: 5, more: false })
    assert.deepEqual(await counted(held), { rows: 30, more: false })
  })

  test(`${engine.name}: where the table lacks a column of a hold, nothing is deleted, and the column is named`, async () => {
    await using fixture = await made(engine)
    await fixture.insert([{ id: 1, at: CUTOFF - DAY, user: 'a', tool: null }])
    const { database } = fixture
    const spared: SparedRows = [{ match: { status: ['denied'] }, from: undefined, until: undefined }]
    const refused = /status/
    await assert.rejects(database.expired(COLUMN, CUTOFF, spared).next(10, undefined), refused)
    await assert.rejects(database.sparedBy(COLUMN, spared[0]!, CUTOFF, 10), refused)
    const slice = (await database.expired(COLUMN, CUTOFF).next(10, undefined))!
    await assert.rejects(
      database.transaction((tx) => slice.remove(tx, spared)),
      refused,
    )
    const exported = (await database.exported(COLUMN, CUTOFF, Number.MAX_SAFE_INTEGER).next(10, undefined))!
    await assert.rejects(
      database.transaction((tx) => exported.removeRead(tx, spared, () => () => true)),
      refused,
    )
    assert.deepEqual(await fixture.ids(), [1])
  })
}
