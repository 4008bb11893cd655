import { DAY, HOUR, MINUTE, SECOND, type EpochMs } from '../../time/clock.ts'
import { wallClockCeiling, wallClockThreshold, wallInstant } from '../../time/zones.ts'

/** As the driver returns it; an integer beyond the safe range is a bigint. */
export type StoredTime = string | number | bigint | Uint8Array | null

/** How a run judges a stored time. */
export type Verdict = 'expired' | 'kept' | 'unreadable' | 'undated'

/** The cutoff of a run, which judges stored times. Digits below a millisecond never change its verdict. */
export class Cutoff {
  /** Compared with times that name their zone; whole milliseconds. */
  readonly instant: EpochMs
  /** Compared with the reading of text without a zone; see `wallClockThreshold`. */
  readonly reading: EpochMs

  constructor(instant: EpochMs, reading: EpochMs) {
    this.instant = instant
    this.reading = reading
  }

  /** Rounds down to a whole millisecond, which keeps more rows. */
  static at(moment: EpochMs, timeZone: string): Cutoff {
    const instant = Math.floor(moment)
    return new Cutoff(instant, wallClockThreshold(instant, timeZone))
  }

  /** As `expired` are all times that can mean an instant before this one: the end of a range in which rows are spared. */
  static before(moment: EpochMs, timeZone: string): Cutoff {
    const instant = Math.ceil(moment)
    return new Cutoff(instant, wallClockCeiling(instant, timeZone))
  }

  /**
   * A row holds whatever some client wrote. A time is
   * - text `YYYY-MM-DD`, optionally ` ` or `T` and `HH:MM[:SS[.fraction]]`, optionally `Z` or `±HH:MM` of at most 15 hours; the date must exist;
   * - a number of Unix seconds, milliseconds, microseconds or nanoseconds in the years 2000 to 2100; these ranges do not overlap.
   *
   * NULL is undated, everything else unreadable.
   */
  judge(value: StoredTime): Verdict {
    if (typeof value === 'string') {
      const time = readText(value)
      if (time === undefined) return 'unreadable'
      return time.instant < (time.zoned ? this.instant : this.reading) ? 'expired' : 'kept'
    }
    if (typeof value === 'number' || typeof value === 'bigint') {
      for (const unit of EPOCH_UNITS) {
        if (value >= unit.from && value < unit.below) return value < unit.at(this.instant) ? 'expired' : 'kept'
      }
      return 'unreadable'
    }
    return value === null ? 'undated' : 'unreadable'
  }
}

/** A unit in which numbers count from 1970. Nanoseconds are bigint because a number cannot hold them exactly. */
export interface EpochUnit {
  /** 2000-01-01T00:00:00Z */
  readonly from: number | bigint
  /** 2101-01-01T00:00:00Z */
  readonly below: number | bigint
  readonly at: (time: EpochMs) => number | bigint
  /** Rounded down to the millisecond. Divides instead of multiplying: a product would need more digits than a number has. */
  readonly instantOf: (value: number | bigint) => EpochMs
}

const YEAR_2000_S = 946_684_800
const YEAR_2101_S = 4_133_980_800

/** Ascending. */
export const EPOCH_UNITS: readonly EpochUnit[] = [
  { from: YEAR_2000_S, below: YEAR_2101_S, at: (time) => time / SECOND, instantOf: (value) => Math.floor(Number(value) * SECOND) },
  { from: YEAR_2000_S * 1e3, below: YEAR_2101_S * 1e3, at: (time) => time, instantOf: (value) => Math.floor(Number(value)) },
  { from: YEAR_2000_S * 1e6, below: YEAR_2101_S * 1e6, at: (time) => time * 1e3, instantOf: (value) => Math.floor(Number(value) / 1e3) },
  {
    from: BigInt(YEAR_2000_S) * 10n ** 9n,
    below: BigInt(YEAR_2101_S) * 10n ** 9n,
    at: (time) => BigInt(time) * 10n ** 6n,
    instantOf: (value) => (typeof value === 'bigint' ? Number(value / 10n ** 6n) : Math.floor(value / 1e6)),
  },
]

/** The instant of a stored time; `undefined`: it is not a time. A number counts as naming its zone, since it counts from an instant. */
export function readTime(value: StoredTime): TextTime | undefined {
  if (typeof value === 'string') return readText(value)
  if (typeof value !== 'number' && typeof value !== 'bigint') return undefined
  const unit = EPOCH_UNITS.find(({ from, below }) => value >= from && value < below)
  return unit === undefined ? undefined : { instant: unit.instantOf(value), zoned: true }
}

