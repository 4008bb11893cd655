import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dayOf, parsePath, pathOf, ROWS_SUFFIX } from '../../src/archive/store/path.ts'
import { LineBuffer } from '../../src/database/exporting/line-buffer.ts'
import { readingIn, TimeWriter } from '../../src/database/postgres/exporting/binary-values.ts'
import { instantOf } from '../../src/database/postgres/exporting/stored-rows.ts'
import { Cutoff, instantIn, type StoredTime } from '../../src/database/sqlite/times.ts'
import { DAY, formatDay, HOUR, MINUTE, SECOND } from '../../src/time/clock.ts'
import { randomOf, type Random } from '../faults/random.ts'
import { migrated, opened } from '../runs/support.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { archivedRows, contents, freshFolder, purged, restored, verified } from './support.ts'

/*
 * A million times by what reads and writes them, and some thousands on each server through whole runs: dry run, purge, archive, verify, restore.
 */

const SEED = 20261129
const MANY = 500_000
const ZONES = ['UTC', 'America/New_York', 'Europe/Dublin', 'Australia/Lord_Howe', 'Pacific/Apia']

/** Microseconds since 2000 of the first time that PostgreSQL holds, 4714-11-24 BC, and of the last one, of the year 294276. */
const FIRST = -211_813_488_000_000_000n
const LAST = 9_223_371_331_199_999_999n
const YEAR_2000 = Date.UTC(2000, 0, 1)
/** Of the last moment that a `Date` holds. No row of a later one expires. */
const LAST_DATE = (8_640_000_000_000_000n - BigInt(YEAR_2000)) * 1_000n

function between(random: Random, from: bigint, to: bigint): bigint {
  const parts = 2n ** 62n
  const part = BigInt(random.whole(0, 2 ** 31 - 1)) * 2n ** 31n + BigInt(random.whole(0, 2 ** 31 - 1))
  return from + ((to - from) * part) / parts
}

/** Enough of them near the edges and near the present. */
function microsOf(random: Random, index: number, last: bigint): bigint {
  const edge = random.pick([
    FIRST,
    -BigInt(YEAR_2000) * 1_000n - 62_135_596_800_000_000n,
    -BigInt(YEAR_2000) * 1_000n,
    0n,
    2n ** 53n,
    -(2n ** 53n),
  ])
  switch (index % 4) {
    case 0:
      return between(random, FIRST, last)
    case 1:
      return between(random, FIRST, 0n)
    case 2:
      return between(random, edge === FIRST ? FIRST : edge - 3_000_000n, edge + 3_000_000n)
    default:
      return between(random, -BigInt(YEAR_2000) * 1_000n, BigInt(26 * 365 * DAY) * 1_000n)
  }
}

function floored(micros: bigint): number {
  return Number(micros / 1_000n) - (micros % 1_000n < 0n ? 1 : 0) + YEAR_2000
}

/** A day of the archive becomes a path that is read as the same day. */
function hasFolder(at: number): void {
  const day = formatDay(at)
  const path = pathOf('audit_logs', day, 1, 1, ROWS_SUFFIX)
  assert.equal(dayOf(parsePath(path, 'audit_logs')!), day)
}

