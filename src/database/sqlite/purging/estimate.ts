import { setImmediate as turn } from 'node:timers/promises'
import type { EpochMs } from '../../../time/clock.ts'
import { instantsIn } from '../../../time/zones.ts'
import type { Estimate } from '../../purging.ts'
import type { TimeRow } from '../connection/connection.ts'
import type { SqliteSession } from '../connection/session.ts'
import { readTime, type Cutoff } from '../times.ts'
import { START, type Position, type Walk } from './walk.ts'

/** Reading and judging this many takes about a tenth of a second. */
const MOST_READ = 100_000
const MOST_MS = 250
/** Rows read before the event loop gets a turn: a few milliseconds. */
const STEP_ROWS = 2_000

export interface EstimateOptions {
  readonly session: SqliteSession
  readonly walk: Walk
  readonly cutoff: Cutoff
  readonly timeZone: string
}

/**
 * Counts up to a bound. Beyond it, assumes that expired rows are as dense among the remaining row numbers of the range as among those counted, since row
 * numbers usually rise with time. Without an index returns only what was counted.
 */
export async function estimate(options: EstimateOptions): Promise<Estimate> {
  const { session, walk } = options
  const { clock } = session.connection
  const untilMs = clock.monotonicMs() + MOST_MS
  const seen = new Seen(options)
  let from = START
  for (let read = 0; ;) {
    const at = from
    const chunk = await session.read((connection) => walk.expired.read(connection, at, STEP_ROWS))
    if (chunk === undefined) return { rows: seen.rows, exact: true, oldest: seen.oldest }
    if (chunk.rows.length > 0 && (read >= MOST_READ || clock.monotonicMs() > untilMs)) break
    seen.add(at.range, chunk.rows)
    read += chunk.rows.length
    from = chunk.end
    await turn()
  }
  const ahead = await rowsAhead(options, from, seen)
  return { rows: seen.rows + ahead, exact: false, oldest: seen.oldest }
}

/** Extrapolates the current range; for each range after it, counts the beginning and extrapolates the rest. */
async function rowsAhead({ session, walk }: EstimateOptions, { range, row }: Position, seen: Seen): Promise<number> {
  const rest = (at: number, after: TimeRow): Promise<number> =>
    session.read((connection) => {
      const last = walk.expired.last(connection, at)
      return last === undefined ? 0 : Math.round(seen.density * distance(after, last))
    })
  let rows = row === undefined ? 0 : await rest(range, row)
  for (let at = row === undefined ? range : range + 1; ; at += 1) {
    const chunk = await session.read((connection) => walk.expired.read(connection, { range: at, row: undefined }, STEP_ROWS))
    if (chunk === undefined) return rows
    seen.add(at, chunk.rows)
    const { end } = chunk
    if (end.range === at && end.row !== undefined) rows += await rest(at, end.row)
  }
}

/** What was counted so far, and how dense it is. */
class Seen {
  rows = 0
  readonly #options: EstimateOptions
  #range = -1
  #inRange = 0
  #first: TimeRow | undefined
  #last: TimeRow | undefined
  #oldestInstant = Infinity
  /** Read as if it were UTC. */
  #oldestReading = Infinity

  constructor(options: EstimateOptions) {
    this.#options = options
  }

  get oldest(): EpochMs | null {
    const reading = this.#oldestReading === Infinity ? Infinity : instantsIn(this.#options.timeZone)(this.#oldestReading)
    const oldest = Math.min(this.#oldestInstant, reading)
    return oldest === Infinity ? null : oldest
  }

  /** Expired rows per row number in the current range. */
  get density(): number {
    return this.#first === undefined || this.#last === undefined
      ? 0
      : this.#inRange / Math.max(distance(this.#first, this.#last) + 1, this.#inRange)
  }

  add(range: number, rows: readonly TimeRow[]): void {
    if (range !== this.#range) {
      this.#range = range
      this.#inRange = 0
      this.#first = undefined
    }
    for (const row of rows) this.#addRow(row)
  }

  #addRow(row: TimeRow): void {
    if (this.#options.cutoff.judge(row[0]) !== 'expired') return
    this.rows += 1
    this.#inRange += 1
    this.#first ??= row
    this.#last = row
    const time = readTime(row[0])
    if (time?.zoned === true) this.#oldestInstant = Math.min(this.#oldestInstant, time.instant)
    else if (time !== undefined) this.#oldestReading = Math.min(this.#oldestReading, time.instant)
  }
}

function distance([, a]: TimeRow, [, b]: TimeRow): number {
  return Math.abs(Number(b) - Number(a))
}
