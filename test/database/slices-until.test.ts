import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Database } from '../../src/database/database.ts'
import type { ExportedRows, ExportedSlice } from '../../src/database/exporting.ts'
import type { Slice } from '../../src/database/purging.ts'
import { MINUTE, SECOND } from '../../src/time/clock.ts'
import { opened } from '../runs/support.ts'
import { ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'

const COLUMN = { table: 'rows', column: 'at' }
const CUTOFF = Date.UTC(2026, 5, 1, 12, 0, 0)
const SIZES = [1, 2, 7, 100]

/** A table `rows` of `id` and `at`. */
interface Table {
  readonly engine: TestEngine
  readonly name: string
  readonly sql: readonly string[]
  /** The order in which the program walks it. */
  readonly order: string
  /** How a time is written; the form is any number. */
  readonly written: (at: number, form: number) => string | number
}

const TABLES: readonly Table[] = ENGINES.flatMap((engine): Table[] => {
  if (engine.name === 'sqlite') {
    const rows = 'CREATE TABLE rows (id INTEGER PRIMARY KEY, at TIMESTAMP)'
    return [
      { engine, name: 'an index', sql: [rows, 'CREATE INDEX by_time ON rows (at)'], order: 'at, id', written: inSomeForm },
      {
        engine,
        name: 'a descending index',
        sql: [rows, 'CREATE INDEX by_time ON rows (at DESC)'],
        order: 'at, id DESC',
        written: inSomeForm,
      },
      {
        engine,
        name: 'an index of two columns',
        sql: [rows, 'CREATE INDEX by_time ON rows (at, id DESC)'],
        order: 'at, id',
        written: inSomeForm,
      },
      { engine, name: 'no index', sql: [rows], order: 'id', written: inSomeForm },
    ]
  }
  const order = 'at, tableoid, ctid'
  const partitions = [0, 1, 2].map((n) => `CREATE TABLE rows_${n} PARTITION OF rows FOR VALUES WITH (MODULUS 3, REMAINDER ${n})`)
  return [
    {
      engine,
      name: 'an index',
      sql: [
        'CREATE TABLE rows (id bigint PRIMARY KEY, at timestamp) WITH (autovacuum_enabled = off)',
        'CREATE INDEX by_time ON rows (at DESC)',
      ],
      order,
      written: inIso,
    },
    {
      engine,
      name: 'partitions',
      sql: ['CREATE TABLE rows (id bigint, at timestamptz) PARTITION BY HASH (id)', ...partitions, 'CREATE INDEX by_time ON rows (at)'],
      order,
      written: inIso,
    },
  ]
})

function inSomeForm(at: number, form: number): string | number {
  const text = new Date(at).toISOString().slice(0, 19)
  return [text.replace('T', ' '), text, `${text}Z`, at / SECOND, at][form % 5]!
}

function inIso(at: number): string {
  return new Date(at).toISOString()
}

interface Fixture extends AsyncDisposable {
  readonly outside: TestDatabase
  readonly database: Database
}

async function made(table: Table): Promise<Fixture> {
  const outside = await table.engine.fresh()
  for (const each of table.sql) await outside.sql(each)
  const database = await opened(outside.url)
  return {
    outside,
    database,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await outside[Symbol.asyncDispose]()
    },
  }
}

interface Row {
  readonly id: number
  /** Before the cutoff. */
  readonly minutes: number
  readonly form: number
}

async function insert({ outside }: Fixture, table: Table, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return
  const values = rows.map(({ id, minutes, form }) => {
    const at = table.written(CUTOFF - minutes * MINUTE, form)
    return `(${id}, ${typeof at === 'number' ? at : `'${at}'`})`
  })
  await outside.sql(`INSERT INTO rows VALUES ${values.join(', ')}`)
}

/** By id, the place of each row in the order of the walk. */
async function places({ outside }: Fixture, { order }: Table): Promise<ReadonlyMap<number, number>> {
  const rows = await outside.sql<{ id: number }>(`SELECT id FROM rows ORDER BY ${order}`)
  return new Map(rows.map(({ id }, at) => [id, at]))
}