describe('every time that a column can hold', () => {
  test(`PostgreSQL: ${MANY} times are read from a line as from the server, and each has its folder`, () => {
    const random = randomOf(SEED, 'postgres')
    const inUtc = instantOf('UTC')
    const [buffer, bytes, writer] = [new LineBuffer(), Buffer.alloc(8), new TimeWriter()]
    let lastDay = NaN
    for (let index = 0; index < MANY; index += 1) {
      const micros = microsOf(random, index, LAST_DATE)
      const type = index % 2 === 0 ? 'timestamp' : 'timestamptz'
      bytes.writeBigInt64BE(micros)
      buffer.length = 0
      writer.write(buffer, type, bytes, 0)
      const text = buffer.bytes.toString('latin1', 0, buffer.length)
      const at = readingIn(bytes, 0)
      if (at !== floored(micros) || inUtc(text) !== at) assert.fail(`${micros}: ${text}, ${at}, ${inUtc(text)}`)
      if (at < Date.UTC(9999, 11, 31) && Math.floor(at / DAY) !== lastDay) hasFolder(at)
      lastDay = Math.floor(at / DAY)
    }
    console.log(`${MANY} times of PostgreSQL by its binary form`)
  })

  test('PostgreSQL: what a line says is the same instant whatever was asked before, and at most a day from its reading', () => {
    const random = randomOf(SEED, 'zones')
    let asked = 0
    for (const zone of ZONES) {
      const [one, other, inUtc] = [instantOf(zone), instantOf(zone), instantOf('UTC')]
      const [buffer, bytes, writer] = [new LineBuffer(), Buffer.alloc(8), new TimeWriter()]
      const texts = Array.from({ length: 2_000 }, (_, index) => {
        bytes.writeBigInt64BE(microsOf(random, index, LAST))
        buffer.length = 0
        writer.write(buffer, 'timestamp', bytes, 0)
        return buffer.bytes.toString('latin1', 0, buffer.length)
      })
      const instants = texts.map((text) => one(text))
      asked += texts.length
      for (const [index, text] of [...texts.entries()].toReversed()) {
        assert.deepEqual([text, other(text)], [text, instants[index]])
        const reading = inUtc(text)
        if (!Number.isNaN(reading)) assert.ok(Math.abs(instants[index]! - reading) <= 26 * HOUR, `${zone}: ${text}`)
      }
    }
    console.log(`${asked} times of PostgreSQL in ${ZONES.length} zones`)
  })

  test(`SQLite: ${MANY} values are judged by what they mean, and each time has its folder`, () => {
    const random = randomOf(SEED, 'sqlite')
    const now = Date.UTC(2026, 7, 25, 12)
    const cutoff = Cutoff.at(now, 'UTC')
    const instantAt = instantIn('UTC')
    const found = { expired: 0, kept: 0, unreadable: 0, undated: 0 }
    for (let index = 0; index < MANY; index += 1) {
      const { value, at } = sqliteTime(random, index, now)
      const verdict = cutoff.judge(value)
      found[verdict] += 1
      const expected = at === null ? 'undated' : at === undefined ? 'unreadable' : at < now ? 'expired' : 'kept'
      if (verdict !== expected) assert.fail(`${String(value)} is ${verdict}, not ${expected}`)
      if (at === null || at === undefined) continue
      if (instantAt(value) !== at) assert.fail(`${String(value)} is ${instantAt(value)}, not ${at}`)
      if (verdict === 'expired') hasFolder(at)
    }
    for (const count of Object.values(found)) assert.ok(count > 1_000, JSON.stringify(found))
    console.log(`${MANY} values of SQLite: ${JSON.stringify(found)}`)
  })
})

interface SqliteTime {
  readonly value: StoredTime
  /** Rounded down to the millisecond, in UTC where it names no zone; `undefined`: it is no time. `null`: NULL. */
  readonly at: number | undefined | null
}

const YEAR_1 = -62_135_596_800_000
const YEAR_2101 = Date.UTC(2101, 0, 1)

