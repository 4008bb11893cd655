import type { EpochMs } from '../../../time/clock.ts'
import type { Connection, TimeRow } from '../connection/connection.ts'
import { listed } from '../listed.ts'
import type { StoredTime } from '../times.ts'
import { rangesFor, type Range, type Ranges } from './index-ranges.ts'
import type { Judge } from './judge.ts'
import type { Layout } from './layout.ts'
import { removalOf, type Removal } from './removal.ts'
import { EDGE, NOT_SPARED, statementsFor, type Statements } from './walk-statements.ts'

/** After a row of one of the walk's ranges or, if `row` is undefined, at the beginning of the range. */
export interface Position {
  readonly range: number
  readonly row: TimeRow | undefined
}

export const START: Position = { range: 0, row: undefined }

export interface Chunk {
  readonly rows: readonly TimeRow[]
  /** After the last of them. */
  readonly end: Position
  /** How many rows were looked at, if some were passed over. */
  readonly looked?: number
}

/** The paths through a table by its time column, all of them forwards. */
export interface Walk {
  /** Says of the rows of `expired` and of `reread` which may go. */
  readonly judge: Judge
  /** These read no more of a row than its time. */
  readonly statements: Statements
  readonly removal: Removal
  /** Without an index, the path to expired rows leads through the whole table. */
  readonly indexed: boolean
  /** Whether the column can hold numbers. */
  readonly numbers: boolean
  /** Covers every expired row. */
  readonly expired: Path
  /** The same without passing over any row: spared ones come with what spares them. */
  readonly spared: Path
  /** Covers the expired rows with this time or a later one; rows before it may be among them. */
  expiredSince(time: EpochMs): Path
  /** These rows as they are now, as far as they exist. */
  reread(connection: Connection, rowids: readonly (number | bigint)[]): readonly TimeRow[]
  /** Covers only values that cannot be times of 2000 to 2100. */
  readonly strange: Path
  /** Covers text that must be kept. */
  readonly kept: Path
}

export interface Path {
  /** At most `size` rows after `from`, all in one range, none after `until`; `undefined`: the path has ended, or `until` is reached. */
  read(connection: Connection, from: Position, size: number, until?: Position): Chunk | undefined
  /** How many rows it has, counted up to `most` in each range. */
  atMost(connection: Connection, most: number): number
  /** The last row of one of its ranges; `undefined`: the range is empty, or only a scan would find it. */
  last(connection: Connection, range: number): TimeRow | undefined
}

export function walkOf(connection: Connection, layout: Layout, judge: Judge): Walk {
  const { cutoff, sparing } = judge
  const rangesSince = (since?: EpochMs): Ranges => rangesFor(cutoff.instant, layout.numbers, since)
  const { expired, strange, kept } = rangesSince()
  const statements = statementsFor(layout)
  const judged = sparing.size === 0 ? statements : statementsFor(layout, sparing)
  const notSpared = sparing.size === 0 ? undefined : statementsFor(layout, sparing, NOT_SPARED)
  const through = (ranges: readonly Range[]): Path =>
    notSpared === undefined
      ? pathThrough(statements, ranges)
      : pathPastSpared(pathThrough(notSpared, ranges), statementsFor(layout, undefined, EDGE), ranges, sparing.size)
  const walk = {
    judge,
    statements,
    removal: removalOf(connection, layout, expired, sparing),
    indexed: layout.index !== undefined,
    numbers: layout.numbers,
    reread: (at, rowids) => at.timeRows(judged.reread, judged.bound([listed(rowids)])),
  } satisfies Partial<Walk>
  if (layout.index === undefined) {
    const [everywhere, nowhere] = [pathByNumber(judged), pathThrough(statements, [])]
    return { ...walk, expired: everywhere, spared: everywhere, expiredSince: () => everywhere, strange: nowhere, kept: nowhere }
  }
  return {
    ...walk,
    expired: through(expired),
    spared: pathThrough(judged, expired),
    expiredSince: (time) => through(rangesSince(time).expired),
    strange: pathThrough(statements, strange),
    kept: pathThrough(statements, kept),
  }
}

export function pathThrough(statements: Statements, ranges: readonly Range[]): Path {
  return {
    read: (connection, from, size, until) => {
      const range = ranges[from.range]
      if (range === undefined || (until !== undefined && isReached(from, until))) return undefined
      if (until?.row === undefined || until.range > from.range)
        return chunkOf(inRange(connection, statements, range, from.row, size), from, size)
      return chunkOf(inRangeUntil(connection, statements, range, from.row, until.row, size), from, size, until)
    },
    atMost: (connection, most) => {
      let rows = 0
      for (const range of ranges) rows += connection.figure(statements.bounded(range), [...boundsOf(range), most])
      return rows
    },
    last: (connection, at) => {
      const range = ranges[at]
      return range === undefined ? undefined : connection.timeRows(statements.last(range), [...boundsOf(range)])[0]
    },
  }
}

/** For a table without an index on the time, and for rows whatever their time is. */
export function pathByNumber(statements: Statements): Path {
  return {
    read: (connection, from, size, until) => {
      if (from.range > 0 || (until !== undefined && isReached(from, until))) return undefined
      const after = from.row?.[1] ?? -Infinity
      const read = reading(connection, statements)
      if (until?.row === undefined) return chunkOf(read(statements.walk, [after, size]), from, size)
      return chunkOf(read(statements.walkUntil, [after, size, until.row[1]]), from, size, until)
    },
    atMost: (connection, most) => connection.figure(statements.size, [most]),
    last: () => undefined,
  }
}

