import type { EpochMs } from '../../../time/clock.ts'
import type { Connection, TimeRow } from '../connection/connection.ts'
import type { StoredTime } from '../times.ts'
import { rangesFor, type Range } from './index-ranges.ts'
import type { Layout } from './layout.ts'
import { removalOf, type Removal } from './removal.ts'
import { statementsFor, type Statements } from './walk-statements.ts'

/** Behind a row of one of the walk's ranges, or, with `row` undefined, where the range begins. */
export interface Position {
  readonly range: number
  readonly row: TimeRow | undefined
}

export const START: Position = { range: 0, row: undefined }

export interface Chunk {
  readonly rows: readonly TimeRow[]
  /** Behind the last of them. */
  readonly end: Position
}

/** The ways through a table by its time column, forwards only. */
export interface Walk {
  readonly statements: Statements
  readonly removal: Removal
  /** Without an index the way to expired rows is through the whole table. */
  readonly indexed: boolean
  /** Whether the column can hold numbers. */
  readonly numbers: boolean
  /** Where every expired row lies. */
  readonly expired: Path
  /** Where nothing but what cannot be read should lie. */
  readonly strange: Path
  /** Where rows still to be kept lie. */
  readonly kept: Path
}

export interface Path {
  /** At most `size` rows behind `from`, all of one range; `undefined`: the path has ended. */
  read(connection: Connection, from: Position, size: number): Chunk | undefined
  /** How many rows it has, counted no further than `most` in each range. */
  atMost(connection: Connection, most: number): number
  /** The last row of one of its ranges; `undefined`: it is empty, or finding it would be a walk. */
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

/** For want of an index. */
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

/** First what is left of the rows with the last row's time, so that any number of rows of one time costs no more than others. */
function inRange(connection: Connection, statements: Statements, range: Range, behind: TimeRow | undefined, size: number): TimeRow[] {
  const [from, below] = boundsOf(range)
  if (behind === undefined) return connection.timeRows(statements.first(range), [from, below, size])
  const time = bindable(connection, statements, behind)
  const rows = connection.timeRows(statements.ties(range), [time, behind[1], size])
  if (rows.length === size) return rows
  return [...rows, ...connection.timeRows(statements.behind(range), [time, below, size - rows.length])]
}

/** Bytes that are no UTF-8 come back as U+FFFD, which sorts elsewhere: such a text is bound as the bytes that it is. */
function bindable(connection: Connection, statements: Statements, [value, rowid]: TimeRow): StoredTime {
  if (typeof value !== 'string' || !value.includes('\u{FFFD}')) return value
  return connection.run<{ bytes: Uint8Array }>(statements.bytes, [rowid]).rows[0]?.bytes ?? value
}
