import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../../src/database/database.ts'
import type { Slice } from '../../../src/database/purging.ts'
import { isMatch, type Match } from '../../../src/policy/match.ts'
import type { Spared, SparedRows } from '../../../src/policy/spared.ts'
import { DAY, HOUR, MINUTE } from '../../../src/time/clock.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { beside, opened } from './opening.ts'

const COLUMN = { table: 'events', column: 'at' }
/** `MODEL_ROWS=100000` for a thorough run. */
const MODEL_ROWS = Number(process.env['MODEL_ROWS'] ?? 1_000)

type Stored = string | number | bigint | Buffer | null

interface Row {
  readonly id: number
  readonly at: Stored
  /** Every instant that `at` can mean; empty: it is no time. */
  readonly instants: readonly number[]
  /** By how much an edge may be passed on the safe side: readings that the clocks skipped. */
  readonly slack: number
  readonly user: Stored
  readonly status: string | null
}

function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** In Berlin, by the rule of the European Union. */
const CHANGES = [Date.UTC(2026, 2, 29, 1), Date.UTC(2026, 9, 25, 1)] as const

function offsetAt(instant: number): number {
  return instant >= CHANGES[0] && instant < CHANGES[1] ? 2 * HOUR : HOUR
}

/** What the clocks showed as `reading` can mean; one that they skipped means what it would if they had not. */
function instantsOf(reading: number): readonly number[] {
  const shown = [HOUR, 2 * HOUR].map((offset) => reading - offset).filter((instant) => instant + offsetAt(instant) === reading)
  return shown.length > 0 ? shown : [reading - HOUR]
}

function pad(value: number, digits = 2): string {
  return String(value).padStart(digits, '0')
}

function shownAs(reading: number, separator: string): string {
  return new Date(reading).toISOString().slice(0, -1).replace('T', separator)
}

/** A time near `instant`, as some client may have written it. */
function timeFrom(
  random: (below: number) => number,
  instant: number,
  numbers: boolean,
  format?: number,
): Pick<Row, 'at' | 'instants' | 'slack'> {
  const zoned = (at: Stored): Pick<Row, 'at' | 'instants' | 'slack'> => ({ at, instants: [instant], slack: 0 })
  const reading = instant + offsetAt(instant)
  const local = (at: string, meant = reading): Pick<Row, 'at' | 'instants' | 'slack'> => ({
    at,
    instants: instantsOf(meant),
    slack: Math.abs(instant - CHANGES[0]) < 30 * HOUR ? HOUR : 0,
  })
  const offset = (random(29) - 14) * HOUR + random(2) * 30 * MINUTE
  const sign = offset < 0 ? '-' : '+'
  const size = Math.abs(offset)
  const kinds: readonly (() => Pick<Row, 'at' | 'instants' | 'slack'>)[] = [
    () => local(shownAs(reading, ' ')),
    () => local(shownAs(reading, 'T')),
    () => local(`${shownAs(reading, ' ')}999`),
    () => local(shownAs(reading, ' ').slice(0, 16), Math.floor(reading / MINUTE) * MINUTE),
    () => local(shownAs(reading, ' ').slice(0, 10), Math.floor(reading / DAY) * DAY),
    () => zoned(`${shownAs(instant, 'T')}Z`),
    () => zoned(`${shownAs(instant, ' ')}000Z`),
    () => zoned(`${shownAs(instant + offset, 'T')}${sign}${pad(Math.floor(size / HOUR))}:${pad((size % HOUR) / MINUTE)}`),
    () => ({ at: random(2) === 0 ? null : 'soon', instants: [], slack: 0 }),
    () => ({ at: random(2) === 0 ? Buffer.from('2026-03-01') : '2026-02-30 10:00', instants: [], slack: 0 }),
  ]
  const numeric: readonly (() => Pick<Row, 'at' | 'instants' | 'slack'>)[] = [
    () => ({ ...zoned(BigInt(Math.floor(instant / 1_000))), instants: [Math.floor(instant / 1_000) * 1_000] }),
    () => zoned(BigInt(instant)),
    () => zoned(BigInt(instant) * 1_000n + BigInt(random(1_000))),
    () => zoned(BigInt(instant) * 1_000_000n + BigInt(random(1_000_000))),
    () => ({ at: BigInt(random(1_000)), instants: [], slack: 0 }),
  ]
  const all = numbers ? [...kinds, ...numeric] : kinds
  return all[(format ?? random(all.length)) % all.length]!()
}

