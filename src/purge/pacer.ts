import { DatabaseError, type ErrorKind } from '../database/database-error.ts'
import type { Purgeable, Tally } from '../database/purging.ts'
import type { Session } from '../database/query.ts'
import { SECOND, type Clock } from '../time/clock.ts'
import { firstPace, paceAfterBatch, paceAfterFailure, paceAfterTimeout, type Pace } from './pace.ts'

/** Decides how many rows a batch takes and waits between batches. */
export interface Pacer {
  readonly rows: number
  /** Call after each batch. Resolves when the next one may begin, or at once if the run should stop. */
  pause(done: Pick<Tally, 'affected' | 'deletingMs' | 'whole'>): Promise<void>
  /**
   * Call when a batch has failed; `rows`: how many it was to delete. Resolves when it may be retried, or rejects with the error if it should not be.
   */
  retry(error: unknown, rows?: number): Promise<void>
}

/**
 * Why a purge waits.
 * - `polite`: between batches, while others are active
 * - `contended`: the same, after one of our locks kept another client waiting
 * - `hold`: backpressure of the database (the value of a metric's label, so it cannot be renamed)
 * - `retry`: after a batch that failed
 * - `reconnect`: for a lost connection
 */
export const PAUSE_REASONS = ['polite', 'contended', 'hold', 'retry', 'reconnect'] as const
export type PauseReason = (typeof PAUSE_REASONS)[number]

/** Called when a wait is over. */
export type Paused = (ms: number, reason: PauseReason) => void

/** Called once, when rows have proven to take very long. */
export type Dear = (rowMs: number) => void

/** Dear rows are reported when batches of them have taken so long altogether: what passes at once is not worth a warning. */
const DEAR_REPORTED_MS = 2 * SECOND

/** Errors that may pass by themselves. */
const TRANSIENT: ReadonlySet<ErrorKind> = new Set(['busy', 'slow', 'lost', 'unreachable'])
/** The longest that backpressure (a WAL that cannot be checkpointed, a lagging replica) may delay a batch. */
const LONGEST_BACKPRESSURE_MS = 30 * SECOND
const BACKPRESSURE_STEP_MS = 250

/** Uses short batches with pauses while others are active, and long ones without pauses while nobody is, as `pressure()` shows. */
export async function adaptivePacer(
  database: Purgeable & Session,
  clock: Clock,
  stopping: AbortSignal,
  paused: Paused = () => {},
  dear: Dear = () => {},
): Promise<Pacer> {
  const { pacing } = database
  const reported = async (reason: PauseReason, wait: Promise<void>): Promise<void> => {
    const startedMs = clock.monotonicMs()
    await wait
    paused(clock.monotonicMs() - startedMs, reason)
  }
  const sleep = (ms: number, reason: PauseReason): Promise<void> =>
    ms > 0 ? reported(reason, clock.sleep(ms, stopping)) : clock.sleep(0, stopping)
  let pace: Pace = firstPace(pacing, await database.pressure(), clock.monotonicMs())
  const spent = { ms: 0, rows: 0, reported: false }
  const watch = (rows: number, heldMs: number): void => {
    if (spent.reported || rows === 0 || pace.dear === 0) return
    spent.ms += heldMs
    spent.rows += rows
    spent.reported = spent.ms >= DEAR_REPORTED_MS
    if (spent.reported) dear(spent.ms / spent.rows)
  }
  return {
    get rows() {
      return pace.rows
    },
    async pause({ affected, deletingMs, whole }) {
      const rows = whole === true ? 0 : affected
      const endedAtMs = clock.monotonicMs()
      const heldMs = database.heldMs()
      await database.afterBatch(false)
      let pressure = await database.pressure()
      const step = paceAfterBatch(pace, pacing, { rows, heldMs, deletingMs, endedAtMs }, pressure)
      pace = step.pace
      watch(rows, heldMs)
      // What the engine does after a batch holds no lock, so its time counts towards the pause.
      await sleep(step.pauseMs - (clock.monotonicMs() - endedAtMs), pressure.contended ? 'contended' : 'polite')
      for (
        let waited = 0;
        pressure.backpressure !== undefined && waited < LONGEST_BACKPRESSURE_MS && !stopping.aborted;
        waited += BACKPRESSURE_STEP_MS
      ) {
        await sleep(BACKPRESSURE_STEP_MS, 'hold')
        await database.afterBatch(false)
        pressure = await database.pressure()
      }
    },
    async retry(error, rows) {
      if (!(error instanceof DatabaseError) || !TRANSIENT.has(error.kind)) throw error
      const atMs = clock.monotonicMs()
      const step = error.kind === 'slow' && rows !== undefined ? paceAfterTimeout(pace, rows, atMs) : paceAfterFailure(pace, pacing, atMs)
      if (step === undefined) throw error
      pace = step.pace
      await sleep(step.pauseMs, 'retry')
      if ((error.kind === 'lost' || error.kind === 'unreachable') && !stopping.aborted)
        await reported('reconnect', database.reconnected(stopping))
    },
  }
}

/** For a run that only counts: it locks nothing, so it takes large slices and only yields to the event loop. */
export async function countingPacer(database: Purgeable & Session, clock: Clock, stopping: AbortSignal, paused?: Paused): Promise<Pacer> {
  const pacer = await adaptivePacer(database, clock, stopping, paused)
  return { rows: database.pacing.mostRows, pause: () => clock.sleep(0, stopping), retry: (error, rows) => pacer.retry(error, rows) }
}
