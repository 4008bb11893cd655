import { MINUTE, SECOND, type Clock, type EpochMs } from '../time/clock.ts'
import { slotsOf } from './slots.ts'

export interface Ticks {
  tick(slot: EpochMs): void
  /** Slots were passed over: the process was suspended, or too busy, for longer than the tolerance. */
  missed(): void
}

/** What is later than this has been missed. */
const TOLERANCE_MS = 2 * SECOND
/** Where nobody makes up for what was missed, a slot is still taken this much later. */
const LENIENT_TOLERANCE_MS = 5 * MINUTE

export interface TickingOptions {
  readonly timeZone: string
  readonly clock: Clock
  readonly lenient: boolean
  readonly stopping: AbortSignal
}

/**
 * Calls `tick` at each slot of a cron expression that was checked before, until it is told to stop; of several that have passed meanwhile, for the last
 * one alone. It goes by the clock as it is, and knows nothing of one that is set: whoever notices starts anew.
 */
export async function tickAtSlots(expression: string, ticks: Ticks, { timeZone, clock, lenient, stopping }: TickingOptions): Promise<void> {
  const slots = slotsOf(expression, timeZone)
  const toleranceMs = lenient ? LENIENT_TOLERANCE_MS : TOLERANCE_MS
  for (let next = slots.after(clock.now()); next !== undefined;) {
    const leftMs = next - clock.now()
    if (leftMs > 0) {
      // Halves: a clock that is slewed meanwhile is a little off in the end, and not by all that it was slewed.
      await clock.sleep(leftMs > MINUTE ? leftMs / 2 : leftMs, stopping)
      if (stopping.aborted) return
      continue
    }
    const now = clock.now()
    const slot = slots.last(next - 1, now) ?? next
    if (now - slot <= toleranceMs) ticks.tick(slot)
    else ticks.missed()
    next = slots.after(slot)
  }
}