const USERS: readonly Stored[] = [
  'alice',
  'ALICE',
  'al%ce',
  'jürgen',
  'JÜRGEN',
  'bob ',
  '',
  5n,
  1.5,
  Buffer.from('alice'),
  Buffer.from('zo\u00eb'),
  null,
]
const USER_PATTERNS = ['Alice', 'al*', 'al%*', 'jürgen', 'jü*', 'BOB', '5', '1.5', '1*', 'zo\u00eb', 'zo\u00eb*', '*', 'nobody']

function textOf(value: Stored): string | undefined {
  return value === null ? undefined : Buffer.isBuffer(value) ? value.toString() : String(value)
}

function someOf<T>(random: (below: number) => number, all: readonly T[]): T[] {
  return Array.from({ length: 1 + random(2) }, () => all[random(all.length)]!)
}

function sparedFrom(random: (below: number) => number, change: number): Spared {
  const match: Match = {
    ...(random(4) > 0 ? { user: someOf(random, USER_PATTERNS) } : {}),
    ...(random(3) === 0 ? { STATUS: someOf(random, ['denied', 'succ*']) } : {}),
  }
  const isEverything = Object.keys(match).length === 0
  const from = isEverything || random(2) === 0 ? change + (random(9) - 6) * 15 * MINUTE - random(3) * DAY : undefined
  const until = isEverything || random(2) === 0 ? (from ?? change - HOUR) + random(9) * 15 * MINUTE : undefined
  return { match, from, until }
}

/** Whether a row certainly stays, certainly goes, or may do either because its reading was skipped by the clocks. */
function fateOf({ instants, slack, user, status }: Row, cutoff: number, spared: SparedRows): 'stays' | 'goes' | 'either' {
  if (instants.length === 0 || instants.some((instant) => instant >= cutoff)) return 'stays'
  const valueOf = (column: string): string | undefined => (column === 'user' ? textOf(user) : (status ?? undefined))
  const matching = spared.filter(({ match }) => isMatch(match, valueOf))
  // A range may begin with one reading of a time and end with the other.
  const meets = ({ from = -Infinity, until = Infinity }: Spared, room: number): boolean =>
    instants.some((instant) => instant >= from - room) && instants.some((instant) => instant < until + room)
  if (matching.some((each) => meets(each, 0))) return 'stays'
  const mayStay = instants.some((instant) => instant >= cutoff - slack) || matching.some((each) => meets(each, slack))
  return slack > 0 && mayStay ? 'either' : 'goes'
}

const TABLES: readonly (readonly [name: string, time: string, index: string])[] = [
  ['a column of any type', 'at', 'CREATE INDEX events_at ON events (at)'],
  ['a column of integers, and a descending index', 'at INTEGER', 'CREATE INDEX events_at ON events (at DESC)'],
  ['a timestamp, and an index of two columns', 'at TIMESTAMP', 'CREATE INDEX events_at ON events (at, user)'],
  ['a column of text', 'at TEXT', 'CREATE INDEX events_at ON events (at)'],
  ['no index on the time', 'at TIMESTAMP', ''],
]

/** Keep nothing. A survey looks at the fewer rows at once, the more holds there are. */
const NOBODYS: SparedRows = Array.from({ length: 120 }, (_, index) => ({
  match: { user: [`nobody-${index}`] },
  from: undefined,
  until: undefined,
}))

async function removed(database: Database, cutoff: number, spared: SparedRows, now: SparedRows, archived: boolean): Promise<void> {
  const surveyed = spared.filter((_, index) => index % 3 !== 1)
  if (!archived) {
    const rows = database.expired(COLUMN, cutoff, spared)
    await rows.survey(surveyed)
    for (let slice: Slice | undefined; (slice = await rows.next(60, slice)) !== undefined;) {
      const current = slice
      await database.transaction((tx) => current.remove(tx, now))
    }
    return
  }
  const rows = database.exported(COLUMN, cutoff, Infinity, spared)
  await rows.survey(surveyed)
  for (let slice = await rows.next(60, undefined); slice !== undefined; slice = await rows.next(60, slice)) {
    const current = slice
    await current.read(() => Promise.resolve())
    await database.transaction((tx) => current.removeRead(tx, now, () => () => true))
  }
}

