import type { EpochMs } from '../time/clock.ts'
import { overdueSlot } from './catch-up.ts'
import { nextSlot } from './cron.ts'

/** The first slot after `since`, which is not after `now`, of a schedule that was checked before; `undefined`: none is near enough to be found. */
export function firstSlotAfter(expression: string, timeZone: string, since: EpochMs, now: EpochMs): EpochMs | undefined {
  let slot = overdueSlot(expression, timeZone, since, now)
  if (slot === undefined) return nextSlot(expression, timeZone)
  // That was the latest. What a slot is, one place knows: it is asked until nothing lies before.
  let without = since
  while (slot - without > 1) {
    const middle: EpochMs = without + Math.floor((slot - without) / 2)
    const earlier = overdueSlot(expression, timeZone, since, middle)
    if (earlier === undefined) without = middle
    else slot = earlier
  }
  return slot
}