/** The instant of a stored time, read in this zone if it names none. NaN: it is not a time. */
export function instantIn(timeZone: string): (value: unknown) => EpochMs {
  const instantAt = wallInstant(timeZone)
  return (value) => {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint') return NaN
    const time = readTime(value)
    if (time === undefined) return NaN
    return time.zoned ? time.instant : instantAt(time.instant)
  }
}

export interface TextTime {
  /** Rounded down to the millisecond; text without a zone is read as UTC. */
  readonly instant: EpochMs
  readonly zoned: boolean
}

/** `undefined`: not a time. One entry is cached, since a value is parsed several times in a row. */
export function readText(text: string): TextTime | undefined {
  if (text !== latest.text) latest = { text, time: parsed(text) }
  return latest.time
}

let latest: { readonly text: string; readonly time: TextTime | undefined } = { text: '', time: undefined }

/** Written by hand because it runs for every row that is looked at. */
function parsed(text: string): TextTime | undefined {
  const year = digits(text, 0, 4)
  const month = digits(text, 5, 2)
  const day = digits(text, 8, 2)
  if (text.charCodeAt(4) !== DASH || text.charCodeAt(7) !== DASH || !isDate(year, month, day)) return undefined

  let reading = daysBefore(year, month, day) * DAY
  let at = 10
  const separator = text.charCodeAt(at)
  if (separator === SPACE || separator === LETTER_T) {
    const hour = digits(text, 11, 2)
    const minute = digits(text, 14, 2)
    if (!(hour < 24 && minute < 60) || text.charCodeAt(13) !== COLON) return undefined
    reading += hour * HOUR + minute * MINUTE
    at = 16
    if (text.charCodeAt(at) === COLON) {
      const second = digits(text, 17, 2)
      if (!(second < 60)) return undefined
      reading += second * SECOND
      at = 19
      if (text.charCodeAt(at) === POINT) {
        const first = ++at
        for (let code = text.charCodeAt(at); code >= ZERO && code <= NINE; code = text.charCodeAt(++at)) {
          if (at - first < 3) reading += (code - ZERO) * HUNDREDS[at - first]!
        }
        if (at === first) return undefined
      }
    }
  }
  if (at === text.length) return { instant: reading, zoned: false }
  const offset = readOffset(text, at)
  return offset === undefined ? undefined : { instant: reading - offset, zoned: true }
}

/** No zone is further from UTC. Also the most by which the reading of an expired time can be after the cutoff. */
export const MOST_OFFSET_MS = 15 * HOUR

function readOffset(text: string, at: number): number | undefined {
  const sign = text.charCodeAt(at)
  if (sign === LETTER_Z) return at + 1 === text.length ? 0 : undefined
  if ((sign !== PLUS && sign !== DASH) || text.length !== at + 6 || text.charCodeAt(at + 3) !== COLON) return undefined
  const minute = digits(text, at + 4, 2)
  const size = digits(text, at + 1, 2) * HOUR + minute * MINUTE
  if (!(minute < 60 && size <= MOST_OFFSET_MS)) return undefined
  return sign === PLUS ? size : -size
}

/** NaN if one of the characters is not a digit. */
function digits(text: string, from: number, count: number): number {
  let value = 0
  for (let at = from; at < from + count; at++) {
    const code = text.charCodeAt(at)
    if (!(code >= ZERO && code <= NINE)) return NaN
    value = value * 10 + code - ZERO
  }
  return value
}

function isDate(year: number, month: number, day: number): boolean {
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1)) return false
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  return day <= MONTH_DAYS[month - 1]! + (leap ? 1 : 0)
}

/** Days from 1970-01-01, in a year that begins in March so that the leap day comes last. */
function daysBefore(year: number, month: number, day: number): number {
  const march = month > 2 ? year : year - 1
  const leapDays = Math.floor(march / 4) - Math.floor(march / 100) + Math.floor(march / 400)
  return march * 365 + leapDays + Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - DAYS_TO_1970
}

const DAYS_TO_1970 = 719_469
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const HUNDREDS = [100, 10, 1]
const SPACE = 0x20
const PLUS = 0x2b
const DASH = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const LETTER_T = 0x54
const LETTER_Z = 0x5a