for (const [name, time, index] of TABLES) {
  describe(`rows in many formats, of ${name}, in Berlin`, () => {
    for (const seed of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
      it(`random holds keep what a naive model keeps (seed ${seed})`, async () => {
        const random = randomFrom(seed * 7_919)
        const change = CHANGES[seed % 2]!
        const cutoff = change + random(3) * 30 * MINUTE + random(2) * 4 * HOUR
        const numbers = time !== 'at TEXT'
        // Beyond the first seeds nearly all times are written alike, as one program writes them.
        const usual = seed > 4 ? random(16) : undefined
        // Without an index, larger tables are refused.
        const rows = Array.from({ length: index === '' ? Math.min(MODEL_ROWS, 40_000) : MODEL_ROWS }, (_, at): Row => {
          const far = random(4) === 0 ? random(10) * DAY : 0
          const minutes = Math.floor((random(14 * 60) - 9 * 60) / 5) * 5 * MINUTE
          const user = USERS[random(USERS.length)]!
          return {
            id: at + 1,
            ...timeFrom(random, change + minutes - far + random(2) * random(1_000), numbers, random(400) === 0 ? undefined : usual),
            user,
            status: ['denied', 'Success', null][random(3)]!,
          }
        })
        await using fresh = await freshSqliteFile()
        using gateway = beside(fresh.file)
        gateway.exec(`CREATE TABLE events (id INTEGER PRIMARY KEY, ${time}, user, status TEXT); ${index}`)
        const insert = gateway.prepare('INSERT INTO events VALUES (?, ?, ?, ?)')
        gateway.transaction(() => rows.forEach(({ id, at, user, status }) => insert.run(id, at, user, status)))()
        await using open = await opened(fresh.file, { timeZone: 'Europe/Berlin' })
        const { database } = open

        const spared = [...Array.from({ length: random(4) }, () => sparedFrom(random, change)), ...(seed % 4 === 2 ? NOBODYS : [])]
        const placed = Array.from({ length: random(3) }, () => sparedFrom(random, change))
        const walked = database.expired(COLUMN, cutoff, spared)
        const estimate = await walked.estimate()
        const going = rows.filter((row) => fateOf(row, cutoff, spared) === 'goes').length
        const unsure = rows.filter((row) => fateOf(row, cutoff, spared) === 'either').length
        if (!estimate.more) assert.ok(estimate.rows! >= going && estimate.rows! <= going + unsure, `${estimate.rows} of ${going}`)
        const everything = database.expired(COLUMN, cutoff)
        for (const asked of [spared.slice(0, 2), spared]) assert.deepEqual(await walked.survey(asked), await everything.sparedBy(asked))
        const { undated, unreadable } = await walked.census(true)
        const all = await everything.census(true)
        assert.deepEqual({ undated, unreadable }, { undated: all.undated, unreadable: all.unreadable })
        assert.equal(undated, rows.filter(({ at }) => at === null).length)

        const kept = await walked.sparedBy(placed)
        const sure = (each: SparedRows): number =>
          rows.filter((row) => fateOf(row, cutoff, spared) === 'goes' && fateOf(row, cutoff, [...spared, ...each]) === 'stays').length
        for (const [at, each] of placed.entries())
          assert.ok(kept.each[at]! >= sure([each]) && kept.each[at]! <= sure([each]) + rows.filter((row) => row.slack > 0).length)
        assert.ok(kept.together >= sure(placed) && kept.together >= Math.max(0, ...kept.each))

        await removed(database, cutoff, spared, [...spared, ...placed], seed % 3 === 0)
        const left = new Set(gateway.prepare('SELECT id FROM events').pluck().all())
        for (const row of rows) {
          const fate = fateOf(row, cutoff, [...spared, ...placed])
          if (fate !== 'either')
            assert.equal(
              left.has(row.id),
              fate === 'stays',
              JSON.stringify({ ...row, at: String(row.at), user: String(row.user), fate, spared, placed, cutoff }),
            )
        }
      })
    }
  })
}
