import { HOUR, MINUTE, SECOND, type EpochMs } from './clock.ts'
import { durationText } from './time-text.ts'
import { wallClock } from './zones.ts'

/** The newest rows of a table; times without a zone are read as UTC. */
export interface NewestRows {
  readonly table: string
  readonly column: string
  /** NaN: there is none, or its time cannot be compared. */
  readonly newest: EpochMs
  /** How much older the `BUSY_ROWS`th newest row is; NaN: there are fewer rows. */
  readonly spanMs: number
}

/** Enough rows to show how often they are written. */
export const BUSY_ROWS = 20
/** Rows written this often, every 15 s, show that the gateway is active, so its newest row should be recent. */
const BUSY_MS = 5 * MINUTE
/** Zones differ by multiples of this. */
const STEP_MS = 15 * MINUTE
/** No zone is further behind UTC: a newest row that appears older than this really is old. */
const WESTERNMOST_MS = 12 * HOUR
/** The newest row is as old as the last call. A quarter of the span is nearly five times the usual gap, and only one gap in a hundred is longer. */
const PART_OF_SPAN = 1 / 4
/** Rows of one burst have no span at all, transactions take a moment, and even synchronised clocks differ a little. */
const LEAST_TOLERANCE_MS = 10 * SECOND

/**
 * A warning if rows seem to be written in a different zone from `timeZone`. A newest row in the future proves it. One in the past is only suspect on a busy
 * table, if its age is close to the difference between two zones. A gateway that stopped about that long ago causes a false warning for some hours: that
 * costs a look, while an unnoticed zone costs rows.
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
