import { EPOCH_UNITS, readText, type StoredTime } from '../times.ts'
import type { Range } from './index-ranges.ts'

/** Times that are written alike, and of which the order of the index is that of time: between two of them lies no other that SQL cannot tell from them. */
export interface Alike {
  readonly range: Range
  /** What all of them look like, for text. Whatever else lies in the range is no such time. */
  readonly shape: Shape | undefined
}

/** Each is a pattern of GLOB, which stops at a zero byte: the length must be compared too. */
export interface Shape {
  readonly like: string
  readonly unlike: string
  readonly example: string
}

/** The times from `first` on, no further than the end of its month, because the number of days in a month is beyond a pattern; `undefined`: it is none. */
export function alikeFrom(first: StoredTime, range: Range): Alike | undefined {
  if (range.kind === 'number') return isNumber(first) ? { range, shape: undefined } : undefined
  if (range.kind === 'blob' || typeof first !== 'string' || readText(first) === undefined) return undefined
  const month = first.slice(0, MONTH_CHARACTERS)
  const behind = `${month}${lastDayOf(first) + 1}`
  return {
    range: { kind: 'text', from: first, below: range.below === undefined || behind < range.below ? behind : range.below },
    shape: { like: month + DAY + first.slice(DATE_CHARACTERS).replace(CLOCK, likeClock), unlike: NO_HOUR, example: first },
  }
}

function isNumber(value: StoredTime): boolean {
  return (typeof value === 'number' || typeof value === 'bigint') && EPOCH_UNITS.some(({ from, below }) => value >= from && value < below)
}

function lastDayOf(text: string): number {
  // Day 0 of the next month. A year below 100 would mean the 20th century.
  const year = 400 + (Number(text.slice(0, 4)) % 400)
  return new Date(Date.UTC(year, Number(text.slice(5, 7)), 0)).getUTCDate()
}

/** `YYYY-MM-` */
const MONTH_CHARACTERS = 8
const DATE_CHARACTERS = 10
const DAY = '[0-3][0-9]'
/** Up to the zone, which is the same in all of them. */
const CLOCK = /^([ T])\d\d:\d\d(:\d\d)?(\.\d+)?/
/** From 24 to 29. */
const NO_HOUR = '???????????2[4-9]*'

function likeClock(_: string, separator: string, seconds: string | undefined, fraction: string | undefined): string {
  return `${separator}[0-2][0-9]:[0-5][0-9]${seconds === undefined ? '' : ':[0-5][0-9]'}${(fraction ?? '').replaceAll(/\d/g, '[0-9]')}`
}
