import type { Connection } from '../connection/connection.ts'
import type { Range } from './index-ranges.ts'
import type { Position } from './walk.ts'
import type { Statements } from './walk-statements.ts'

/** After every row of every path. */
export const END: Position = { range: Infinity, row: undefined }

interface Stretch {
  readonly from: Position
  to: Position
}

/** Parts of a path in which a walk finds no row. */
export class Stretches {
  readonly #all: Stretch[] = []
  readonly #ranges: readonly Range[]
  readonly #statements: Statements

  /** `ranges`: those of the path; none: its rows come by their numbers. */
  constructor(ranges: readonly Range[], statements: Statements) {
    this.#ranges = ranges
    this.#statements = statements
  }

  /** Call in the order of the path. */
  add(from: Position, to: Position): void {
    const last = this.#all.at(-1)
    if (last?.to === from) last.to = to
    else this.#all.push({ from, to })
  }

  /** The end of the stretch that begins here or in which this position is; otherwise the position itself. */
  past(connection: Connection, at: Position): Position {
    // To SQLite, this text is not the one that was read.
    if (isInexact(at)) return at
    let [begun, behind] = [0, this.#all.length]
    while (begun < behind) {
      const middle = (begun + behind) >> 1
      if (this.#order(connection, this.#all[middle]!.from, at) <= 0) begun = middle + 1
      else behind = middle
    }
    const stretch = this.#all[begun - 1]
    return stretch !== undefined && this.#order(connection, at, stretch.to) < 0 ? stretch.to : at
  }

  #order(connection: Connection, one: Position, other: Position): number {
    if (one === other) return 0
    if (one.range !== other.range) return one.range - other.range
    if (one.row === undefined || other.row === undefined) return Number(one.row !== undefined) - Number(other.row !== undefined)
    const [[time, rowid], [otherTime, otherRowid]] = [one.row, other.row]
    const range = this.#ranges[one.range]
    const times = range === undefined || time === otherTime ? 0 : connection.figure(this.#statements.order(range), [time, otherTime])
    if (times !== 0 || rowid === otherRowid) return times
    return rowid > otherRowid === this.#statements.beforeAll < 0 ? 1 : -1
  }
}

/** Whether the driver may have replaced bytes of the text. */
export function isInexact({ row }: Position): boolean {
  return typeof row?.[0] === 'string' && row[0].includes('\u{FFFD}')
}