/** `days`: that it is on one of these. */
function sqliteTime(random: Random, index: number, now: number, days: readonly number[] = []): SqliteTime {
  const near = random.whole(-3, 3)
  const [least, most] = random.pick([
    [YEAR_1, now],
    [now - DAY, now + DAY],
    [now - 5, now + 5],
    [YEAR_2000, YEAR_2101 - 1],
    [now, Date.UTC(9999, 11, 31)],
  ])
  const at = days.length === 0 ? random.whole(least, most) : random.pick(days) + random.whole(0, DAY)
  const unit = Math.min(Math.max(at, YEAR_2000), YEAR_2101 - 1)
  switch (index % 8) {
    case 0:
    case 1:
    case 2:
      return textTime(random, at)
    case 3:
      return random.pick([
        { value: Math.floor(unit / SECOND), at: Math.floor(unit / SECOND) * SECOND },
        { value: unit, at: unit },
        { value: unit * 1_000 + 999, at: unit },
        { value: BigInt(unit) * 1_000_000n + 999_999n, at: unit },
      ])
    case 4:
      return random.pick([
        { value: Math.floor(unit / SECOND) + 0.5, at: Math.floor(unit / SECOND) * SECOND + 500 },
        { value: unit + 0.5, at: unit },
        { value: unit * 1_000 + 0.5, at: unit },
      ])
    case 5:
      // Numbers that are no time: before 2000 and after 2100, days, Julian days, the infinities.
      return {
        value: random.pick(
          [
            YEAR_2000 / SECOND - 1 - random.whole(0, 10 ** 9),
            random.whole(-100_000, 100_000),
            2_460_000.5 + near,
            YEAR_2101 / SECOND,
            YEAR_2101,
            Infinity,
            -Infinity,
            -at,
            2n ** 63n - 1n,
            -(2n ** 63n),
          ].filter((value) => !isTime(value)),
        ),
        at: undefined,
      }
    case 6:
      return {
        value: random.pick([
          '',
          'now',
          `${at}`,
          `${formatted(at)} `,
          ` ${formatted(at)}`,
          `${formatted(at)}+24:00`,
          `${formatted(at)} UTC`,
          `2026-02-3${random.whole(0, 9)}`,
          `0000-01-0${random.whole(1, 9)}`,
          `2026-08-25 24:00`,
          `\u{FFFD}${formatted(at)}`,
          new Uint8Array([near + 10]),
          new Uint8Array(Buffer.from(formatted(at))),
        ]),
        at: undefined,
      }
    default:
      return { value: null, at: null }
  }
}

function isTime(value: number | bigint): boolean {
  const number = Math.abs(Number(value))
  return value > 0 && [1 / SECOND, 1, 1e3, 1e6].some((factor) => number >= YEAR_2000 * factor && number < YEAR_2101 * factor)
}

function formatted(at: number): string {
  return new Date(at).toISOString().slice(0, 19).replace('T', ' ')
}

/** Every form that the program reads. */
function textTime(random: Random, exact: number): SqliteTime {
  const precision = random.pick([DAY, MINUTE, SECOND, 1])
  const zone = random.pick(['', '', 'Z', '+00:00', '-04:30', '+05:45', '+14:00', '-12:00', '+15:00'])
  const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)$/.exec(zone) ?? []
  const offset = sign === undefined ? 0 : (Number(hours) * HOUR + Number(minutes) * MINUTE) * (sign === '+' ? 1 : -1)
  const reading = Math.floor(exact / precision) * precision
  const iso = new Date(reading).toISOString()
  const length = precision === DAY ? 10 : precision === MINUTE ? 16 : precision === SECOND ? 19 : 23
  const separator = random.pick(['T', ' '])
  const more = precision === 1 ? random.pick(['', '9', '999', '999999']) : ''
  return { value: iso.slice(0, length).replace('T', separator) + more + zone, at: reading - offset }
}

