import type { EpochMs } from '../../../time/clock.ts'
import { DayCounts } from '../../../time/day-counts.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Census, Estimate, ExpiredRows, Slice, Tally, TimeColumn } from '../../purging.ts'
import type { Query, Transaction } from '../../query.ts'
import { qualified, quoted } from '../identifiers.ts'
import { mustBeTrusted } from '../owners.ts'
import { cutoffText, timeTypeOf } from '../times.ts'
import { estimate, type Look } from './estimate.ts'
import { daysSince, keptUntil } from './look-ups.ts'
import { removeRows, type LockBackoff, type RemovalTable, type Unflushed } from './removal.ts'
import * as sql from './slice-sql.ts'

export interface SliceOptions {
  readonly query: Query
  readonly look: Look
  readonly schema: string
  readonly timeZone: string
  readonly lockBackoff: LockBackoff
  readonly unflushed: Unflushed
}

/** The table, column and cutoff that are walked. */
export interface Expired extends RemovalTable {
  readonly query: Query
  readonly cutoff: string
  readonly timeZone: string
}

/** Makes the slices of a walk: those of a plain purge count and delete, those of an export also read. */
export interface SliceKind<S extends PostgresSlice> {
  /** An extra condition on a row of the alias `t`, without values; `undefined`: none. */
  readonly fits: string | undefined
  slice(expired: Expired, condition: sql.Condition, mostRows: number, end: Place): S
}

/**
 * Expired rows in order of time, divided by time. Each slice begins where the previous one ended, whether or not its rows were deleted, so dead rows and
 * rows that stay are never visited twice. If more rows than fit into a slice have the same time, they are divided by their place in the heap (ctid).
 */
export class PostgresExpiredRows<S extends PostgresSlice = PostgresSlice> implements ExpiredRows {
  readonly #options: SliceOptions
  readonly #column: TimeColumn
  readonly #cutoff: EpochMs
  readonly #kindOf: (expired: Expired) => Promise<SliceKind<S>>
  #known: Promise<Walk<S>> | undefined

  constructor(options: SliceOptions, column: TimeColumn, cutoff: EpochMs, kindOf: (expired: Expired) => Promise<SliceKind<S>>) {
    this.#options = options
    this.#column = column
    this.#cutoff = cutoff
    this.#kindOf = kindOf
  }

  /** `until`: see `ExportedRows`. */
  async next(size: number, after: Slice | undefined, until?: Slice): Promise<S | undefined> {
    const end = until === undefined ? undefined : endOf(until)
    return nextSlice(await this.walk(), size, after === undefined ? BEGINNING : endOf(after), end)
  }

  async estimate(): Promise<Estimate> {
    const { expired } = await this.walk()
    return estimate({ ...this.#options, timed: expired, cutoff: expired.cutoff })
  }

  async census(): Promise<Census> {
    return census((await this.walk()).expired)
  }

  async keptUntil(until: EpochMs, most: number): Promise<number> {
    return keptUntil((await this.walk()).expired, until, most)
  }

  async daysSince(from: EpochMs, most: number): Promise<number> {
    return daysSince((await this.walk()).expired, from, most)
  }

  protected walk(): Promise<Walk<S>> {
    // A failed look-up is not cached: the next call may have a connection again.
    this.#known ??= this.#lookedUp().catch((error: unknown) => {
      this.#known = undefined
      throw error
    })
    return this.#known
  }

