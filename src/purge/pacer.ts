import { DatabaseError, type ErrorKind } from '../database/database-error.ts'
import type { Purgeable } from '../database/purging.ts'
import type { Session } from '../database/query.ts'
import { SECOND, type Clock } from '../time/clock.ts'
import { paceAfterBatch, paceAfterFailure, firstPace, type Pace } from './pace.ts'

/** Decides how many rows a batch takes and waits between batches. */
export interface Pacer {
  readonly rows: number
  /** Called after each batch of so many rows; resolves when the next one may begin, at once when the run is told to stop. */
  pause(rows: number): Promise<void>
  /** Called when a batch failed; resolves when it may be tried again, or rejects with the error when it should not. */
  retry(error: unknown): Promise<void>
}

/**
 * Why a purge waits. `polite`: between batches, so that others get their turn; `contended`: the same, after somebody was in the way; `hold`: the
 * database asks for it; `retry`: after a batch that failed; `reconnect`: for a lost connection.
 */
export const PAUSE_REASONS = ['polite', 'contended', 'hold', 'retry', 'reconnect'] as const
export type PauseReason = (typeof PAUSE_REASONS)[number]

/** Told when a wait is over. */
export type Paused = (ms: number, reason: PauseReason) => void

/** What may pass by itself. */
const PASSING: ReadonlySet<ErrorKind> = new Set(['busy', 'lost', 'unreachable'])
/** How long one hold (a WAL that a reader keeps from being checkpointed, a lagging replica) may delay the next batch before it is tried anyway. */
const LONGEST_HOLD_MS = 30 * SECOND
const HOLD_STEP_MS = 250

/** Moves between a small hold with pauses and large batches without, by what the database says of others. */
export async function adaptivePacer(
  database: Purgeable & Session,
  clock: Clock,
  stopping: AbortSignal,
  paused: Paused = () => {},
): Promise<Pacer> {
  const { pacing } = database
  const told = async (reason: PauseReason, wait: Promise<void>): Promise<void> => {
    const startedMs = clock.monotonicMs()
    await wait
    paused(clock.monotonicMs() - startedMs, reason)
  }
  const sleep = (ms: number, reason: PauseReason): Promise<void> =>
    ms > 0 ? told(reason, clock.sleep(ms, stopping)) : clock.sleep(0, stopping)
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
      // Tidying and looking hold no lock: others have had their turn meanwhile.
      await sleep(step.pauseMs - (clock.monotonicMs() - endedAtMs), pressure.contended ? 'contended' : 'polite')
      for (let held = 0; pressure.hold !== undefined && held < LONGEST_HOLD_MS && !stopping.aborted; held += HOLD_STEP_MS) {
        await sleep(HOLD_STEP_MS, 'hold')
        await database.afterBatch(false)
        pressure = await database.pressure()
      }
    },
    async retry(error) {
      if (!(error instanceof DatabaseError) || !PASSING.has(error.kind)) throw error
      const step = paceAfterFailure(pace, pacing, clock.monotonicMs())
      if (step === undefined) throw error
      pace = step.pace
      await sleep(step.pauseMs, 'retry')
      if (error.kind !== 'busy' && !stopping.aborted) await told('reconnect', database.reconnected(stopping))
    },
  }
}

/** For a run that only counts: it holds nothing, so it takes large slices and only lets the event loop breathe. */
export async function countingPacer(database: Purgeable & Session, clock: Clock, stopping: AbortSignal, paused?: Paused): Promise<Pacer> {
  const pacer = await adaptivePacer(database, clock, stopping, paused)
  return { rows: database.pacing.mostRows, pause: () => clock.sleep(0, stopping), retry: (error) => pacer.retry(error) }
}
