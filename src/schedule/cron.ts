import { parse } from 'node-cron'
import { fieldsOf } from './expression.ts'

/** A cron expression taken apart. */
export interface Schedule {
  /** Ascending. */
  readonly hours: readonly number[]
  readonly minutes: readonly number[]
  readonly seconds: readonly number[]
  /** It repeats within a day (a `*`, a range or a step before the day), and is not a list of times of day. */
  readonly repeats: boolean
  /** Whether it comes on this day of the calendar; `weekday` is 0 on a Sunday. */
  hasDay(day: CalendarDay): boolean
}

export interface CalendarDay {
  readonly month: number
  readonly dayOfMonth: number
  readonly daysInMonth: number
  readonly weekday: number
}

/** A cron expression that was checked before. node-cron says which values its fields stand for; when they come in a time zone is `slots.ts`. */
export function readSchedule(expression: string): Schedule {
  const fields = fieldsOf(expression)
  const { second, minute, hour, dayOfMonth, month, dayOfWeek } = parse(fields.join(' '))
  const hours = ascending(hour)
  return {
    hours,
    minutes: ascending(minute),
    seconds: ascending(second),
    repeats: hours.length === HOURS_OF_DAY || fields.slice(0, -3).some((field) => /[*/-]/.test(field)),
    hasDay: (day) =>
      month.includes(day.month) &&
      dayOfMonth.some((token) => isDayOfMonth(String(token), day)) &&
      dayOfWeek.some((token) => isWeekday(String(token), day)),
  }
}

const HOURS_OF_DAY = 24

function ascending(values: readonly (number | string)[]): number[] {
  return values.map(Number).toSorted((a, b) => a - b)
}

/** `15`, `L` the last, `L-3` three before it, `15W` the working day nearest to it within the month, `LW` the last one. */
function isDayOfMonth(token: string, { dayOfMonth, daysInMonth, weekday }: CalendarDay): boolean {
  const match = /^(\d+|L)(?:-(\d+))?(W)?$/i.exec(token)
  if (match === null) return false
  const [, from = '', back = '0', working] = match
  const meant = (/^L/i.test(from) ? daysInMonth : Number(from)) - Number(back)
  if (working === undefined) return dayOfMonth === meant
  if (meant > daysInMonth) return false
  const weekdayOfMeant = modulo(weekday + meant - dayOfMonth, 7)
  const moved = weekdayOfMeant === SATURDAY ? (meant === 1 ? 2 : -1) : weekdayOfMeant === SUNDAY ? (meant === daysInMonth ? -2 : 1) : 0
  return dayOfMonth === meant + moved
}

const SUNDAY = 0
const SATURDAY = 6

/** `1`, `1L` the last Monday of the month, `1#2` the second. */
function isWeekday(token: string, { dayOfMonth, daysInMonth, weekday }: CalendarDay): boolean {
  const [, name = '', last, nth] = /^(\d)(?:(L)|#(\d))?$/i.exec(token) ?? []
  if (name === '' || Number(name) % 7 !== weekday) return false
  if (last !== undefined) return dayOfMonth > daysInMonth - 7
  return nth === undefined || Math.ceil(dayOfMonth / 7) === Number(nth)
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor
}
