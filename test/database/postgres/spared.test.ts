import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../../src/database/database.ts'
import { expiredRows, type SliceOptions } from '../../../src/database/postgres/purging/slices.ts'
import type { Slice } from '../../../src/database/purging.ts'
import type { Query } from '../../../src/database/query.ts'
import type { Match } from '../../../src/policy/match.ts'
import type { Spared, SparedRows } from '../../../src/policy/spared.ts'
import { HOUR, MINUTE } from '../../../src/time/clock.ts'
import { wallClock } from '../../../src/time/zones.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../../support/databases.ts'
import { opened } from './fixture.ts'
import { inspected } from './inspected.ts'

const COLUMN = { table: 'events', column: 'at' }
const CUTOFF = Date.UTC(2026, 5, 1, 12, 0, 0)
const ROWS = 'CREATE TABLE events (id bigint, at timestamp, "user" text) WITH (autovacuum_enabled = off); CREATE INDEX ON events (at)'

function by(match: Match, from?: number, until?: number): Spared {
  return { match, from, until }
}

const HELD: SparedRows = [by({ user: ['held'] })]

async function ids({ admin }: FreshPostgres): Promise<number[]> {
  const { rows } = await admin.query<{ id: string }>('SELECT id FROM events ORDER BY id')
  return rows.map(({ id }) => Number(id))
}

/** Deletes slice by slice, and returns how many rows each one had. */
async function purged(database: Database, spared: SparedRows, size: number, removing = spared): Promise<number[]> {
  const rows = database.expired(COLUMN, CUTOFF, spared)
  const sizes: number[] = []
  for (let slice: Slice | undefined; (slice = await rows.next(size, slice)) !== undefined;) {
    const current: Slice = slice
    sizes.push((await database.transaction((tx) => current.remove(tx, removing))).affected)
  }
  return sizes
}

/** The engine's own rows, and the statements that they have sent. */
function watched(
  database: Database,
  spared: SparedRows,
  afterScan = (): Promise<void> => Promise.resolve(),
  beforeScan = (): Promise<void> => Promise.resolve(),
): { readonly rows: ReturnType<typeof expiredRows>; readonly sent: string[] } {
  const sent: string[] = []
  const watching = (query: Query): Query => ({
    query: (text, values) => {
      sent.push(text)
      return query.query(text, values)
    },
  })
  const options: SliceOptions = {
    query: watching(database),
    look: (work) => database.transaction((tx) => work({ ...watching(tx), now: tx.now })),
    scan: async (work) => {
      await beforeScan()
      try {
        return await database.transaction((tx) => work({ ...watching(tx), now: tx.now }))
      } finally {
        await afterScan()
      }
    },
    schema: 'public',
    timeZone: 'UTC',
    lockBackoff: { held: false },
    unflushed: { any: false },
    steered: new Set(),
    taken: new Map(),
  }
  return { rows: expiredRows(options, COLUMN, CUTOFF, spared), sent }
}