function exported({ database }: Fixture): ExportedRows {
  return database.exported(COLUMN, CUTOFF, Number.MAX_SAFE_INTEGER)
}

async function idsOf(slice: ExportedSlice): Promise<number[]> {
  const ids: number[] = []
  await slice.read(async ({ count, idOf }) => {
    for (let index = 0; index < count; index += 1) ids.push(Number(idOf(index)))
  })
  return ids
}

interface Walked {
  readonly slice: ExportedSlice
  readonly ids: readonly number[]
}

/** Slices of these sizes, over and over. */
async function walked(rows: ExportedRows, sizes: readonly number[], after?: Slice, until?: Slice): Promise<Walked[]> {
  const all: Walked[] = []
  for (let last = after; ;) {
    const size = sizes[all.length % sizes.length]!
    const slice = await rows.next(size, last, until)
    if (slice === undefined) return all
    const ids = await idsOf(slice)
    assert.ok(ids.length <= size, `${ids.length} rows in a slice of ${size}`)
    all.push({ slice, ids })
    last = slice
  }
}

/** Each row once, and each slice behind the one before. */
function inOrder(slices: readonly Walked[], place: ReadonlyMap<number, number>): number[] {
  let reached = -1
  for (const { ids } of slices) {
    const at = ids.map((id) => place.get(id)!).toSorted((a, b) => a - b)
    assert.equal(new Set(at).size, at.length)
    assert.ok(at.length === 0 || at[0]! > reached, 'a slice reaches back behind the one before')
    reached = at.at(-1) ?? reached
  }
  return slices.flatMap(({ ids }) => ids)
}

const ascending = (ids: Iterable<number>): number[] => [...ids].toSorted((a, b) => a - b)

