import type { Pacing, Pressure } from '../database/purging.ts'
import { SECOND } from '../time/clock.ts'

/** State kept from one batch to the next. Times are monotonic milliseconds. */
export interface Pace {
  /** How many rows the next batch should hold. */
  readonly rows: number
  /** Until then the purge holds locks briefly and pauses. Each sign of another client extends it. */
  readonly politeUntilMs: number
  /** Consecutive failures at the smallest batch size. */
  readonly failures: number
}

export interface Batch {
  readonly rows: number
  readonly endedAtMs: number
}

export interface Step {
  readonly pace: Pace
  readonly pauseMs: number
}

/** Counted from a sign of another client, so that a gateway that writes once a second is always treated politely after its first write. */
const POLITE_MS = 2 * SECOND
/** How much larger a batch may be than the one before it: one quick batch proves little. Larger steps are safe while nobody else is active. */
const GROWTH = { alone: 3, polite: 1.15 }
const SHRINK = 0.1
/** This many consecutive failures at the smallest size end the run. */
export const FAILURES_TO_GIVE_UP = 5
const BACKOFF_MS = 100

/** A run begins politely, until it knows that nobody else is active. */
export function firstPace(pacing: Pacing, pressure: Pressure, atMs: number): Pace {
  return { rows: pacing.firstRows, politeUntilMs: atMs + (pressure.others ? POLITE_MS : pacing.listenMs), failures: 0 }
}

/** After a batch: how large the next one should be, and how long to wait before it. */
export function paceAfterBatch(pace: Pace, pacing: Pacing, batch: Batch, pressure: Pressure): Step {
  const { contended, heldMs } = pressure
  const politeUntilMs = pressure.others || contended ? batch.endedAtMs + POLITE_MS : pace.politeUntilMs
  const mood = batch.endedAtMs < politeUntilMs ? 'polite' : 'alone'
  const aim = pacing[mood]
  const wanted = batch.rows * clamp(aim.holdMs / Math.max(heldMs, 0.1), SHRINK, GROWTH[mood])
  // A batch that was not full says little about how many rows fit into the target time.
  const sized = batch.rows < pace.rows / 2 && wanted < pace.rows ? pace.rows : wanted
  const pauseMs = Math.max(aim.pauseMs, aim.pauseShare * heldMs)
  return {
    pace: { rows: within(pacing, contended ? Math.min(sized, pace.rows / 2) : sized), politeUntilMs, failures: 0 },
    pauseMs: contended ? 2 * pauseMs : pauseMs,
  }
}

/** After a batch that met a lock or lost its connection: smaller, after a pause, which doubles at the smallest size; `undefined`: give up. */
export function paceAfterFailure(pace: Pace, pacing: Pacing, atMs: number): Step | undefined {
  const failures = pace.rows <= pacing.leastRows ? pace.failures + 1 : 0
  if (failures >= FAILURES_TO_GIVE_UP) return undefined
  return {
    pace: { rows: within(pacing, pace.rows / 2), politeUntilMs: atMs + POLITE_MS, failures },
    pauseMs: BACKOFF_MS * 2 ** failures,
  }
}

function within(pacing: Pacing, rows: number): number {
  return Math.round(clamp(rows, pacing.leastRows, pacing.mostRows))
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}