/** What a run of each kind does with the rows of a table, whose `kept` are to stay. Returns how many rows expired. */
async function goesRound(
  outside: TestDatabase,
  timeZone: string,
  isKept: string,
  census: { readonly undated: number; readonly unreadable: number },
  seen: readonly [before: string, restored: string] = ['audit_logs', 'audit_logs_restored'],
): Promise<number> {
  await using folder = await freshFolder()
  await using database = await opened(outside.url, undefined, { timeZone })
  const before = await contents(outside, seen[0])
  const [{ n: staying } = { n: NaN }] = await outside.sql<{ n: number }>(`SELECT count(*) AS n FROM audit_logs WHERE ${isKept}`)
  const expired = before.length - staying
  const dry = await purged(database, folder.path, { dryRun: true, byDay: true })
  assert.deepEqual(
    [dry.outcome, dry.expired, dry.undated, dry.unreadable],
    ['succeeded', expired, census.undated, census.unreadable],
    String(dry.error),
  )
  assert.equal(
    [...dry.expiredByDay!.values()].reduce((sum, rows) => sum + rows, 0),
    expired,
  )
  const result = await purged(database, folder.path)
  assert.deepEqual(
    [result.outcome, result.deleted, result.archived?.rows, result.undated, result.unreadable],
    ['succeeded', expired, expired, census.undated, census.unreadable],
    String(result.error),
  )
  const found = await verified(database, folder.path)
  assert.deepEqual([found.problems, found.rows, found.pending], [[], expired, 0])
  if (timeZone === 'UTC') {
    const byDay: Record<string, number> = {}
    for (const { path } of await archivedRows(folder.path)) {
      const day = dayOf(parsePath(path, 'audit_logs')!)
      byDay[day] = (byDay[day] ?? 0) + 1
    }
    assert.deepEqual(byDay, Object.fromEntries([...dry.expiredByDay!].map(([day, rows]) => [formatDay(day), rows])))
  }
  const back = await restored(database, folder.path)
  assert.equal(back.inserted, expired)
  assert.deepEqual([...(await contents(outside, seen[0])), ...(await contents(outside, seen[1]))].toSorted(), before)
  assert.deepEqual(await restored(database, folder.path), { ...back, inserted: 0, present: expired })
  // A second run finds nothing, and the archive takes the next row.
  assert.deepEqual((await purged(database, folder.path)).deleted, 0)
  return expired
}

const IN_ALL = 2_000
/** Each day is a file. */
const DAYS = 40
const MICROS_A_DAY = BigInt(DAY) * 1_000n

for (const engine of ENGINES.slice(1))
  for (const type of ['timestamp', 'timestamptz'])
    for (const zone of type === 'timestamptz' ? ['UTC'] : ['UTC', 'America/New_York', 'Asia/Tokyo'])
      test(`${engine.name}: ${type} in ${zone}: every time goes through dry run, purge, archive, verify and restore, or is kept and counted`, async () => {
        await using fixture = await migrated(engine)
        const { outside } = fixture
        for (const { name } of await outside.sql<{ name: string }>(`SELECT viewname AS name FROM pg_views WHERE schemaname = 'public'`))
          await outside.sql(`DROP VIEW IF EXISTS ${name} CASCADE`)
        await outside.sql(
          `ALTER TABLE audit_logs ALTER "timestamp" DROP DEFAULT, ALTER "timestamp" DROP NOT NULL, ALTER "timestamp" TYPE ${type} USING NULL::${type}`,
        )
        // The session's zone decides nothing.
        await outside.sql(`ALTER DATABASE ${new URL(outside.url).pathname.slice(1)} SET timezone = 'America/St_Johns'`)
        const random = randomOf(SEED, `${type} ${zone}`)
        const days = Array.from({ length: DAYS }, (_, index) => microsOf(random, index, LAST - MICROS_A_DAY))
        const micros = Array.from({ length: IN_ALL }, () => String(random.pick(days) + BigInt(random.whole(0, Number(MICROS_A_DAY)))))
        await outside.sql(
          `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) SELECT 't', 'u', 'a', 's',
             (timestamp '2000-01-01' + make_interval(days => (m / 86400000000)::int) + make_interval(secs => (m % 86400000000) / 1e6))${type === 'timestamptz' ? ` AT TIME ZONE 'UTC'` : ''}
           FROM unnest($1::bigint[]) AS m`,
          [`{${micros.join()}}`],
        )
        await outside.sql(
          `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) SELECT 't', 'u', 'a', 's', unnest(ARRAY[NULL, 'infinity', '-infinity',
             '4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00', '0001-12-31 23:59:59.999999+00 BC', '0001-01-01 00:00+00']::${type}[])`,
        )
        const cutoff = type === 'timestamptz' ? `now() - interval '90 days'` : `(now() - interval '90 days') AT TIME ZONE '${zone}'`
        const expired = await goesRound(outside, zone, `("timestamp" > '-infinity' AND "timestamp" < ${cutoff}) IS NOT TRUE`, {
          undated: 1,
          unreadable: 1,
        })
        console.log(`${engine.name}: ${IN_ALL + 7} rows with ${type} in ${zone}, ${expired} of them expired`)
      })

