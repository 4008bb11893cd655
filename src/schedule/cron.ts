import { createTask, parse } from 'node-cron'
import { MINUTE, type EpochMs } from '../time/clock.ts'

/** A schedule that ticks until it is stopped. */
export interface Ticking {
  stop(): void
}

export interface Ticks {
  tick(slot: EpochMs): void
  /** A slot was passed over: the process was suspended, or too busy, for longer than the tolerance. */
  missed(): void
}

/** What is later than this has been missed; node-cron rounds it up to a second more. */
const TOLERANCE_MS = 1_000
/** Where nobody makes up for what was missed, a slot is still taken this much later; one tick stands for all that passed. */
const LENIENT_TOLERANCE_MS = 5 * MINUTE

const QUIET = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} }

/** Calls `tick` with each slot of a cron expression that was checked before. node-cron is the clock only: overlaps are the scheduler's concern. */
export function everySlot(expression: string, timeZone: string, ticks: Ticks, lenient: boolean): Ticking {
  const task = createTask(expression, (context) => ticks.tick(context.date.getTime()), {
    timezone: timeZone,
    missedExecutionTolerance: lenient ? LENIENT_TOLERANCE_MS : TOLERANCE_MS,
    suppressMissedWarning: true,
    logger: QUIET,
  })
  task.on('execution:missed', () => ticks.missed())
  void task.start()
  return { stop: () => void task.destroy() }
}

export interface Schedule {
  /** Ascending. */
  readonly hours: readonly number[]
  readonly minutes: readonly number[]
  readonly seconds: readonly number[]
  matches(instant: EpochMs): boolean
}

/** A cron expression that was checked before, taken apart. */
export function readSchedule(expression: string, timeZone: string): Schedule {
  const { hour, minute, second } = parse(expression)
  const task = createTask(expression, () => {}, { timezone: timeZone, logger: QUIET })
  // One that was never started holds nothing but its place in node-cron's list.
  void task.destroy()
  return {
    hours: ascending(hour),
    minutes: ascending(minute),
    seconds: ascending(second),
    matches: (instant) => task.match(new Date(instant)),
  }
}

/** The next slot of a cron expression that was checked before, by the host's clock; `undefined`: none is near enough to be found. */
export function nextSlot(expression: string, timeZone: string): EpochMs | undefined {
  const task = createTask(expression, () => {}, { timezone: timeZone, logger: QUIET })
  void task.destroy()
  return task.getNextRuns(1)[0]?.getTime()
}

function ascending(values: readonly (number | string)[]): number[] {
  return values.map(Number).toSorted((a, b) => a - b)
}
