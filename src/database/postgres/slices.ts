import type { EpochMs } from '../../time.ts'
import {
  DatabaseError,
  type Census,
  type ExpiredRows,
  type Gone,
  type Query,
  type Slice,
  type StoredRows,
  type Tally,
  type TellDay,
  type TimeColumn,
  type Transaction,
} from '../database.ts'
import { DayCounts } from '../day-counts.ts'
import type { Copy } from './connection.ts'
import { estimate, type Look } from './estimate.ts'
import { daysSince, keptUntil, tooLarge } from './look-ups.ts'
import { literal, qualified, quoted } from './identifiers.ts'
import { fitsSql } from './line-length.ts'
import { mustBeTrusted } from './owners.ts'
import { removeRows, type Caution, type RemovalTable, type Unflushed } from './removal.ts'
import * as sql from './slice-sql.ts'
import { CopyReader } from './copy-reader.ts'
import { Spool } from './spool.ts'
import { CANONICAL_TEXT, instantSql, recordColumns, rowRecord, type RowRecord } from './stored-rows.ts'
import { cutoffText, timeTypeOf } from './times.ts'

export interface SliceOptions {
  readonly query: Query
  readonly copy: Copy
  readonly look: Look
  readonly schema: string
  readonly timeZone: string
  readonly caution: Caution
  readonly unflushed: Unflushed
}

/**
 * Expired rows in the order of their time, cut by time. Each slice begins where the one before ended, whatever became of its rows: dead rows
 * and rows that stay are never met twice. Where more rows than a slice holds bear one time, that time is cut by place in the heap.
 */
export function expiredRows(options: SliceOptions, column: TimeColumn, cutoff: EpochMs, longestBytes?: number): ExpiredRows {
  let known: Promise<Expired> | undefined
  const expired = (): Promise<Expired> => {
    // A lookup that failed is not remembered: the connection may be back when it is asked again.
    known ??= lookedUp(options, column, cutoff, longestBytes).catch((error: unknown) => {
      known = undefined
      throw error
    })
    return known
  }
  return {
    next: async (size, after) => nextSlice(await expired(), size, after === undefined ? BEGINNING : endOf(after)),
    estimate: async () => {
      const timed = await expired()
      return estimate({ ...options, timed, cutoff: timed.cutoff })
    },
    census: async () => census(await expired()),
    keptUntil: async (until, most) => keptUntil(await expired(), until, most),
    daysSince: async (from, most) => daysSince(await expired(), from, most),
    tooLarge: async (among) => tooLarge(await expired(), among),
  }
}

interface Expired extends RemovalTable {
  readonly query: Query
  readonly copy: Copy
  readonly cutoff: string
  readonly timeZone: string
  /** Looked up when it is first needed, through whatever has the connection at that moment: in a transaction nothing else gets it. */
  readonly record: (query: Query) => Promise<RowRecord>
  /** What a row must be besides, to lie in a slice. */
  readonly fits: string | undefined
}

async function lookedUp(
  { query, copy, schema, timeZone, caution, unflushed }: SliceOptions,
  { table, column }: TimeColumn,
  cutoff: EpochMs,
  longestBytes: number | undefined,
): Promise<Expired> {
  const { rows } = await query.query<{ type: string; may_lock: boolean }>(sql.TIME_COLUMN, [schema, table, column])
  const trusted = await mustBeTrusted(query, schema, [table])
  const title = `${schema}.${table}`
  const type = timeTypeOf(rows[0]?.type ?? '')
  if (rows[0] === undefined || type === undefined || !trusted.has(table)) {
    throw new DatabaseError(
      'failed',
      `Column "${column}" of table ${title} holds no times. No row of it was deleted. Make it a timestamp or timestamptz, or switch its job off.`,
    )
  }
  const timed = { table: qualified(schema, table), title, column: quoted(column), type }
  let known: RowRecord | undefined
  const record = async (asked: Query): Promise<RowRecord> => (known ??= rowRecord(await recordColumns(asked, schema, table)))
  return {
    ...timed,
    query,
    copy,
    caution,
    unflushed,
    timeZone,
    cutoff: cutoffText(cutoff, type, timeZone),
    mayLock: rows[0].may_lock,
    record,
    fits: longestBytes === undefined ? undefined : fitsSql((await record(query)).columns, longestBytes),
  }
}

/** Where the next slice begins. */
type Place = { readonly kind: 'time'; readonly from: string; readonly inclusive: boolean } | Tie

/** In the midst of the rows that bear one time: what is left of them. */
interface Tie {
  readonly kind: 'tie'
  readonly time: string
  readonly stretches: readonly sql.Stretch[]
  /** At most so many rows lie in a stretch. */
  readonly stretchRows: number
}

/** -infinity is no time: it is kept, and counted in the census. */
const BEGINNING: Place = { kind: 'time', from: '-infinity', inclusive: false }

class PostgresSlice implements Slice {
  readonly end: Place
  readonly #expired: Expired
  readonly #condition: sql.Condition
  /** It held at most so many rows when it was chosen. */
  readonly #mostRows: number

  constructor(expired: Expired, condition: sql.Condition, mostRows: number, end: Place) {
    this.#expired = expired
    this.#condition = sql.narrowed(condition, expired.fits)
    this.#mostRows = mostRows
    this.end = end
  }