for (const how of ['stored as given', 'computed', 'computed and stored'])
  test(`sqlite: times ${how}: every value goes through dry run, purge, archive, verify and restore, or is kept and counted`, async () => {
    await using fixture = await migrated(ENGINES[0]!)
    const { outside } = fixture
    await outside.sql('DROP VIEW IF EXISTS recent_audit_logs')
    const time = how === 'stored as given' ? '' : `given, timestamp AS (given) ${how.endsWith('stored') ? 'STORED' : 'VIRTUAL'}`
    for (const { name } of await outside.sql<{ name: string }>(`SELECT name FROM sqlite_schema WHERE type = 'view'`))
      await outside.sql(`DROP VIEW ${name}`)
    await outside.sql('DROP TABLE audit_logs')
    await outside.sql(
      `CREATE TABLE audit_logs (id INTEGER PRIMARY KEY AUTOINCREMENT, tool_name TEXT, "user" TEXT, action TEXT, status TEXT, ${time || 'timestamp'}, twice AS (2 * id))`,
    )
    await outside.sql('CREATE INDEX by_time ON audit_logs (timestamp)')
    // A computed column is none of those that the table tells of.
    const seen = `id, tool_name, ${time === '' ? '' : 'given, '}timestamp`
    await outside.sql(`CREATE VIEW before AS SELECT ${seen} FROM audit_logs`)
    await outside.sql(`CREATE VIEW after AS SELECT ${seen} FROM audit_logs_restored`)
    const into = time === '' ? 'timestamp' : 'given'
    const random = randomOf(SEED, how)
    const now = Date.now() - 90 * DAY
    const days = Array.from({ length: DAYS }, () => random.pick([random.whole(YEAR_1, now), random.whole(YEAR_2000, now), now + DAY]))
    const cutoff = Cutoff.at(now, 'UTC')
    const kept: number[] = []
    const census = { undated: 0, unreadable: 0 }
    const values: string[] = []
    for (let index = 0; index < IN_ALL; index += 1) {
      const { value } = sqliteTime(random, index, now, days)
      // A row of the cutoff's very second would depend on when the run begins.
      const verdict = cutoff.judge(value)
      if (verdict !== Cutoff.at(now + HOUR, 'UTC').judge(value)) continue
      values.push(`(${values.length + 1}, 't', ${literal(value)})`)
      if (verdict !== 'expired') kept.push(values.length)
      if (verdict === 'undated') census.undated += 1
      if (verdict === 'unreadable') census.unreadable += 1
    }
    for (const text of [`CAST(x'323032302d30312d303120c328' AS TEXT)`, `CAST(x'ff' AS TEXT)`, `'2020-01-01' || char(0)`]) {
      values.push(`(${values.length + 1}, 't', ${text})`)
      kept.push(values.length)
      census.unreadable += 1
    }
    await outside.sql(`INSERT INTO audit_logs (id, tool_name, ${into}) VALUES ${values.join()}`)
    const expired = await goesRound(outside, 'UTC', `id IN (${kept.join()})`, census, ['before', 'after'])
    assert.ok(expired > IN_ALL / 4)
    console.log(`sqlite: ${values.length} rows with times ${how}, ${expired} of them expired`)
  })

function literal(value: StoredTime): string {
  if (value === null) return 'NULL'
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`
  if (value === Infinity) return '9e999'
  if (value === -Infinity) return '-9e999'
  if (typeof value === 'string') return `'${value}'`
  // The least integer is no literal of its own.
  if (value === -(2n ** 63n)) return '(-9223372036854775807 - 1)'
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value).toString() : String(value)
}
