import { edgesOf, type Expired, type TimeBound } from './edges.ts'
import * as sql from './slice-sql.ts'
import { unspared } from './spared-sql.ts'

/** Makes the slices of a walk: those of a plain purge count and delete, those of an export also read. */
export interface SliceKind<S> {
  /** An extra condition on a row of the alias `t`, without values; `undefined`: none. */
  readonly fits: string | undefined
  slice(expired: Expired, condition: sql.Condition, mostRows: number, end: Place): S
}

export interface Walk<S> {
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
  /** The most rows that a range has, other than the last one of a heap. */
  readonly rangeRows: number
}

/** -infinity is not a time: such rows are kept, and counted in the census. */
export const BEGINNING: Place = { kind: 'time', from: '-infinity', inclusive: false }

/**
 * The expired rows in order of time, divided by time. Each slice begins where the previous one ended, whether or not its rows were deleted, so dead
 * rows and rows that stay are never visited twice. If more rows than fit into a slice have the same time, they are divided by their place in the heap
 * (ctid). No slice goes beyond `end`.
 */
export async function nextSlice<S>(walk: Walk<S>, size: number, place: Place, end?: Place): Promise<S | undefined> {
  const { expired } = walk
  if (place.kind === 'equal-times') return equalTimesSlice(walk, size, place, end)
  const until = end === undefined ? undefined : boundOf(end)
  const { first, bound, last } = await edgesOf(expired, size, place, until)
  if (first === null) return undefined
  // The text of the end, by which `equalTimesSlice` recognises it.
  if (until !== undefined && last === true) return nextSlice(walk, size, await equalTimesAt(expired, until.time, size), end)
  if (first === bound) return nextSlice(walk, size, await equalTimesAt(expired, first, size), end)
  const to = bound ?? until?.time ?? expired.cutoff
  return sliceOf(walk, sql.rangeCondition(expired, expired.cutoff, first, to), size, { kind: 'time', from: to, inclusive: true })
}

function boundOf(end: Place): TimeBound {
  if (end.kind === 'equal-times') return { time: end.time, end: 'with' }
  return { time: end.from, end: end.inclusive ? 'before' : 'with' }
}

/** Shorter ranges would make the list of ranges too long. */
const LEAST_RANGE_ROWS = 500
const HEAP_START = '(0,0)'
const HEAP_END = '(4294967294,65535)'

async function equalTimesAt({ query, spared, ...timed }: Expired, time: string, size: number): Promise<EqualTimes> {
  const rangeRows = Math.max(size, LEAST_RANGE_ROWS)
  const also = unspared({ sql: '', values: [time, rangeRows] }, spared)
  const { rows } = await query.query<{ relation: number; to: string }>(sql.heapRangesSql(timed, also.sql), also.values)
  const ranges = rows.map(({ relation, to }, index) => {
    const [before, after] = [rows[index - 1], rows[index + 1]]
    // Rows may yet be added behind the last one.
    return { relation, from: before?.relation === relation ? before.to : HEAP_START, to: after?.relation === relation ? to : HEAP_END }
  })
  return { kind: 'equal-times', time, ranges, rangeRows }
}

async function equalTimesSlice<S>(walk: Walk<S>, size: number, at: EqualTimes, end: Place | undefined): Promise<S | undefined> {
  const { expired } = walk
  const [range, ...others] = at.ranges
  if (range === undefined) return nextSlice(walk, size, { kind: 'time', from: at.time, inclusive: false }, end)
  const most = end?.kind === 'equal-times' && end.time === at.time ? upTo(range, end) : range
  if (most === undefined) return undefined
  const sliceTo = (to: string, mostRows: number): S =>
    sliceOf(walk, sql.equalTimesCondition(expired, expired.cutoff, at.time, { ...range, to }), mostRows, {
      ...at,
      ranges: to === range.to ? others : [{ ...range, from: to }, ...others],
    })
  if (size >= at.rangeRows && most.to !== HEAP_END) return sliceTo(most.to, at.rangeRows)
  const condition = unspared(sql.equalTimesCondition(expired, expired.cutoff, at.time, most), expired.spared)
  const { rows } = await expired.query.query<{ place: string }>(sql.placeSql(expired, condition), [...condition.values, size - 1])
  const [last, more] = rows
  return sliceTo(last === undefined || more === undefined ? most.to : last.place, size)
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

function sliceOf<S>({ expired, kind }: Walk<S>, condition: sql.Condition, mostRows: number, end: Place): S {
  return kind.slice(expired, sql.narrowed(condition, kind.fits), mostRows, end)
}
