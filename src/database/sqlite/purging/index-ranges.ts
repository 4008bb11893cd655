import type { EpochMs } from '../../../time/clock.ts'
import { EPOCH_UNITS, MOST_OFFSET_MS } from '../times.ts'

/**
 * A range of an index over a time column, from its lower bound to just below its upper. SQLite sorts NULL < numbers < text < blobs, so one
 * of numbers ends at the latest before the empty text, one of text where blobs begin.
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
  /** Outside what can be a time of 2000 to 2100. */
  readonly strange: readonly Range[]
  /** Where text still to be kept lies: hardly anything unreadable, and most of the table. */
  readonly kept: readonly Range[]
}

/**
 * `numbers` is false for a column with TEXT affinity: it holds no numbers, and SQLite would compare with the number's spelling.
 *
 * Text that starts with a date sorts by its reading within one separator, and an expired one reads at most `MOST_OFFSET_MS` after the cutoff.
 * The bounds never look like a number: a column with NUMERIC affinity would turn `'2101'` into one.
 */
export function rangesFor(cutoff: EpochMs, numbers: boolean): Ranges {
  const end = cutoff + MOST_OFFSET_MS
  const text =
    end < FIRST_YEAR ? BEFORE_ALL_DATES : end >= LAST_YEAR_END ? AFTER_ALL_DATES : textRanges(new Date(end).toISOString().slice(0, -1))
  return {
    expired: numbers ? [...expiredNumbers(cutoff), ...text.expired] : text.expired,
    strange: [...(numbers ? numbersBetweenUnits() : []), ...text.strange, { kind: 'blob' }],
    kept: text.kept,
  }
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

/** `end` is `YYYY-MM-DDTHH:MM:SS.mmm`: on its day, text with a space and text with a `T` (or with neither) are two ranges. */
function textRanges(end: string): Ranges {
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

function expiredNumbers(cutoff: EpochMs): NumberRange[] {
  return EPOCH_UNITS.map(({ from, below, at }): NumberRange => {
    const until = at(cutoff)
    return { kind: 'number', from, below: until < below ? until : below }
  }).filter(({ from, below }) => below === undefined || from < below)
}

function numbersBetweenUnits(): NumberRange[] {
  const ends = [-Infinity, ...EPOCH_UNITS.map(({ below }) => below)]
  return ends.map((from, index) => ({ kind: 'number', from, below: EPOCH_UNITS[index]?.from }))
}
