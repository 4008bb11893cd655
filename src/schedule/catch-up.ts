import { DAY, HOUR, MINUTE, SECOND, type EpochMs } from '../time/clock.ts'
import { lastInstantShowing, wallClock } from '../time/zones.ts'
import { readSchedule } from './cron.ts'

/** No schedule is looked for further back. */
const MOST_DAYS = 366

/**
 * The latest slot of a schedule that was checked before, after `since` and not after `now`; `undefined`: nothing was missed. As node-cron has
 * it: a reading of the clock that comes twice in autumn is a slot at the second, one that is left out in spring is none.
 */
export function overdueSlot(expression: string, timeZone: string, since: EpochMs, now: EpochMs): EpochMs | undefined {
  if (since >= now) return undefined
  const schedule = readSchedule(expression, timeZone)
  const reading = wallClock(timeZone)
  const earliest = Math.max(since, now - MOST_DAYS * DAY)
  // Readings are taken as if they were UTC.
  const latestReading = reading(now)
  for (let day = Math.floor(latestReading / DAY) * DAY; day + DAY > reading(earliest) - HOUR; day -= DAY) {
    for (const time of timesBackwards(schedule)) {
      if (day + time > latestReading) continue
      const instant = lastInstantShowing(day + time, reading)
      if (instant === undefined || instant > now) continue
      if (instant <= earliest) return undefined
      if (schedule.matches(instant)) return instant
      // Hours, minutes and seconds fit: it is the day that does not.
      break
    }
  }
  return undefined
}

function* timesBackwards({
  hours,
  minutes,
  seconds,
}: {
  hours: readonly number[]
  minutes: readonly number[]
  seconds: readonly number[]
}) {
  for (const hour of hours.toReversed())
    for (const minute of minutes.toReversed())
      for (const second of seconds.toReversed()) yield hour * HOUR + minute * MINUTE + second * SECOND
}
