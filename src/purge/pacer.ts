import { DatabaseError, type ErrorKind } from '../database/database-error.ts'
import type { Purgeable } from '../database/purging.ts'
import type { Session } from '../database/query.ts'
import { SECOND, type Clock } from '../time/clock.ts'
import { paceAfterBatch, paceAfterFailure, firstPace, type Pace } from './pace.ts'

/** Decides how many rows a batch takes and waits between batches. */
export interface Pacer {
  readonly rows: number
  /** Call after each batch, with its size. Resolves when the next one may begin, or at once if the run should stop. */
  pause(rows: number): Promise<void>
  /** Call when a batch has failed. Resolves when it may be retried, or rejects with the error if it should not be. */
  retry(error: unknown): Promise<void>
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

/** Errors that may pass by themselves. */
const TRANSIENT: ReadonlySet<ErrorKind> = new Set(['busy', 'lost', 'unreachable'])
/** The longest that backpressure (a WAL that cannot be checkpointed, a lagging replica) may delay a batch. */
const LONGEST_BACKPRESSURE_MS = 30 * SECOND
const BACKPRESSURE_STEP_MS = 250

/** Uses short batches with pauses while others are active, and long ones without pauses while nobody is, as `pressure()` shows. */
export async function adaptivePacer(
  database: Purgeable & Session,
  clock: Clock,
  stopping: AbortSignal,
  paused: Paused = () => {},
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
  return {
    get rows() {
      return pace.rows
    },
    async pause(rows) {
      const endedAtMs = clock.monotonicMs()
      await database.afterBatch(false)
      let pressure = await database.pressure()
      const step = paceAfterBatch(pace, pacing, { rows, endedAtMs }, pressure)
      pace = step.pace
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
    async retry(error) {
      if (!(error instanceof DatabaseError) || !TRANSIENT.has(error.kind)) throw error
      const step = paceAfterFailure(pace, pacing, clock.monotonicMs())
      if (step === undefined) throw error
      pace = step.pace
      await sleep(step.pauseMs, 'retry')
      if (error.kind !== 'busy' && !stopping.aborted) await reported('reconnect', database.reconnected(stopping))
    },
  }
}

/** For a run that only counts: it locks nothing, so it takes large slices and only yields to the event loop. */
export async function countingPacer(database: Purgeable & Session, clock: Clock, stopping: AbortSignal, paused?: Paused): Promise<Pacer> {
  const pacer = await adaptivePacer(database, clock, stopping, paused)
  return { rows: database.pacing.mostRows, pause: () => clock.sleep(0, stopping), retry: (error) => pacer.retry(error) }
}