/** Rows that one statement may pass over: some milliseconds, in which nothing else is done here. */
const MOST_PASSED = 10_000

/**
 * The rows of a path that leaves out the spared ones of a long stretch. Where the stretch ends is looked up in the index first: otherwise a single statement would
 * go through all that is held.
 */
function pathPastSpared(path: Path, edges: Statements, ranges: readonly Range[], groups: number): Path {
  const most = Math.max(1_000, Math.floor(MOST_PASSED / groups))
  return {
    ...path,
    read: (connection, from, size, until) => {
      const range = ranges[from.range]
      if (range === undefined || (until !== undefined && isReached(from, until))) return undefined
      const last = until?.range === from.range ? until : undefined
      const row = edgeOf(connection, edges, range, from.row, last?.row, most)
      if (row === undefined) return path.read(connection, from, size, last)
      const chunk = path.read(connection, from, size, { range: from.range, row })
      return chunk === undefined ? undefined : { ...chunk, looked: most }
    },
  }
}

/** `until`: where what was read ends, if it was not to the end of the range. */
function chunkOf(
  rows: readonly TimeRow[],
  from: Position,
  size: number,
  until: Position = { range: from.range + 1, row: undefined },
): Chunk {
  const row = rows.at(-1)
  return { rows, end: rows.length < size || row === undefined ? until : { range: from.range, row } }
}

/** As far as it can be told without looking; a chunk without rows ends where it was to end. */
function isReached(from: Position, until: Position): boolean {
  return from === until || from.range > until.range || (from.range === until.range && until.row === undefined)
}

export function boundsOf(range: Range): [from: string | number | bigint | null, below: string | number | bigint | null] {
  return range.kind === 'blob' ? [null, null] : [range.from, range.below ?? null]
}

function reading(connection: Connection, statements: Statements): (sql: string, own: readonly StoredTime[]) => TimeRow[] {
  return (sql, own) => connection.timeRows(sql, statements.bound(own))
}

/** Reads the remaining rows with the last row's time first, then later ones, so that many rows with the same time cost no more than others. */
function inRange(connection: Connection, statements: Statements, range: Range, last: TimeRow | undefined, size: number): TimeRow[] {
  const [from, below] = boundsOf(range)
  const read = reading(connection, statements)
  if (last === undefined) return read(statements.first(range), [from, below, size])
  const time = bindable(connection, statements, last)
  const rows = read(statements.sameTime(range), [time, last[1], size])
  if (rows.length === size) return rows
  return [...rows, ...read(statements.after(range), [time, below, size - rows.length])]
}

/** The same up to and including the row `until`, which may have been deleted. */
function inRangeUntil(
  connection: Connection,
  statements: Statements,
  range: Range,
  last: TimeRow | undefined,
  [time, rowid]: TimeRow,
  size: number,
): TimeRow[] {
  const [from, below] = boundsOf(range)
  const read = reading(connection, statements)
  let rows: TimeRow[]
  if (last === undefined) rows = read(statements.firstUntil(range), [from, below, size, time])
  else {
    const after = bindable(connection, statements, last)
    const order = connection.figure(statements.order(range), [after, time])
    if (order > 0) return []
    if (order === 0) return read(statements.sameTimeUntil(range), [time, last[1], size, rowid])
    rows = read(statements.sameTime(range), [after, last[1], size])
    if (rows.length < size) rows = [...rows, ...read(statements.afterUntil(range), [after, below, size - rows.length, time])]
  }
  if (rows.length === size) return rows
  return [...rows, ...read(statements.sameTimeUntil(range), [time, statements.beforeAll, size - rows.length, rowid])]
}

/** The row so many rows behind another one, or up to three times as many; `undefined`: the range, or what is read up to the row `until`, ends before. */
export function edgeOf(
  connection: Connection,
  edges: Statements,
  range: Range,
  last: TimeRow | undefined,
  until: TimeRow | undefined,
  rows: number,
): TimeRow | undefined {
  const [from, below] = boundsOf(range)
  const at = (sql: string, ...own: readonly StoredTime[]): TimeRow | undefined => connection.timeRows(sql, own)[0]
  const time = last === undefined ? undefined : bindable(connection, edges, last)
  const offset = rows - 1
  const same = last === undefined ? undefined : at(edges.sameTime(range), time!, last[1], offset)
  if (until === undefined)
    return same ?? (time === undefined ? at(edges.first(range), from, below, offset) : at(edges.after(range), time, below, offset))
  const [end, rowid] = until
  const order = time === undefined ? -1 : connection.figure(edges.order(range), [time, end])
  if (order > 0) return undefined
  if (order === 0) return at(edges.sameTimeUntil(range), end, last![1], offset, rowid)
  return (
    same ??
    (time === undefined ? at(edges.firstUntil(range), from, below, offset, end) : at(edges.afterUntil(range), time, below, offset, end)) ??
    at(edges.sameTimeUntil(range), end, edges.beforeAll, offset, rowid)
  )
}

/** The driver returns invalid UTF-8 as U+FFFD, which sorts differently: such a text is bound as its original bytes. */
function bindable(connection: Connection, statements: Statements, [value, rowid]: TimeRow): StoredTime {
  if (typeof value !== 'string' || !value.includes('\u{FFFD}')) return value
  return connection.run<{ bytes: Uint8Array }>(statements.bytes, [rowid]).rows[0]?.bytes ?? value
}
