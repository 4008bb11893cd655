import { createTask, validateDetailed } from 'node-cron'
import { MINUTE, type EpochMs } from '../time.ts'

/** A schedule that ticks until it is stopped. */
export interface Ticking {
  stop(): void
}

/** A slot that the event loop was too busy for is still taken when it is at most this late; one tick stands for all that passed. */
const TOLERANCE_MS = 5 * MINUTE

const QUIET = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} }

/** Calls `tick` with each slot of a cron expression that was checked before. node-cron is the clock only: overlaps are the scheduler's concern. */
export function everySlot(expression: string, timeZone: string, tick: (slot: EpochMs) => void): Ticking {
  const task = createTask(expression, (context) => tick(context.date.getTime()), {
    timezone: timeZone,
    missedExecutionTolerance: TOLERANCE_MS,
    suppressMissedWarning: true,
    logger: QUIET,
  })
  // A process that slept longer than the tolerance hears only of the slots it missed.
  task.on('execution:missed', (context) => tick(context.date.getTime()))
  void task.start()
  return { stop: () => void task.destroy() }
}

/** When the schedule is due next, without starting it. */
export function nextSlot(expression: string, timeZone: string): EpochMs | undefined {
  const task = createTask(expression, () => {}, { timezone: timeZone, logger: QUIET })
  const next = task.getNextRuns(1)[0]?.getTime()
  void task.destroy()
  return next
}

/** What node-cron finds wrong with an expression. */
export function cronProblem(expression: string): string | undefined {
  const validation = validateDetailed(expression)
  return validation.valid ? undefined : validation.errors.map((error) => error.message).join('; ')
}