for (const table of TABLES) {
  const title = `${table.engine.name}, ${table.name}`

  test(`${title}: the slices up to another are the rows at or before its end, in order and once each, whatever came or went since`, async () => {
    await using fixture = await made(table)
    const times = { minutes: fc.integer({ min: -1, max: 4 }), form: fc.nat(4) }
    const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record(times), { maxLength: 60 }),
        fc.record({
          copied: sizes,
          removed: sizes,
          until: fc.nat(),
          after: fc.option(fc.nat()),
          late: fc.array(fc.record({ ...times, id: fc.integer({ min: 0, max: 700 }).map((id) => 10 * Math.floor(id / 10) + 5) }), {
            maxLength: 8,
          }),
          gone: fc.array(fc.nat(), { maxLength: 8 }),
          lastGone: fc.boolean(),
        }),
        async (rows, given) => {
          await fixture.outside.sql('DELETE FROM rows')
          await insert(
            fixture,
            table,
            rows.map((row, at) => ({ ...row, id: 10 * (at + 1) })),
          )
          const from = exported(fixture)
          const copied = await walked(from, given.copied)
          if (copied.length === 0) return
          const untilAt = given.until % copied.length
          const afterAt = given.after === null ? -1 : (given.after % (untilAt + 1)) - 1
          const until = copied[untilAt]!.slice
          const after = copied[afterAt]?.slice

          const late = [...new Map(given.late.map((row) => [row.id, row])).values()]
          await insert(fixture, table, late)
          const place = await places(fixture, table)
          const placesOf = (slices: readonly Walked[]): number[] => slices.flatMap(({ ids }) => ids.map((id) => place.get(id)!))
          const last = Math.max(...placesOf(copied.slice(0, untilAt + 1)))
          const beyond = Math.min(...placesOf(copied.slice(untilAt + 1)))

          const all = copied.flatMap(({ ids }) => ids)
          const gone = new Set(given.gone.map((at) => all[at % all.length]!))
          for (const [id, at] of place) if (given.lastGone && at === last) gone.add(id)
          await fixture.outside.sql(`DELETE FROM rows WHERE id IN (${[0, ...gone].join()})`)

          const left = (slices: readonly Walked[]): number[] => ascending(slices.flatMap(({ ids }) => ids.filter((id) => !gone.has(id))))
          const isLate = new Set(late.map(({ id }) => id))
          const part = inOrder(await walked(from, given.removed, after, until), place)
          assert.deepEqual(ascending(part.filter((id) => !isLate.has(id))), left(copied.slice(afterAt + 1, untilAt + 1)))
          for (const { id, minutes } of late) {
            if (place.get(id)! > beyond) assert.ok(!part.includes(id), `the late row ${id} lies beyond the end`)
            // Behind `after` only as far as rows of one time are not in the middle of their walk.
            if (after === undefined && minutes > 0 && place.get(id)! < last)
              assert.ok(part.includes(id), `the late row ${id} lies before the end`)
          }
          const rest = inOrder(await walked(from, given.removed, until), place)
          assert.deepEqual(ascending(rest.filter((id) => !isLate.has(id))), left(copied.slice(untilAt + 1)))
          assert.deepEqual(
            part.filter((id) => rest.includes(id)),
            [],
          )
        },
      ),
      { numRuns: 40 },
    )
  })

  test(`${title}: a walk up to a slice in the midst of rows of one time ends there, in slices of any size`, async () => {
    await using fixture = await made(table)
    const rows = Array.from({ length: 1_900 }, (_, at) => ({ id: at + 1, minutes: at < 3 ? 3 : at < 1_897 ? 2 : 1, form: 0 }))
    await insert(fixture, table, rows)
    const from = exported(fixture)
    const place = await places(fixture, table)
    for (const parts of [
      [450, 700, 20],
      [3, 1],
    ]) {
      let after: Slice | undefined
      let ended = 0
      for (const rowsOfPart of parts) {
        // As a part is copied: by slices, the last of which holds what is left to be copied.
        let until: ExportedSlice | undefined
        for (let left = rowsOfPart; left > 0;) {
          until = await from.next(Math.min(left, 64), until ?? after)
          left -= (await idsOf(until!)).length
        }
        ended += rowsOfPart
        for (const size of rowsOfPart > 100 ? [100, 600, 5_000] : SIZES) {
          const part = inOrder(await walked(from, [size], after, until), place)
          assert.deepEqual(
            ascending(part.map((id) => place.get(id)!)),
            Array.from({ length: rowsOfPart }, (_, at) => ended - rowsOfPart + at),
            `${size} at a time`,
          )
        }
        after = until
      }
    }
  })

  test(`${title}: asked for again behind the same slice, smaller, a slice begins with the same row and ends no later`, async () => {
    await using fixture = await made(table)
    await insert(
      fixture,
      table,
      Array.from({ length: 60 }, (_, at) => ({ id: at + 1, minutes: 5 - Math.floor(at / 13), form: at % 5 })),
    )
    const from = exported(fixture)
    const place = await places(fixture, table)
    const copied = await walked(from, [11])
    const until = copied[2]!.slice
    const last = Math.max(...copied.slice(0, 3).flatMap(({ ids }) => ids.map((id) => place.get(id)!)))
    let after: Slice | undefined
    for (let at = 0; at <= last; at += 1) {
      for (const size of [100, 5, 1]) {
        const ids = await idsOf((await from.next(size, after, until))!)
        const found = ids.map((id) => place.get(id)!)
        assert.equal(Math.min(...found), at)
        assert.ok(Math.max(...found) <= last)
      }
      after = await from.next(1, after, until)
    }
    assert.equal(await from.next(1, after, until), undefined)
    assert.equal(await from.next(100, until, until), undefined)
  })
}

test('a walk that is to end with a slice of another engine is refused, and not walked to its end', async () => {
  const foreign: Slice = {
    name: () => '',
    count: () => Promise.resolve(0),
    countByDay: () => Promise.resolve(new Map()),
    remove: () => Promise.reject(new Error('not asked for')),
  }
  for (const table of [TABLES[0]!, TABLES.at(-1)!]) {
    await using fixture = await made(table)
    await insert(fixture, table, [{ id: 1, minutes: 1, form: 0 }])
    await assert.rejects(exported(fixture).next(1, undefined, foreign), TypeError)
  }
})
