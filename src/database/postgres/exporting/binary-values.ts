import { DAY, type EpochMs } from '../../../time/clock.ts'
import type { LineBuffer } from '../../exporting/line-buffer.ts'

/** int2, int4 or int8, big-endian. */
export function integerText(from: Buffer, start: number, end: number): string {
  const number = integerOf(from, start, end)
  return String(number ?? from.readBigInt64BE(start))
}

/** The same, written to the buffer at its `length`. */
export function writeInteger(to: LineBuffer, from: Buffer, start: number, end: number): void {
  const number = integerOf(from, start, end)
  if (number === undefined) to.length += to.bytes.write(String(from.readBigInt64BE(start)), to.length, 'latin1')
  else {
    if (number < 0) to.bytes[to.length++] = MINUS
    writeDigits(to, Math.abs(number), 1)
  }
}

/** `undefined`: not a safe integer. */
function integerOf(from: Buffer, start: number, end: number): number | undefined {
  if (end - start === 2) return from.readInt16BE(start)
  const high = from.readInt32BE(start)
  if (end - start === 4) return high
  return high >= -SAFE_HIGH && high < SAFE_HIGH ? high * WORD + from.readUInt32BE(start + 4) : undefined
}

/** Writes at least so many digits, as bytes: a string for each value would take longer than everything else. */
function writeDigits(to: LineBuffer, number: number, least: number): void {
  let digits = 1
  for (let bound = 10; bound <= number; bound *= 10) digits += 1
  const end = to.length + Math.max(digits, least)
  let rest = number
  for (let at = end - 1; at >= to.length; at -= 1) {
    const tenth = Math.floor(rest / 10)
    to.bytes[at] = ZERO + rest - 10 * tenth
    rest = tenth
  }
  to.length = end
}

const ZERO = 0x30
const MINUS = 0x2d
const POINT = 0x2e
const COLON = 0x3a
const WORD = 2 ** 32
/** Integers of 53 bits are exact in a number. */
const SAFE_HIGH = 2 ** 20

/** timestamp and timestamptz: microseconds since 2000, with both ends of the range for the infinities. */
export class TimeWriter {
  /** The day of the last time, which is nearly always that of the next one. */
  #day = NaN
  #date = ''
  #era = ''

  /**
   * As PostgreSQL writes times in JSON: ISO 8601, without trailing zeros. A timestamptz is written in UTC with a Z; before the year 1, as
   * PostgreSQL casts it to text.
   */
  write(to: LineBuffer, type: 'timestamp' | 'timestamptz', from: Buffer, start: number): void {
    const [high, low] = [from.readInt32BE(start), from.readUInt32BE(start + 4)]
    if (high === HIGHEST && low === WORD - 1) return writeText(to, 'infinity')
    if (high === LOWEST && low === 0) return writeText(to, '-infinity')
    let [day, rest] = high >= -SAFE_HIGH && high < SAFE_HIGH ? dayAndRest(high * WORD + low) : farDayAndRest(from.readBigInt64BE(start))
    if (rest < 0) {
      day -= 1
      rest += MICROS_A_DAY
    }
    if (day !== this.#day) this.#turnTo(day)
    writeText(to, this.#date)
    to.bytes[to.length++] = type === 'timestamptz' && this.#era !== '' ? SPACE : LETTER_T
    writeClock(to, rest)
    if (type === 'timestamptz') writeText(to, this.#era === '' ? 'Z' : '+00')
    writeText(to, this.#era)
  }

  #turnTo(day: number): void {
    const { year, month, dayOfMonth } = dateOf(day + DAYS_TO_2000)
    this.#day = day
    this.#era = year > 0 ? '' : ' BC'
    this.#date = `${String(year > 0 ? year : 1 - year).padStart(4, '0')}-${twoDigits(month)}-${twoDigits(dayOfMonth)}`
  }
}

/** The same in milliseconds since 1970, rounded down; a timestamp as if it were UTC. */
export function readingIn(from: Buffer, start: number): EpochMs {
  // 2^32 microseconds are 4,294,967 milliseconds and 296 microseconds: so no number is too large to be exact.
  const high = from.readInt32BE(start)
  return DAYS_TO_2000 * DAY + high * 4_294_967 + Math.floor((high * 296 + from.readUInt32BE(start + 4)) / 1_000)
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0')
}

const MICROS_A_DAY = DAY * 1_000
const HIGHEST = 2 ** 31 - 1
const LOWEST = -(2 ** 31)
const DAYS_TO_2000 = Date.UTC(2000, 0, 1) / DAY
const SPACE = 0x20
const LETTER_T = 0x54

function dayAndRest(micros: number): [day: number, rest: number] {
  const day = Math.floor(micros / MICROS_A_DAY)
  return [day, micros - day * MICROS_A_DAY]
}

/** As numbers, days and the rest of a day are exact; the whole value is not. */
function farDayAndRest(micros: bigint): [day: number, rest: number] {
  const aDay = BigInt(MICROS_A_DAY)
  return [Number(micros / aDay), Number(micros % aDay)]
}

function writeClock(to: LineBuffer, micros: number): void {
  const seconds = Math.floor(micros / 1e6)
  const minutes = Math.floor(seconds / 60)
  writeDigits(to, Math.floor(minutes / 60), 2)
  to.bytes[to.length++] = COLON
  writeDigits(to, minutes % 60, 2)
  to.bytes[to.length++] = COLON
  writeDigits(to, seconds % 60, 2)
  const fraction = micros - seconds * 1e6
  if (fraction === 0) return
  to.bytes[to.length++] = POINT
  writeDigits(to, fraction, 6)
  while (to.bytes[to.length - 1] === ZERO) to.length -= 1
}

function writeText(to: LineBuffer, text: string): void {
  for (let at = 0; at < text.length; at += 1) to.bytes[to.length++] = text.charCodeAt(at)
}

/**
 * The date in the proleptic Gregorian calendar of a day counted from 1970-01-01. `Date` does not reach as far as PostgreSQL. An era has 400
 * years or 146,097 days; its years begin in March, so that a leap day is the last day of its year.
 */
function dateOf(day: number): { readonly year: number; readonly month: number; readonly dayOfMonth: number } {
  const shifted = day + DAYS_FROM_MARCH_0000
  const era = Math.floor(shifted / DAYS_AN_ERA)
  const dayOfEra = shifted - era * DAYS_AN_ERA
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153)
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    dayOfMonth: dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1,
  }
}

const DAYS_AN_ERA = 146_097
/** From 1 March of the year 0 to 1970. */
const DAYS_FROM_MARCH_0000 = 719_468
