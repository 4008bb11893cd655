import { HOUR, MINUTE, SECOND, type EpochMs } from './clock.ts'
import { durationText } from './time-text.ts'
import { wallClock } from './zones.ts'

/** What the newest rows of a table say, times without a zone as if they were UTC. */
export interface NewestRows {
  readonly table: string
  readonly column: string
  /** NaN: there is none, or its time is none that can be compared. */
  readonly newest: EpochMs
  /** How far before it the `BUSY_ROWS`th newest lies; NaN: there are not so many. */
  readonly spanMs: number
}

/** Enough to say how often rows come. */
export const BUSY_ROWS = 20
/** Rows that come this often, every 15 s, say that the gateway is at work: its newest row should be of now. */
const BUSY_MS = 5 * MINUTE
/** Zones differ by multiples of this. */
const STEP_MS = 15 * MINUTE
/** No clock on earth is further behind UTC: a newest row that shows less is old. */
const WESTERNMOST_MS = 12 * HOUR
/** The newest row is as old as the last call: nearly five times the usual gap is a quarter of the span, and one gap in a hundred is longer. */
const PART_OF_SPAN = 1 / 4
/** Rows of one burst lie in no span at all; transactions take a moment, and clocks that are kept right still differ. */
const LEAST_TOLERANCE_MS = 10 * SECOND

/**
 * A warning where rows seem to be stamped by the clocks of another zone than `timeZone`. A newest row in the future is certain; one in the past is
 * suspect only by a zone's difference, on a busy table. A gateway that stopped just so long ago is suspected for some hours without reason: that costs
 * a look, and a zone that goes unnoticed costs rows.
 */
export function zoneSuspicion({ table, column, newest, spanMs }: NewestRows, now: EpochMs, timeZone: string): string | undefined {
  const aheadMs = newest - wallClock(timeZone)(now)
  const offMs = Math.abs(aheadMs - Math.round(aheadMs / STEP_MS) * STEP_MS)
  const toleranceMs = Math.max(spanMs * PART_OF_SPAN, LEAST_TOLERANCE_MS)
  const isAhead = aheadMs > STEP_MS
  const isBehind =
    spanMs <= BUSY_MS && aheadMs <= toleranceMs - STEP_MS && offMs <= toleranceMs && newest >= now - WESTERNMOST_MS - toleranceMs
  if (!isAhead && !isBehind) return undefined
  return (
    `The newest row of ${table} is ${durationText(Math.round(Math.abs(aheadMs) / MINUTE) * MINUTE)} ${isAhead ? 'ahead of' : 'behind'} the clock when "${column}" is read in ` +
    `time zone ${timeZone}: the gateway may stamp its rows in another zone. Set DATABASE_TIME_ZONE to it, or rows are deleted too early or too late.`
  )
}
