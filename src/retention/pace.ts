import type { Pacing, Pressure } from '../database/database.ts'

/** What the controller remembers from one batch to the next. */
export interface Pace {
  /** How many rows the next batch should hold. */
  readonly rows: number
  /** Others were seen working this many batches ago; for a while after that the purge stays polite. */
  readonly quiet: number
  /** Batches in a row that failed at the smallest size. */
  readonly failures: number
}

export interface Step {
  readonly pace: Pace
  readonly pauseMs: number
}

/** Batches without a sign of anybody else before the purge stops being polite. */
const QUIET_BATCHES = 20
/** A batch may be at most this much larger than the one before: one quick batch is no proof. */
const GROWTH = 1.5
const SHRINK = 0.25
/** This many failures in a row at the smallest size end the job. */
export const FAILURES_TO_GIVE_UP = 5
const BACKOFF_MS = 100
const LONGEST_BACKOFF_MS = 5_000

export function firstPace(pacing: Pacing): Pace {
  return { rows: pacing.firstRows, quiet: 0, failures: 0 }
}

/** After a batch of `rows` rows: how large the next one should be, and how long to wait before it. */
export function afterBatch(pace: Pace, pacing: Pacing, rows: number, pressure: Pressure): Step {
  const quiet = pressure.others || pressure.contended ? 0 : pace.quiet + 1
  const aim = quiet >= QUIET_BATCHES ? pacing.alone : pacing.polite
  const wanted = rows * clamp(aim.holdMs / Math.max(pressure.heldMs, 0.1), SHRINK, GROWTH)
  // A last, partly filled batch says little about how many rows fit into a hold.
  const sized = rows < pace.rows / 2 && wanted < pace.rows ? pace.rows : wanted
  const next = pressure.contended ? Math.min(sized, pace.rows / 2) : sized
  const pauseMs = Math.max(aim.pauseMs, aim.pauseShare * pressure.heldMs)
  return {
    pace: { rows: within(pacing, next), quiet, failures: 0 },
    pauseMs: pressure.contended ? Math.max(2 * pauseMs, pacing.polite.pauseMs) : pauseMs,
  }
}

/** After a batch that met a lock or lost its connection: smaller, after a pause that doubles; `undefined`: give up. */
export function afterTrouble(pace: Pace, pacing: Pacing): Step | undefined {
  const failures = pace.rows <= pacing.leastRows ? pace.failures + 1 : 0
  if (failures >= FAILURES_TO_GIVE_UP) return undefined
  return {
    pace: { rows: within(pacing, pace.rows / 2), quiet: 0, failures },
    pauseMs: Math.min(BACKOFF_MS * 2 ** failures, LONGEST_BACKOFF_MS),
  }
}

function within(pacing: Pacing, rows: number): number {
  return Math.round(clamp(rows, pacing.leastRows, pacing.mostRows))
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}