  async count(tell?: TellDay): Promise<number> {
    if (tell !== undefined) return this.#countByDay(tell)
    return countRows(this.#expired.query, sql.countSql(this.#expired, this.#condition), this.#condition)
  }

  async #countByDay(tell: TellDay): Promise<number> {
    const { query, type, timeZone } = this.#expired
    const zoned = type === 'timestamptz' || timeZone === 'UTC'
    const statement = sql.countByTimeSql(this.#expired, zoned, this.#condition)
    const { rows } = await query.query<{ reading: number; rows: number }>(statement, this.#condition.values)
    const days = new DayCounts(timeZone)
    for (const each of rows) {
      if (zoned) days.addInstant(each.reading, each.rows)
      else days.addReading(each.reading, each.rows)
    }
    return days.tellAll(tell)
  }

  async read(take: (rows: StoredRows) => Promise<void>): Promise<void> {
    const { query, copy, record, column, type, timeZone } = this.#expired
    const { columns, sql: row } = await record(query)
    const reader = new CopyReader(columns, take)
    const text = sql.copySql(this.#expired, this.#condition, [instantSql(`t.${column}`, type, literal(timeZone)), row])
    const spool = new Spool((piece) => reader.read(piece))
    try {
      await copy(CANONICAL_TEXT, text, (piece) => spool.put(piece))
    } finally {
      await spool.emptied()
    }
  }

  async remove(tx: Transaction, gone?: Gone): Promise<Tally> {
    if (gone === undefined) return removeRows(tx, this.#expired, this.#condition, this.#mostRows)
    const { digestSql } = await this.#expired.record(tx)
    return removeRows(tx, this.#expired, this.#condition, this.#mostRows, { sql: digestSql, settings: CANONICAL_TEXT, gone })
  }
}

function endOf(slice: Slice): Place {
  if (slice instanceof PostgresSlice) return slice.end
  throw new TypeError('a slice of another engine')
}

async function nextSlice(expired: Expired, size: number, place: Place): Promise<Slice | undefined> {
  if (place.kind === 'tie')
    return place.stretches.length === 0 ? nextSlice(expired, size, behind(place.time)) : tieSlice(expired, size, place)
  const { first, bound } = await edges(expired, size, place)
  if (first === null) return undefined
  if (first === bound) return nextSlice(expired, size, await tieAt(expired, first, size))
  const to = bound ?? expired.cutoff
  return new PostgresSlice(expired, sql.rangeCondition(expired, expired.cutoff, first, to), size, {
    kind: 'time',
    from: to,
    inclusive: true,
  })
}

function behind(time: string): Place {
  return { kind: 'time', from: time, inclusive: false }
}

interface Edges {
  readonly first: string | null
  readonly bound: string | null
}

async function edges({ query, cutoff, ...timed }: Expired, size: number, from: Place & { kind: 'time' }): Promise<Edges> {
  const { rows } = await query.query<Edges>(sql.edgesSql(timed, from.inclusive), [cutoff, from.from, size])
  return rows[0] ?? { first: null, bound: null }
}

/** Shorter stretches would make a long list of a large tie. */
const LEAST_STRETCH_ROWS = 500
const HEAP_START = '(0,0)'

async function tieAt({ query, ...timed }: Expired, time: string, size: number): Promise<Tie> {
  const stretchRows = Math.max(size, LEAST_STRETCH_ROWS)
  const { rows } = await query.query<{ relation: number; to: string }>(sql.stretchesSql(timed), [time, stretchRows])
  const stretches = rows.map(({ relation, to }, index) => {
    const before = rows[index - 1]
    return { relation, from: before?.relation === relation ? before.to : HEAP_START, to }
  })
  return { kind: 'tie', time, stretches, stretchRows }
}

async function tieSlice(expired: Expired, size: number, tie: Tie): Promise<Slice> {
  const [stretch, ...others] = tie.stretches
  if (stretch === undefined) throw new RangeError('a tie without rows')
  const condition = sql.tieCondition(expired, expired.cutoff, tie.time, stretch)
  const whole = new PostgresSlice(expired, condition, tie.stretchRows, { ...tie, stretches: others })
  if (size >= tie.stretchRows) return whole
  const { rows } = await expired.query.query<{ place: string }>(sql.placeSql(expired, condition), [...condition.values, size - 1])
  const to = rows[0]?.place
  if (to === undefined || to === stretch.to) return new PostgresSlice(expired, condition, size, whole.end)
  const rest = [{ ...stretch, from: to }, ...others]
  return new PostgresSlice(expired, sql.tieCondition(expired, expired.cutoff, tie.time, { ...stretch, to }), size, {
    ...tie,
    stretches: rest,
  })
}

async function census({ query, ...timed }: Expired): Promise<Census> {
  const undated = await countRows(query, sql.undatedSql(timed))
  const unreadable = await countRows(query, sql.minusInfinitySql(timed))
  return { undated, unreadable, shapes: unreadable > 0 ? ['-infinity'] : [] }
}

async function countRows(query: Query, text: string, condition?: sql.Condition): Promise<number> {
  const { rows } = await query.query<{ rows: number }>(text, condition?.values)
  return rows[0]?.rows ?? 0
}
