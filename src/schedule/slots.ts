import { DAY, HOUR, MINUTE, SECOND, type EpochMs } from '../time/clock.ts'
import { transitions, wallClock } from '../time/zones.ts'
import { readSchedule, type Schedule } from './cron.ts'

/**
 * When a schedule comes in a zone whose clocks are changed, as cron has it:
 *
 * - What repeats within a day (a `*`, a range or a step in its seconds, minutes or hours) goes on through both changes: in autumn it comes in
 *   the repeated hour too, and a quarter-hourly job never pauses for longer than a quarter of an hour.
 * - Fixed times of day come once a day: in autumn at the first of two readings of the clock.
 * - A reading that spring leaves out comes when it would have come had the clocks not been changed: 02:30 at 03:30.
 */
export interface Slots {
  /** The first one after an instant; `undefined`: none is near enough to be found. */
  after(instant: EpochMs): EpochMs | undefined
  /** The last one at or before an instant, and after `since`. */
  last(since: EpochMs, instant: EpochMs): EpochMs | undefined
}

/** Of a cron expression that was checked before. */
export function slotsOf(expression: string, timeZone: string): Slots {
  const schedule = readSchedule(expression)
  const readingAt = wallClock(timeZone)
  // Asking a zone takes long; one slot after the other mostly lies in the same day.
  let known: { readonly day: EpochMs; readonly stretches: readonly Stretch[] } | undefined
  const stretchesOf = (day: EpochMs): readonly Stretch[] => {
    if (!comesNear(schedule, day)) return []
    if (known?.day !== day) known = { day, stretches: stretchesOfDay(day, (instant) => readingAt(instant) - instant, schedule.repeats) }
    return known.stretches
  }
  return {
    after(instant) {
      const earliest = Math.floor(instant) + 1
      for (let day = dayOf(earliest), end = day + MOST_DAYS_AHEAD * DAY; day < end; day += DAY) {
        const first = Math.min(...stretchesOf(day).map((each) => firstIn(schedule, { ...each, from: Math.max(each.from, earliest) })))
        if (Number.isFinite(first)) return first
      }
      return undefined
    },
    last(since, instant) {
      const latest = Math.floor(instant)
      const earliest = Math.max(since, latest - MOST_DAYS_BACK * DAY)
      for (let day = dayOf(latest); day + DAY > earliest; day -= DAY) {
        const last = Math.max(...stretchesOf(day).map((each) => lastIn(schedule, { ...each, to: Math.min(each.to, latest + 1) })))
        if (Number.isFinite(last)) return last > earliest ? last : undefined
      }
      return undefined
    },
  }
}

/** The slot that should have been done by now: the last one after `since` and not after `now`; `undefined`: nothing was missed. */
export function overdueSlot(expression: string, timeZone: string, since: EpochMs, now: EpochMs): EpochMs | undefined {
  return since >= now ? undefined : slotsOf(expression, timeZone).last(since, now)
}

/** The fifth Monday of a February comes once in 28 years, and across a century that has no leap year once in 40. */
const MOST_DAYS_AHEAD = 41 * 366
const MOST_DAYS_BACK = 366

/** Instants, from the first to before the last, at which the clocks are taken to show the instant plus the offset. */
interface Stretch {
  readonly from: EpochMs
  readonly to: EpochMs
  readonly offset: number
  /** What they do show: a slot must fit both by its hour and its day. */
  readonly shownOffset?: number
}

/** What a day in UTC consists of: of one stretch, where no clock is changed. They may overlap. */
function stretchesOfDay(day: EpochMs, offsetAt: (instant: EpochMs) => number, repeats: boolean): readonly Stretch[] {
  // What a change brings lasts as long as the clocks were moved by: a whole day once, in Samoa.
  const begin = day - DAY
  const end = day + DAY
  const isSteady = offsetAt(begin) === offsetAt(day) && offsetAt(day) === offsetAt(end)
  const changes = isSteady ? [] : transitions(offsetAt, begin, end)
  const stretches: Stretch[] = [{ from: begin, to: changes[0]?.at ?? end, offset: offsetAt(begin) }]
  for (const [index, { at, before, after }] of changes.entries()) {
    const to = changes[index + 1]?.at ?? end
    const settled = at + Math.abs(after - before)
    if (after > before) stretches.push({ from: at, to, offset: after }, { from: at, to: settled, offset: before })
    else if (!repeats) stretches.push({ from: settled, to, offset: after })
    // Where clocks are put back by half an hour, what comes on the hour would else come an hour and a half later.
    else stretches.push({ from: at, to, offset: after }, { from: at, to: settled, offset: before, shownOffset: after })
  }
  return stretches.map((stretch) => ({ ...stretch, from: Math.max(stretch.from, day), to: Math.min(stretch.to, end) }))
}

/** Clocks are at most 14 hours from UTC: what they show lies within the days around it. */
function comesNear(schedule: Schedule, day: EpochMs): boolean {
  return [day - DAY, day, day + DAY].some((each) => hasDayOf(schedule, each))
}

/** Infinity: there is none. */
function firstIn(schedule: Schedule, stretch: Stretch): number {
  return slotsIn(schedule, stretch, (list) => list).next().value ?? Infinity
}

function lastIn(schedule: Schedule, stretch: Stretch): number {
  return slotsIn(schedule, stretch, (list) => list.toReversed()).next().value ?? -Infinity
}

function* slotsIn(
  schedule: Schedule,
  { from, to, offset, shownOffset = offset }: Stretch,
  inOrder: (list: readonly number[]) => readonly number[],
): Generator<EpochMs, undefined> {
  const days = from < to ? [dayOf(from + offset), dayOf(to - 1 + offset)] : []
  for (const day of inOrder([...new Set(days)].filter((each) => hasDayOf(schedule, each))))
    for (const hour of inOrder(schedule.hours)) {
      const begin = day + hour * HOUR - offset
      if (begin >= to || begin + HOUR <= from) continue
      for (const minute of inOrder(schedule.minutes))
        for (const second of inOrder(schedule.seconds)) {
          const slot = begin + minute * MINUTE + second * SECOND
          if (slot >= from && slot < to && (shownOffset === offset || isShown(schedule, slot + shownOffset))) yield slot
        }
    }
}

function isShown(schedule: Schedule, reading: EpochMs): boolean {
  return hasDayOf(schedule, reading) && schedule.hours.includes(Math.floor((reading - dayOf(reading)) / HOUR))
}

function hasDayOf(schedule: Schedule, reading: EpochMs): boolean {
  const date = new Date(reading)
  const [month, dayOfMonth, weekday] = [date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCDay()]
  return schedule.hasDay({ month, dayOfMonth, weekday, daysInMonth: new Date(Date.UTC(date.getUTCFullYear(), month, 0)).getUTCDate() })
}

function dayOf(time: EpochMs): EpochMs {
  return Math.floor(time / DAY) * DAY
}
