import type { BatchAim, Pacing, Pressure } from '../database/purging.ts'
import { SECOND } from '../time/clock.ts'
import { costAfter, type Cost } from './cost.ts'

/** State kept from one batch to the next. Times are monotonic milliseconds. */
export interface Pace {
  /** How many rows the next batch should hold. */
  readonly rows: number
  /** Until then the purge holds locks briefly and pauses. Each sign of another client extends it. */
  readonly politeUntilMs: number
  /** Consecutive failures at the smallest batch size. */
  readonly failures: number
  /** Whether the run is still on its way from one row to the first full size. */
  readonly rising: boolean
  readonly cost: Cost | undefined
  /** How long a batch holds its locks besides deleting. */
  readonly aroundMs: number
  /** How many batches of dear rows came one after the other. */
  readonly dear: number
}

export interface Batch {
  /** 0: it tells nothing of what a row costs, because none was deleted. */
  readonly rows: number
  readonly heldMs: number
  /** Of that time; absent: not measured. */
  readonly deletingMs?: number | undefined
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
/**
 * Below the least size a batch grows in larger steps, as long as it would not hold its locks for much longer than this even if all of its time were its
 * rows'.
 */
const RISE = { most: 32, least: 2, holdMs: 100 }
/** If one batch took this long, nothing larger is tried. */
const NO_RISE_MS = 500
/** Rows are dear if a batch of the least size would hold its locks for longer than this. Then batches are as small as they must be. */
const DEAR_MS = 100
/** And if they, and not what a transaction takes in any case, have once made up so much of the hold. */
const DEAR_SHARE = 2 / 3
/** After so many batches of dear rows one of twice the size shows whether they still are, unless that could hold its locks for too long. */
const TRIAL = { every: 8, longestMs: 75 }
/** If what stands around the deleting takes longer, that is no reason to hold locks for longer still. */
const MOST_AROUND_MS = 10
const AROUND_BATCHES = 8
/** A hold is long if it is so many times what was aimed at. */
const LONG = 2

/**
 * A run begins with one row, so that a dear one is found by one row: a row for which a trigger sleeps, or for which a table without an index is searched.
 * It begins politely, until it knows that nobody else is active.
 */
export function firstPace(pacing: Pacing, pressure: Pressure, atMs: number): Pace {
  return {
    rows: 1,
    politeUntilMs: atMs + (pressure.others ? POLITE_MS : pacing.listenMs),
    failures: 0,
    rising: true,
    cost: undefined,
    aroundMs: 0,
    dear: 0,
  }
}

/** After a batch: how large the next one should be, and how long to wait before it. */
export function paceAfterBatch(pace: Pace, pacing: Pacing, batch: Batch, pressure: Pressure): Step {
  const { contended } = pressure
  const { heldMs } = batch
  const politeUntilMs = pressure.others || contended ? batch.endedAtMs + POLITE_MS : pace.politeUntilMs
  const mood = batch.endedAtMs < politeUntilMs ? 'polite' : 'alone'
  const aim = pacing[mood]
  const cost = batch.rows > 0 ? costAfter(pace.cost, batch.rows, Math.max(batch.deletingMs ?? heldMs, 0.1)) : pace.cost
  const known = pace.dear > 0 && pace.dear % TRIAL.every !== 0
  const dear = cost !== undefined && areDear(cost, pacing, known)
  const aroundMs = aroundAfter(pace.aroundMs, batch)
  const holdMs = Math.max(aim.holdMs, (aim.timesAround ?? 0) * Math.min(aroundMs, MOST_AROUND_MS))
  // A batch that was not full says little about how many rows fit into the target time.
  const full = batch.rows >= pace.rows / 2
  const rising = pace.rising && !contended && !dear
  const wanted = dear
    ? dearRows(cost, holdMs - Math.min(aroundMs, holdMs / 2))
    : batch.rows * clamp(holdMs / Math.max(heldMs, 0.1), SHRINK, GROWTH[mood])
  const sized = full ? wanted : dear ? Math.min(pace.rows, wanted) : Math.max(pace.rows, wanted)
  const risen = firstRows(pacing, cost, aim)
  const trial = dear && full && (pace.dear + 1) % TRIAL.every === 0 && heldMs < TRIAL.longestMs
  const least = dear
    ? trial
      ? 2 * batch.rows
      : 1
    : Math.min(rising ? risen : pacing.leastRows, full ? batch.rows * rise(heldMs) : pace.rows)
  const rows = Math.round(clamp(contended ? Math.min(sized, pace.rows / 2) : sized, Math.max(least, 1), pacing.mostRows))
  const { share, mostMs } = pacing.longHoldPause
  const long = dear || heldMs > LONG * holdMs
  const pauseMs = Math.max(aim.pauseMs, aim.pauseShare * heldMs, long ? Math.min(share * heldMs, mostMs) : 0)
  return {
    pace: { rows, politeUntilMs, failures: 0, rising: rising && rows < risen, cost, aroundMs, dear: dear ? pace.dear + 1 : 0 },
    pauseMs: contended ? 2 * pauseMs : pauseMs,
  }
}

/** After a batch that met a lock or lost its connection: smaller, after a pause, which doubles at the smallest size; `undefined`: give up. */
export function paceAfterFailure(pace: Pace, pacing: Pacing, atMs: number): Step | undefined {
  const least = Math.min(pacing.leastRows, pace.rows)
  const failures = pace.rows <= pacing.leastRows ? pace.failures + 1 : 0
  if (failures >= FAILURES_TO_GIVE_UP) return undefined
  return {
    pace: { ...pace, rows: Math.round(Math.max(pace.rows / 2, least)), politeUntilMs: atMs + POLITE_MS, failures },
    pauseMs: BACKOFF_MS * 2 ** failures,
  }
}

/** After a batch of so many rows that took longer than a statement may. */
export function paceAfterTimeout(pace: Pace, rows: number, atMs: number): Step {
  return {
    pace: { ...pace, rows: Math.ceil(rows / RISE.most), politeUntilMs: atMs + POLITE_MS, rising: false, cost: undefined, dear: 0 },
    pauseMs: BACKOFF_MS,
  }
}

/** Whether a single row takes so long that batches must be smaller than usual; `known`: it did so before. */
function areDear({ fixedMs, rowMs, rows, tookMs }: Cost, { leastRows }: Pacing, known: boolean): boolean {
  if (fixedMs === undefined) return tookMs >= NO_RISE_MS
  return rowMs * leastRows > DEAR_MS && (known || rowMs * rows > DEAR_SHARE * tookMs)
}

/** As many as can be deleted in this time. */
function dearRows({ fixedMs = 0, rowMs }: Cost, ms: number): number {
  return Math.max(ms - fixedMs, ms / 2) / rowMs
}

/** The size at which a run has risen: as many of the usual first rows as fit. */
function firstRows({ firstRows: usual, leastRows }: Pacing, cost: Cost | undefined, aim: BatchAim): number {
  if (cost?.fixedMs === undefined || cost.rowMs === 0) return usual
  return clamp(aim.holdMs / cost.rowMs, leastRows, usual)
}

/** A mean that follows within some batches. */
function aroundAfter(before: number, { rows, heldMs, deletingMs }: Batch): number {
  if (rows === 0 || deletingMs === undefined) return before
  const aroundMs = Math.max(0, heldMs - deletingMs)
  return before === 0 ? aroundMs : before + (aroundMs - before) / AROUND_BATCHES
}

function rise(heldMs: number): number {
  return heldMs >= NO_RISE_MS ? 1 : clamp(RISE.holdMs / Math.max(heldMs, 0.1), RISE.least, RISE.most)
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}
