import { DAY, type EpochMs } from '../../../time/clock.ts'
import { EPOCH_UNITS, MOST_OFFSET_MS } from '../times.ts'

/**
 * A range of an index over a time column: from its lower bound up to, but not including, its upper bound. SQLite sorts NULL < numbers < text < blobs, so a
 * range of numbers ends at the empty text at the latest, and a range of text where blobs begin.
 */
export type Range = NumberRange | TextRange | BlobRange

export interface NumberRange {
  readonly kind: 'number'
  readonly from: number | bigint
  /** `undefined`: to the last number. */
  readonly below: number | bigint | undefined
}

export interface TextRange {
  readonly kind: 'text'
  readonly from: string
  /** `undefined`: to the last text. */
  readonly below: string | undefined
}

export interface BlobRange {
  readonly kind: 'blob'
}

export interface Ranges {
  /** In index order: every row that can have expired lies here. */
  readonly expired: readonly Range[]
  /** Where no time of the years 2000 to 2100 can be. */
  readonly strange: readonly Range[]
  /** Where text that must be kept is: most of the table, with hardly anything unreadable. */
  readonly kept: readonly Range[]
}

/**
 * `numbers` is false for a column with TEXT affinity: it holds no numbers, and SQLite would compare it with a number's spelling.
 *
 * Among texts with the same separator, those that start with a date sort by their reading, and the reading of an expired one is at most `MOST_OFFSET_MS`
 * after the cutoff. No bound looks like a number: a column with NUMERIC affinity would turn `'2101'` into one.
 *
 * `since`: the rows with this time or a later one are enough.
 */
export function rangesFor(cutoff: EpochMs, numbers: boolean, since = -Infinity): Ranges {
  const end = cutoff + MOST_OFFSET_MS
  const text: TextRanges =
    end < FIRST_YEAR ? BEFORE_ALL_DATES : end >= LAST_YEAR_END ? AFTER_ALL_DATES : textRanges(new Date(end).toISOString().slice(0, -1))
  return {
    expired: [...(numbers ? expiredNumbers(cutoff, since) : []), ...textSince(text.expired, since)],
    strange: [...(numbers ? numbersBetweenUnits() : []), ...text.strange, { kind: 'blob' }],
    kept: text.kept,
  }
}

/** Where the time of every row that has one is certain to be from `from` up to, but not including, `until`, in any format and zone. Texts that are no times lie here, too. */
export function certainRanges(from: EpochMs | undefined, until: EpochMs | undefined, numbers: boolean): readonly Range[] {
  const first = from === undefined ? '' : dayIn(from + MOST_OFFSET_MS + DAY)
  const below = until === undefined ? LAST_DAY : dayIn(until - MOST_OFFSET_MS)
  const text: readonly Range[] = first === undefined || below === undefined || first >= below ? [] : [{ kind: 'text', from: first, below }]
  return [...(numbers ? expiredNumbers(Math.floor(until ?? LAST_YEAR_END), from ?? -Infinity) : []), ...text]
}

/** The rows of these ranges, as a condition on a value. */
export function within(value: string, ranges: readonly Range[], bind: (bound: string | number | bigint) => string): string {
  const conditions = ranges.flatMap((range) =>
    range.kind === 'blob'
      ? []
      : [`(${value} >= ${bind(range.from)} AND ${value} < ${range.below === undefined ? FOLLOWING[range.kind] : bind(range.below)})`],
  )
  return conditions.length === 0 ? 'FALSE' : `(${conditions.join(' OR ')})`
}

/** The lowest value of the next kind in SQLite's sort order. */
const FOLLOWING = { number: "''", text: "x''" } as const

/** `undefined`: it is none of the years 1 to 9999. */
function dayIn(time: EpochMs): string | undefined {
  return time >= FIRST_YEAR && time < LAST_YEAR_END ? new Date(time).toISOString().slice(0, 10) : undefined
}

const LAST_DAY = '9999-12-31'

interface TextRanges extends Ranges {
  readonly expired: readonly TextRange[]
}

/** `0001-01-01` */
const FIRST_YEAR = -62_135_596_800_000
/** `10000-01-01` */
const LAST_YEAR_END = 253_402_300_800_000
/** The first text after the year 2100. */
const CENTURY_END = '2101-'

const BEFORE_ALL_DATES = {
  expired: [],
  strange: [
    { kind: 'text', from: '', below: '2000-' },
    { kind: 'text', from: CENTURY_END, below: undefined },
  ],
  kept: [{ kind: 'text', from: '2000-', below: CENTURY_END }],
} as const satisfies Ranges

const AFTER_ALL_DATES = { expired: [{ kind: 'text', from: '', below: undefined }], strange: [], kept: [] } as const satisfies Ranges

/** `end` is `YYYY-MM-DDTHH:MM:SS.mmm`. On that day, text with a space and text with a `T` (or with neither) form two ranges. */
function textRanges(end: string): TextRanges {
  const day = end.slice(0, 10)
  const spaced = `${day} ${end.slice(11)}`
  const unspaced = `${day}!`
  const strangeFrom = end > CENTURY_END ? end : CENTURY_END
  return {
    expired: [
      { kind: 'text', from: '', below: spaced },
      { kind: 'text', from: unspaced, below: end },
    ],
    strange: [{ kind: 'text', from: strangeFrom, below: undefined }],
    kept: [
      { kind: 'text', from: spaced, below: unspaced },
      { kind: 'text', from: end, below: strangeFrom },
    ],
  }
}

/** By the day alone, which a time may name with any separator behind it. */
function textSince(ranges: readonly TextRange[], since: EpochMs): readonly TextRange[] {
  const day = dayIn(since - MOST_OFFSET_MS)
  if (day === undefined) return ranges
  return ranges
    .map((range) => ({ ...range, from: range.from > day ? range.from : day }))
    .filter(({ from, below }) => below === undefined || from < below)
}

function expiredNumbers(cutoff: EpochMs, since: EpochMs): NumberRange[] {
  return EPOCH_UNITS.map(({ from, below, at }): NumberRange => {
    const [first, until] = [Number.isFinite(since) ? at(Math.ceil(since)) : from, at(cutoff)]
    return { kind: 'number', from: first > from ? first : from, below: until < below ? until : below }
  }).filter(({ from, below }) => below === undefined || from < below)
}

function numbersBetweenUnits(): NumberRange[] {
  const ends = [-Infinity, ...EPOCH_UNITS.map(({ below }) => below)]
  return ends.map((from, index) => ({ kind: 'number', from, below: EPOCH_UNITS[index]?.from }))
}