  async #lookedUp(): Promise<Walk<S>> {
    const { query, schema, timeZone, lockBackoff, unflushed } = this.#options
    const { table, column } = this.#column
    const { rows } = await query.query<{ type: string; may_lock: boolean }>(sql.TIME_COLUMN, [schema, table, column])
    const trusted = await mustBeTrusted(query, schema, [table])
    const title = `${schema}.${table}`
    const type = timeTypeOf(rows[0]?.type ?? '')
    if (rows[0] === undefined || type === undefined || !trusted.has(table)) {
      throw new DatabaseError(
        'failed',
        `Column "${column}" of table ${title} is neither timestamp nor timestamptz. No row of the table was deleted. Change its type, or disable the job.`,
      )
    }
    const expired: Expired = {
      table: qualified(schema, table),
      title,
      column: quoted(column),
      type,
      query,
      lockBackoff,
      unflushed,
      timeZone,
      cutoff: cutoffText(this.#cutoff, type, timeZone),
      mayLock: rows[0].may_lock,
    }
    return { expired, kind: await this.#kindOf(expired) }
  }
}

/** For a purge without an archive. */
export function expiredRows(options: SliceOptions, column: TimeColumn, cutoff: EpochMs): ExpiredRows {
  return new PostgresExpiredRows(options, column, cutoff, async () => PLAIN)
}

interface Walk<S extends PostgresSlice> {
  readonly expired: Expired
  readonly kind: SliceKind<S>
}

/** Where the next slice begins. */
export type Place = { readonly kind: 'time'; readonly from: string; readonly inclusive: boolean } | EqualTimes

/** A position among rows of the same time: the ranges of the heap that are left. */
interface EqualTimes {
  readonly kind: 'equal-times'
  readonly time: string
  readonly ranges: readonly sql.HeapRange[]
  /** The most rows that a range has. */
  readonly rangeRows: number
}

/** -infinity is not a time: such rows are kept, and counted in the census. */
const BEGINNING: Place = { kind: 'time', from: '-infinity', inclusive: false }

export class PostgresSlice implements Slice {
  readonly end: Place
  protected readonly expired: Expired
  protected readonly condition: sql.Condition
  /** The most rows it can have had when it was chosen. */
  protected readonly mostRows: number

  constructor(expired: Expired, condition: sql.Condition, mostRows: number, end: Place) {
    this.expired = expired
    this.condition = condition
    this.mostRows = mostRows
    this.end = end
  }

  count(): Promise<number> {
    return countRows(this.expired.query, sql.countSql(this.expired, this.condition), this.condition)
  }

  async countByDay(): Promise<ReadonlyMap<EpochMs, number>> {
    const { query, type, timeZone } = this.expired
    const zoned = type === 'timestamptz' || timeZone === 'UTC'
    const statement = sql.countByTimeSql(this.expired, zoned, this.condition)
    const { rows } = await query.query<{ reading: number; rows: number }>(statement, this.condition.values)
    const days = new DayCounts(timeZone)
    for (const each of rows) {
      if (zoned) days.addInstant(each.reading, each.rows)
      else days.addReading(each.reading, each.rows)
    }
    return days.days
  }

