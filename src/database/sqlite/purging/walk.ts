import type { EpochMs } from '../../../time/clock.ts'
import type { Connection, TimeRow } from '../connection/connection.ts'
import type { StoredTime } from '../times.ts'
import { rangesFor, type Range } from './index-ranges.ts'
import type { Layout } from './layout.ts'
import { removalOf, type Removal } from './removal.ts'
import { statementsFor, type Statements } from './walk-statements.ts'

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
}

/** The paths through a table by its time column, all of them forwards. */
export interface Walk {
  readonly statements: Statements
  readonly removal: Removal
  /** Without an index, the path to expired rows leads through the whole table. */
  readonly indexed: boolean
  /** Whether the column can hold numbers. */
  readonly numbers: boolean
  /** Covers every expired row. */
  readonly expired: Path
  /** Covers only values that cannot be times of 2000 to 2100. */
  readonly strange: Path
  /** Covers text that must be kept. */
  readonly kept: Path
}

export interface Path {
  /** At most `size` rows after `from`, all in one range; `undefined`: the path has ended. */
  read(connection: Connection, from: Position, size: number): Chunk | undefined
  /** How many rows it has, counted up to `most` in each range. */
  atMost(connection: Connection, most: number): number
  /** The last row of one of its ranges; `undefined`: the range is empty, or only a scan would find it. */
  last(connection: Connection, range: number): TimeRow | undefined
}

export function walkOf(connection: Connection, layout: Layout, cutoff: EpochMs): Walk {
  const { expired, strange, kept } = rangesFor(cutoff, layout.numbers)
  const statements = statementsFor(layout)
  const removal = removalOf(connection, layout, expired)
  if (layout.index === undefined) {
    const nowhere = pathThrough(statements, [])
    return {
      statements,
      removal,
      indexed: false,
      numbers: layout.numbers,
      expired: pathByNumber(statements),
      strange: nowhere,
      kept: nowhere,
    }
  }
  const [through, around, beyond] = [expired, strange, kept].map((ranges) => pathThrough(statements, ranges))
  return { statements, removal, indexed: true, numbers: layout.numbers, expired: through!, strange: around!, kept: beyond! }
}

function pathThrough(statements: Statements, ranges: readonly Range[]): Path {
  return {
    read: (connection, from, size) => {
      const range = ranges[from.range]
      return range === undefined ? undefined : chunkOf(inRange(connection, statements, range, from.row, size), from, size)
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

/** For a table without an index on the time. */
function pathByNumber(statements: Statements): Path {
  return {
    read: (connection, from, size) =>
      from.range > 0 ? undefined : chunkOf(connection.timeRows(statements.walk, [from.row?.[1] ?? -Infinity, size]), from, size),
    atMost: (connection, most) => connection.figure(statements.size, [most]),
    last: () => undefined,
  }
}

function chunkOf(rows: readonly TimeRow[], from: Position, size: number): Chunk {
  const row = rows.at(-1)
  return { rows, end: rows.length < size || row === undefined ? { range: from.range + 1, row: undefined } : { range: from.range, row } }
}

function boundsOf(range: Range): [from: string | number | bigint | null, below: string | number | bigint | null] {
  return range.kind === 'blob' ? [null, null] : [range.from, range.below ?? null]
}

/** Reads the remaining rows with the last row's time first, then later ones, so that many rows with the same time cost no more than others. */
function inRange(connection: Connection, statements: Statements, range: Range, last: TimeRow | undefined, size: number): TimeRow[] {
  const [from, below] = boundsOf(range)
  if (last === undefined) return connection.timeRows(statements.first(range), [from, below, size])
  const time = bindable(connection, statements, last)
  const rows = connection.timeRows(statements.sameTime(range), [time, last[1], size])
  if (rows.length === size) return rows
  return [...rows, ...connection.timeRows(statements.after(range), [time, below, size - rows.length])]
}

/** The driver returns invalid UTF-8 as U+FFFD, which sorts differently: such a text is bound as its original bytes. */
function bindable(connection: Connection, statements: Statements, [value, rowid]: TimeRow): StoredTime {
  if (typeof value !== 'string' || !value.includes('\u{FFFD}')) return value
  return connection.run<{ bytes: Uint8Array }>(statements.bytes, [rowid]).rows[0]?.bytes ?? value
}
