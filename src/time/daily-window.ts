import { DAY, MINUTE, type EpochMs } from './clock.ts'
import { wallClock } from './zones.ts'

/** A time of day, from one reading of the clock to the next: `02:00-04:00`, or across midnight, `23:00-01:00`. */
export interface DailyWindow {
  /** Minutes after midnight. */
  readonly from: number
  readonly to: number
}

const WINDOW = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/

/** `undefined`: the text is no window, or an empty one. */
export function parseWindow(text: string): DailyWindow | undefined {
  const [, ...parts] = WINDOW.exec(text) ?? []
  const [fromHour, fromMinute, toHour, toMinute] = parts.map(Number)
  if (fromHour === undefined) return undefined
  const window = { from: fromHour * 60 + fromMinute!, to: toHour! * 60 + toMinute! }
  return window.from === window.to ? undefined : window
}

/** How long the window stays open, in milliseconds; 0: it is not open now. */
export function openFor({ from, to }: DailyWindow, now: EpochMs, timeZone: string): number {
  const sinceMidnight = ((wallClock(timeZone)(now) % DAY) + DAY) % DAY
  const length = ((to - from) * MINUTE + DAY) % DAY
  const since = (((sinceMidnight - from * MINUTE) % DAY) + DAY) % DAY
  return Math.max(0, length - since)
}