  async remove(tx: Transaction): Promise<Tally> {
    const { affected, locked } = await removeRows(tx, this.expired, this.condition, this.mostRows)
    return { affected, locked }
  }
}

const PLAIN: SliceKind<PostgresSlice> = {
  fits: undefined,
  slice: (...parts) => new PostgresSlice(...parts),
}

function sliceOf<S extends PostgresSlice>({ expired, kind }: Walk<S>, condition: sql.Condition, mostRows: number, end: Place): S {
  return kind.slice(expired, sql.narrowed(condition, kind.fits), mostRows, end)
}

function endOf(slice: Slice): Place {
  if (slice instanceof PostgresSlice) return slice.end
  throw new TypeError('a slice of another engine')
}

async function nextSlice<S extends PostgresSlice>(walk: Walk<S>, size: number, place: Place, end?: Place): Promise<S | undefined> {
  const { expired } = walk
  if (place.kind === 'equal-times')
    return place.ranges.length === 0 ? nextSlice(walk, size, afterTime(place.time), end) : equalTimesSlice(walk, size, place, end)
  const until = end === undefined ? undefined : boundOf(end)
  const { first, bound, last } = await edges(expired, size, place, until)
  if (first === null) return undefined
  if (first === bound || last) return nextSlice(walk, size, await equalTimesAt(expired, last && until ? until.time : first, size), end)
  const to = bound ?? until?.time ?? expired.cutoff
  return sliceOf(walk, sql.rangeCondition(expired, expired.cutoff, first, to), size, {
    kind: 'time',
    from: to,
    inclusive: true,
  })
}

function afterTime(time: string): Place {
  return { kind: 'time', from: time, inclusive: false }
}

interface Edges {
  readonly first: string | null
  readonly bound: string | null
  /** Whether `first` is the last time that may be read: some of its rows may lie beyond the end. */
  readonly last: boolean | null
}

/** The last time that may be read (`with`), or the first that may not (`before`). */
interface TimeBound {
  readonly time: string
  readonly end: 'before' | 'with'
}

function boundOf(end: Place): TimeBound {
  if (end.kind === 'equal-times') return { time: end.time, end: 'with' }
  return { time: end.from, end: end.inclusive ? 'before' : 'with' }
}

async function edges(
  { query, cutoff, ...timed }: Expired,
  size: number,
  from: Place & { kind: 'time' },
  until: TimeBound | undefined,
): Promise<Edges> {
  const values = [cutoff, from.from, size, ...(until === undefined ? [] : [until.time])]
  const { rows } = await query.query<Edges>(sql.edgesSql(timed, from.inclusive, until?.end), values)
  return rows[0] ?? { first: null, bound: null, last: null }
}

/** Shorter ranges would make the list of ranges too long. */
const LEAST_RANGE_ROWS = 500
const HEAP_START = '(0,0)'

async function equalTimesAt({ query, ...timed }: Expired, time: string, size: number): Promise<EqualTimes> {
  const rangeRows = Math.max(size, LEAST_RANGE_ROWS)
  const { rows } = await query.query<{ relation: number; to: string }>(sql.heapRangesSql(timed), [time, rangeRows])
  const ranges = rows.map(({ relation, to }, index) => {
    const before = rows[index - 1]
    return { relation, from: before?.relation === relation ? before.to : HEAP_START, to }
  })
  return { kind: 'equal-times', time, ranges, rangeRows }
}

async function equalTimesSlice<S extends PostgresSlice>(
  walk: Walk<S>,
  size: number,
  at: EqualTimes,
  end: Place | undefined,
): Promise<S | undefined> {
  const { expired } = walk
  const [range, ...others] = at.ranges
  if (range === undefined) throw new RangeError('no range of the heap is left')
  const most = end?.kind === 'equal-times' && end.time === at.time ? upTo(range, end) : range
  if (most === undefined) return undefined
  const sliceTo = (to: string, mostRows: number): S =>
    sliceOf(walk, sql.equalTimesCondition(expired, expired.cutoff, at.time, { ...range, to }), mostRows, {
      ...at,
      ranges: to === range.to ? others : [{ ...range, from: to }, ...others],
    })
  if (size >= at.rangeRows) return sliceTo(most.to, at.rangeRows)
  const condition = sql.equalTimesCondition(expired, expired.cutoff, at.time, most)
  const { rows } = await expired.query.query<{ place: string }>(sql.placeSql(expired, condition), [...condition.values, size - 1])
  return sliceTo(rows[0]?.place ?? most.to, size)
}

/** The part of a range that lies before this end; `undefined`: none of it does. */
function upTo(range: sql.HeapRange, { ranges: [left] }: EqualTimes): sql.HeapRange | undefined {
  if (left === undefined || left.relation > range.relation) return range
  if (left.relation < range.relation || !isBefore(range.from, left.from)) return undefined
  return isBefore(left.from, range.to) ? { ...range, to: left.from } : range
}

/** Compares two places of one heap, written `(block,line)`. */
function isBefore(a: string, b: string): boolean {
  const [[blockA, lineA], [blockB, lineB]] = [a, b].map((place) => place.slice(1, -1).split(',').map(Number)) as [number[], number[]]
  return blockA === blockB ? lineA! < lineB! : blockA! < blockB!
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