for (const major of POSTGRES_MAJORS) {
  describe(`what holds and rules keep on PostgreSQL ${major}`, () => {
    for (const [type, stored, patterns] of [
      ['varchar(20)', 'Alice', ['ALICE']],
      ['char(10)', 'Alice', ['alice']],
      ['text COLLATE "C"', 'Alice', ['al*']],
      ['feeling', 'Glad', ['glad']],
      ['shouted', 'ALICE', ['alice']],
      ['jsonb', '{"a":1}', ['{"A": 1}']],
      ['integer', '42', ['42']],
      ['bigint', '4200', ['42*']],
      ['uuid', '0e37df36-f698-11e6-8dd4-cb9ced3df976', ['0E37DF36-*']],
      ['text[]', '{a,"b c"}', ['{a,"b c"}']],
      ['name', 'Alice', ['alice']],
      ['loosely', 'ALICE', ['alice']],
      // Where the small letter of I is another one.
      ['text COLLATE "tr-x-icu"', 'ALICE', ['alice']],
      ['text COLLATE "tr-x-icu"', 'ALICE:1', ['Alice:*']],
    ] as const)
      it(`a column of type ${type} is compared by its text, and no cast that somebody has defined runs`, async () => {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(`CREATE TYPE feeling AS ENUM ('Glad', 'sad'); CREATE DOMAIN shouted AS text CHECK (VALUE = upper(VALUE));
          CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE DOMAIN loosely AS text COLLATE loose;
          CREATE FUNCTION shown(feeling) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''called''; END'; CREATE CAST (feeling AS text) WITH FUNCTION shown(feeling);
          CREATE TABLE events (id bigint, at timestamp, "user" ${type}); CREATE INDEX ON events (at)`)
        await fresh.admin.query(`INSERT INTO events VALUES (1, '2026-05-01', $1), (2, '2026-05-01', NULL)`, [stored])
        await using database = await opened(fresh.url)
        assert.deepEqual(await purged(database, [by({ user: [...patterns] })], 10), [1])
        assert.deepEqual(await ids(fresh), [1])
        assert.deepEqual(await purged(database, [by({ user: ['nothing of the kind'] })], 10), [1])
      })

    it('a value with quotes, backslashes, braces, commas and signs of LIKE means itself, bound and in COPY', async () => {
      const texts = [
        `it's`,
        '"quoted"',
        'back\\slash',
        '\\',
        '{a,b}',
        'a,b',
        '%',
        '_',
        '$1',
        `\\'; DROP TABLE events; --`,
        'null',
        'e\u0301',
        '🔒',
      ]
      for (const standard of ['on', 'off']) {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET standard_conforming_strings = ${standard}; ${ROWS}`)
        for (const [index, text] of texts.entries())
          await fresh.admin.query(`INSERT INTO events VALUES ($1, '2026-05-01', $2), ($1 + 100, '2026-05-01', $2 || 'x')`, [index, text])
        await using database = await opened(fresh.url)
        const spared = texts.map((text) => by({ user: [text, `${text.slice(0, -1)}\u0001${text}*`] }))
        const read: number[] = []
        const slice = (await database.exported(COLUMN, CUTOFF, Number.MAX_SAFE_INTEGER, spared).next(1_000, undefined))!
        await slice.read(async ({ count, idOf }) => {
          for (let index = 0; index < count; index += 1) read.push(Number(idOf(index)))
        })
        const others = texts.map((_, index) => index + 100)
        assert.deepEqual(
          read.toSorted((a, b) => a - b),
          others,
        )
        assert.deepEqual(await purged(database, spared, 1_000), [texts.length])
        assert.deepEqual(
          await ids(fresh),
          texts.map((_, index) => index),
        )
        // As the beginning of a value.
        await fresh.admin.query(`UPDATE events SET "user" = "user" || ' and more' WHERE "user" <> '\\'`)
        assert.deepEqual(
          await purged(
            database,
            texts.map((text) => by({ user: [`${text}*`] })),
            1_000,
          ),
          [],
        )
      }
    })

    it('bounds are exact to the microsecond, and rows with the time -infinity are neither held nor deleted', async () => {
      for (const type of ['timestamp', 'timestamptz']) {
        await using fresh = await freshPostgres(major)
        const zone = type === 'timestamptz' ? '+00' : ''
        await fresh.admin.query(`CREATE TABLE events (id bigint, at ${type}, "user" text); CREATE INDEX ON events (at DESC)`)
        const times = ['10:00:00.000999', '10:00:00.001', '10:00:00.001001', '10:00:00.001999', '10:00:00.002'].map(
          (time) => `2026-05-01 ${time}${zone}`,
        )
        for (const [index, time] of ['-infinity', ...times].entries())
          await fresh.admin.query('INSERT INTO events VALUES ($1, $2)', [index, time])
        await using database = await opened(fresh.url)
        const at = Date.UTC(2026, 4, 1, 10)
        const spared = [by({}, at + 1, at + 2)]
        assert.deepEqual(await database.expired(COLUMN, CUTOFF).sparedBy([...spared, by({})]), { each: [3, 5], together: 5 })
        assert.deepEqual(await purged(database, spared, 1), [1, 1])
        assert.deepEqual(await ids(fresh), [0, 2, 3, 4])
      }
    })

    it('a bound outside the years with four digits keeps more rather than less', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(`${ROWS}; INSERT INTO events VALUES (1, '0044-03-15 BC'), (2, '0500-01-01'), (3, '2026-05-01')`)
      await using database = await opened(fresh.url)
      const [early, late] = [Date.parse('0400-01-01T00:00Z'), Date.parse('+012000-01-01T00:00Z')]
      assert.deepEqual(await purged(database, [by({}, early, late)], 10), [])
      assert.deepEqual(await purged(database, [by({}, undefined, early)], 10), [1])
      assert.deepEqual(await ids(fresh), [1, 2])
    })

    it('readings without a zone near a change of the clocks stay if one of their instants is in the range', async () => {
      const zone = 'Europe/Berlin'
      const step = 15 * MINUTE
      const wall = wallClock(zone)
      for (const change of [Date.parse('2026-03-29T01:00Z'), Date.parse('2025-10-26T01:00Z')]) {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(ROWS)
        const first = change - 6 * HOUR
        const instants = Array.from({ length: 12 * 4 }, (_, index) => first + index * step)
        await fresh.admin.query(
          `INSERT INTO events SELECT i, to_timestamp(r) AT TIME ZONE 'UTC' FROM unnest($1::float8[]) WITH ORDINALITY AS t (r, i)`,
          [instants.map((instant) => wall(instant) / 1_000)],
        )
        await using database = await opened(fresh.url, { timeZone: zone })
        for (let from = change - 2 * HOUR; from <= change + 2 * HOUR; from += step) {
          const until = from + 30 * MINUTE
          const kept = (await database.sparedBy(COLUMN, by({}, from, until), CUTOFF, 1_000)).rows
          const inRange = new Set(instants.filter((instant) => instant >= from && instant < until).map(wall))
          const may = instants.filter((instant) => inRange.has(wall(instant)))
          assert.ok(kept >= may.length, `${kept} of ${may.length} from ${new Date(from).toISOString()}`)
          // Between the two instants of a reading lies an hour, and more than that hour is never kept.
          assert.ok(kept <= may.length + 4)
          if (Math.abs(from - change) > HOUR + 30 * MINUTE) assert.equal(kept, may.length)
        }
      }
    })

    it('rows of one time that fill many slices are divided by their place among those that are free', async () => {
      for (const partitioned of [false, true]) {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(
          partitioned
            ? `CREATE TABLE events (id bigint, at timestamp, "user" text) PARTITION BY HASH (id); CREATE INDEX ON events (at);
               CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1)`
            : ROWS,
        )
        await fresh.admin.query(
          `INSERT INTO events SELECT i, '2026-05-01', CASE WHEN i % 3 = 0 THEN 'free' ELSE 'HELD' END FROM generate_series(1, 6000) AS i`,
        )
        await using database = await opened(fresh.url)
        const sizes = await purged(database, HELD, 300)
        assert.ok(
          sizes.every((size) => size > 0 && size <= 300),
          String(sizes),
        )
        assert.equal(
          sizes.reduce((sum, size) => sum + size, 0),
          2_000,
        )
        assert.ok(sizes.length <= 9, String(sizes))
        const { rows } = await fresh.admin.query<{ held: string }>(`SELECT count(*) FILTER (WHERE "user" = 'HELD') AS held FROM events`)
        assert.equal(rows[0]?.held, '4000')
        assert.equal((await ids(fresh)).length, 4_000)
      }
    })

    it('a few free rows behind very many held ones with the same time are found, and nothing goes on for ever', async () => {
      for (const held of [300, 45_000]) {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(`${ROWS}; INSERT INTO events SELECT i, '2026-05-01', 'held' FROM generate_series(1, ${held}) AS i;
          INSERT INTO events VALUES (0, '2026-05-01', 'free'), (-1, '2026-05-01', 'free'); INSERT INTO events SELECT i, '2026-05-02', 'held' FROM generate_series(100001, ${100_000 + held}) AS i;
          INSERT INTO events VALUES (-2, '2026-05-02 00:00:01', 'free')`)
        await using database = await opened(fresh.url)
        assert.deepEqual(await purged(database, HELD, 1), [1, 1, 1])
        assert.equal((await ids(fresh)).length, 2 * held)
        // A walk up to the end of another one, in the midst of these rows.
        await fresh.admin.query(`INSERT INTO events SELECT -i, '2026-05-01', 'free' FROM generate_series(1, 4) AS i`)
        const rows = database.exported(COLUMN, CUTOFF, Number.MAX_SAFE_INTEGER, HELD)
        const until = await rows.next(1, await rows.next(1, undefined))
        let counted = 0
        for (let slice: Slice | undefined; (slice = await rows.next(10, slice, until)) !== undefined;) counted += await slice.count()
        assert.equal(counted, 2)
      }
    })

    it('a stretch in which everything is held takes no slice, and few statements however long it is', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin
        .query(`${ROWS}; INSERT INTO events SELECT i, timestamp '2026-05-01' + i * interval '1 second', 'held' FROM generate_series(1, 300000) AS i;
        INSERT INTO events VALUES (0, '2026-05-30', 'free')`)
      await using database = await opened(fresh.url)
      const { rows, sent } = watched(database, HELD)
      const slice = (await rows.next(500, undefined))!
      assert.equal(await slice.count(), 1)
      assert.equal(await rows.next(500, slice), undefined)
      const reading = sent.filter((text) => text.includes('"events" AS t'))
      assert.ok(reading.length <= 10, `${reading.length} statements`)
      // None of them reads more than that.
      assert.ok(
        reading.every((text) => / LIMIT \$\d/.test(text) || text.includes('count(*) AS rows')),
        reading.join('\n'),
      )
      assert.deepEqual(await database.expired(COLUMN, CUTOFF, HELD).sparedBy(HELD), { each: [0], together: 0 })
      assert.deepEqual(await database.expired(COLUMN, CUTOFF).sparedBy([...HELD, by({ user: ['free'] })]), {
        each: [300_000, 1],
        together: 300_001,
      })
      const { rows: known, more } = await database.expired(COLUMN, CUTOFF, HELD).estimate()
      assert.deepEqual([known, more], [0, true])
      assert.deepEqual(await database.sparedBy(COLUMN, HELD[0]!, Date.UTC(2026, 4, 2), 1_000_000), {
        rows: 300_000,
        expired: 86_399,
        more: false,
      })
      assert.deepEqual(await database.sparedBy(COLUMN, HELD[0]!, CUTOFF, 1_000), { rows: 1_000, expired: 1_000, more: true })
    })

    it('after a survey of a table in which everything is held, the walk asks nothing more', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(
        `${ROWS}; INSERT INTO events SELECT i, timestamp '2026-05-01' + i * interval '1 second', 'held' FROM generate_series(1, 300000) AS i`,
      )
      await using database = await opened(fresh.url)
      const rules = [by({ user: ['nobody'] })]
      const { rows, sent } = watched(database, [...rules, ...HELD])
      assert.deepEqual(await rows.survey(HELD), { each: [300_000], together: 300_000 })
      assert.ok(sent.filter((text) => text.includes('"events" AS t')).length <= 3, sent.join('\n'))
      sent.length = 0
      assert.equal(await rows.next(500, undefined), undefined)
      assert.deepEqual(sent, [])
      // Where only rules keep rows, nothing is counted, and the walk still passes over them.
      const { rows: ruled, sent: since } = watched(database, HELD)
      assert.deepEqual(await ruled.survey([]), { each: [], together: 0 })
      since.length = 0
      assert.equal(await ruled.next(500, undefined), undefined)
      assert.deepEqual(since, [])
    })

    it('stretches of held rows are passed over between free ones, and what is added to them is left to the next run', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(
        `${ROWS}; INSERT INTO events SELECT i, timestamp '2026-05-01' + i * interval '13 seconds', CASE WHEN i IN (5, 100000, 199999) THEN 'free' ELSE 'held' END FROM generate_series(1, 200000) AS i`,
      )
      await using database = await opened(fresh.url)
      const { rows, sent } = watched(database, HELD)
      assert.deepEqual(await rows.survey(HELD), { each: [199_997], together: 199_997 })
      await fresh.admin
        .query(`INSERT INTO events SELECT -i, timestamp '2026-05-01' + i * 20000 * interval '13 seconds', 'free' FROM generate_series(1, 9) AS i WHERE i <> 5;
        INSERT INTO events VALUES (-10, '2026-04-01', 'free'), (-11, '2026-05-20', 'free')`)
      sent.length = 0
      let removed = 0
      for (let slice: Slice | undefined; (slice = await rows.next(500, slice)) !== undefined;) {
        const current: Slice = slice
        removed += (await database.transaction((tx) => current.remove(tx, HELD))).affected
      }
      // The last one lies in the same piece as a free row.
      assert.deepEqual([removed, (await ids(fresh)).slice(0, 11)], [3, [-11, -10, -9, -8, -7, -6, -4, -3, -2, -1, 1]])
      const reading = sent.filter((text) => text.includes('"events" AS t'))
      assert.ok(reading.length <= 20, `${reading.length} statements`)
      // A walk that is opened later has no such stretches.
      assert.equal(
        (await purged(database, HELD, 500)).reduce((sum, size) => sum + size, 0),
        10,
      )
    })

    it('where a large part of the survey takes too long, small ones tell the same, with rows of one time at their borders', async () => {
      for (const partitioned of [false, true]) {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(
          partitioned
            ? `CREATE TABLE events (id bigint, at timestamp, "user" text) PARTITION BY HASH (id); CREATE INDEX ON events (at);
               CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1)`
            : ROWS,
        )
        await fresh.admin.query(
          `INSERT INTO events SELECT i, timestamp '2026-05-01' + (CASE WHEN i BETWEEN 50000 AND 199000 THEN 50000 ELSE i END) * interval '1 second',
             CASE WHEN i IN (49999, 199001, 249000) THEN 'free' ELSE 'held' END FROM generate_series(1, 250000) AS i; INSERT INTO events VALUES (0, '-infinity', 'free')`,
        )
        await using database = await opened(fresh.url)
        // The first scan waits for a lock, and gives up.
        let scans = 0
        const { rows } = watched(
          database,
          HELD,
          async () => void ((scans += 1) === 1 && (await fresh.admin.query('COMMIT'))),
          async () => void (scans === 0 && (await fresh.admin.query('BEGIN; LOCK TABLE events'))),
        )
        assert.deepEqual(await rows.survey(HELD), { each: [249_997], together: 249_997 })
        assert.equal(scans, 4)
        let removed = 0
        for (let slice: Slice | undefined; (slice = await rows.next(100, slice)) !== undefined;) {
          const current: Slice = slice
          removed += (await database.transaction((tx) => current.remove(tx, HELD))).affected
        }
        assert.equal(removed, 3)
      }
    })

    it('a survey tells apart the microseconds and zones of times, and a walk up to a slice ends there all the same', async () => {
      const soonAfter = Date.UTC(2026, 2, 29, 9, 30)
      for (const [type, zone] of [
        ['timestamp', 'UTC'],
        ['timestamptz', 'Europe/Berlin'],
        ['timestamptz', 'America/St_Johns'],
      ] as const) {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET TimeZone = '${zone}';
          CREATE TABLE events (id bigint, at ${type}, "user" text); CREATE INDEX ON events (at DESC)`)
        // Around changes of the clocks, in stretches of held rows with a free one here and there, some of them at the same time.
        await fresh.admin.query(
          `INSERT INTO events SELECT i, (timestamp '2026-03-29 00:30' + (i / 3) * interval '61.000001 seconds')${type === 'timestamptz' ? ` AT TIME ZONE 'UTC'` : ''},
             CASE WHEN (i / 40) % 7 = 3 AND i % 5 = 0 THEN 'free' ELSE 'held' END FROM generate_series(1, 1500) AS i;
           INSERT INTO events VALUES (0, '0044-03-15 BC', 'held')`,
        )
        await using database = await opened(fresh.url)
        const free = (await fresh.admin.query<{ id: string }>(`SELECT id FROM events WHERE "user" = 'free' ORDER BY id`)).rows.map(
          ({ id }) => Number(id),
        )
        for (const oldest of ['BC', 'none']) {
          if (oldest === 'none') await fresh.admin.query('DELETE FROM events WHERE id = 0')
          const rows = database.exported(COLUMN, soonAfter, Number.MAX_SAFE_INTEGER, HELD)
          const held = 1_500 - free.length + (oldest === 'BC' ? 1 : 0)
          assert.deepEqual(await rows.survey(HELD), { each: [held], together: held })
          for (const [ahead, size] of [
            [7, 1],
            [3, 10],
            [60, 7],
          ] as const) {
            const read: number[] = []
            for (let from: Awaited<ReturnType<typeof rows.next>>, until = from; ; from = until) {
              for (let slices = 0; slices < 3; slices += 1) until = (await rows.next(ahead, until)) ?? until
              if (until === from) break
              for (let slice = from; (slice = await rows.next(size, slice, until)) !== undefined;)
                await slice.read(async ({ count, idOf }) => {
                  for (let index = 0; index < count; index += 1) read.push(Number(idOf(index)))
                })
            }
            assert.deepEqual(
              read.toSorted((a, b) => a - b),
              free,
            )
          }
        }
      }
    })

    it('one free row among a thousand is found at a good rate, in slices that pass over few held ones', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(
        `${ROWS}; INSERT INTO events SELECT i, timestamp '2026-05-01' + i * interval '1 second', CASE WHEN i % 1000 = 0 THEN 'free' ELSE 'held' END FROM generate_series(1, 100000) AS i`,
      )
      await using database = await opened(fresh.url)
      const sizes = await purged(database, HELD, 1_000)
      assert.equal(
        sizes.reduce((sum, size) => sum + size, 0),
        100,
      )
      assert.ok(sizes.length <= 30, `${sizes.length} slices`)
      assert.ok(Math.max(...sizes) <= 5, String(sizes))
    })

    it('a hold that is placed when a slice has been chosen keeps its rows, and so does one by a column that no hold named before', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(
        `${ROWS}; INSERT INTO events SELECT i, '2026-05-01', (ARRAY['held', 'alice', 'bob'])[1 + i % 3] FROM generate_series(1, 9) AS i`,
      )
      await using database = await opened(fresh.url)
      for (const spared of [HELD, []])
        assert.deepEqual(await purged(database, spared, 10, [...HELD, by({ user: ['Alice'] })]), spared === HELD ? [3] : [0])
      assert.deepEqual(await ids(fresh), [1, 3, 4, 6, 7, 9])
    })

    it('where rows are locked, the others of the slice go, and held ones stay, one too that becomes one meanwhile', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(
        `${ROWS}; INSERT INTO events VALUES (1, '2026-05-01', 'a'), (2, '2026-05-01', 'held'), (3, '2026-05-01', 'a'), (4, '2026-05-01', 'a')`,
      )
      await using database = await opened(fresh.url)
      const slice = (await database.expired(COLUMN, CUTOFF, HELD).next(10, undefined))!
      await fresh.admin.query(`BEGIN; UPDATE events SET "user" = 'HELD' WHERE id = 3`)
      const tally = await database.transaction((tx) => slice.remove(tx, HELD))
      assert.deepEqual([tally.affected, tally.locked], [2, 1])
      const waiting = database.transaction((tx) => slice.remove(tx, HELD))
      await fresh.admin.query('COMMIT')
      assert.equal((await waiting).affected, 0)
      assert.deepEqual(await ids(fresh), [2, 3])
    })

    for (const encoding of ['LATIN1', 'SQL_ASCII'])
      it(`in a database in ${encoding}, a value that it cannot express matches no row, and the others of the hold do`, async () => {
        await using fresh = await freshPostgres(major, encoding)
        await fresh.admin.query(
          `${ROWS}; INSERT INTO events VALUES (1, '2026-05-01', 'jürgen'), (2, '2026-05-01', 'alice'), (3, '2026-05-01', 'bob')`,
        )
        await using database = await opened(fresh.url)
        const placed = [by({ user: ['łukasz', '🔒*', 'Jürgen', 'alice'] })]
        assert.equal((await database.sparedBy(COLUMN, by({ user: ['łukasz', '🔒*'] }), CUTOFF, 10)).rows, 0)
        assert.deepEqual(await purged(database, [], 10, placed), [1])
        const exported = database.exported(COLUMN, CUTOFF, Number.MAX_SAFE_INTEGER, placed)
        assert.equal(await exported.next(10, undefined), undefined)
        assert.deepEqual(await exported.tooLarge(), { rows: 0, ids: [] })
        assert.deepEqual(await ids(fresh), [1, 2])
      })

    it('a row that is held is not too large, because it has not expired', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(
        `${ROWS}; INSERT INTO events VALUES (1, '2026-05-01', 'held' || repeat('x', 900)), (2, '2026-05-01', repeat('y', 900)), (3, '2026-05-01', NULL)`,
      )
      await using database = await opened(fresh.url)
      assert.deepEqual(await database.exported(COLUMN, CUTOFF, 500, [by({ user: ['held*'] })]).tooLarge(), { rows: 1, ids: ['2'] })
      assert.deepEqual(await database.exported(COLUMN, CUTOFF, 500, [by({ user: ['held*'] })]).tooLarge(100), { rows: 1, ids: ['2'] })
      assert.equal((await database.exported(COLUMN, CUTOFF, 500).tooLarge()).rows, 2)
    })

    it('a column that a hold or a rule names and the table lacks is found before anything is deleted', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(ROWS)
      const terms = { cascade: [], setting: '', archived: [], keeping: ['events'] }
      assert.equal(await inspected(fresh.url, COLUMN, { ...terms, matched: ['user'] }), '')
      assert.equal(
        await inspected(fresh.url, COLUMN, { ...terms, matched: ['user', 'status', 'tool_name'] }),
        'A hold or a retention rule keeps rows of public.events by "status" and "tool_name", and the table has no such column. No row was deleted. ' +
          'Release the hold, take the rule away, or add the column.',
      )
    })

    it('where the rows cannot be counted as a whole, what is known of a part of them is said', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query(
        `${ROWS}; INSERT INTO events SELECT i, timestamp '2026-05-01' + i * interval '1 minute', 'held' FROM generate_series(1, 2000) AS i`,
      )
      await using database = await opened(fresh.url)
      const { rows } = watched(database, [], async () => void (await fresh.admin.query('COMMIT')))
      // Known before the table is locked.
      assert.deepEqual(await rows.sparedBy([]), { each: [], together: 0 })
      await fresh.admin.query('BEGIN; LOCK TABLE events')
      assert.deepEqual(await rows.sparedInTable(HELD[0]!, 1_000_000), { rows: 2_000, expired: 2_000, more: true })
      await fresh.admin.query('BEGIN; LOCK TABLE events')
      assert.deepEqual(await rows.sparedInTable(HELD[0]!, 10), { rows: 10, expired: 10, more: true })
    })
  })
}
