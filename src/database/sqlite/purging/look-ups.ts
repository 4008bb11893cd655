import { DAY, type EpochMs } from '../../../time/clock.ts'
import type { Connection, TimeRow } from '../connection/connection.ts'
import { Cutoff, EPOCH_UNITS, MOST_OFFSET_MS, readTime, type EpochUnit } from '../times.ts'
import type { NumberRange } from './index-ranges.ts'
import { START, type Walk } from './walk.ts'

/** `inspect` refuses a larger table without an index. */
const MOST_UNINDEXED_ROWS = 50_000
/** Rows read where rows that stay should be: enough to get past unreadable ones. */
const LOOK_ROWS = 1_000

/**
 * Looks at the first and the newest of the texts that sort after the cutoff, and at all numbers after it. Rows that stay are missed if they lie between
 * thousands of unreadable texts on either side.
 */
export function keptUntil(connection: Connection, walk: Walk, cutoff: Cutoff, until: Cutoff, most: number): number {
  const stays = ([value]: TimeRow): boolean => cutoff.judge(value) === 'kept' && until.judge(value) === 'expired'
  const { statements, indexed, kept, numbers } = walk
  if (!indexed) return Math.min(most, everyRow(connection, walk).filter(stays).length)

  const found = new Set<number | bigint>()
  const look = (rows: readonly TimeRow[]): void => {
    for (const row of rows) if (stays(row)) found.add(row[1])
  }
  look(connection.timeRows(statements.newest, ['2000-', textAfter(until), LOOK_ROWS]))
  for (let from = START; found.size < most;) {
    const chunk = kept.read(connection, from, LOOK_ROWS)
    if (chunk === undefined) break
    look(chunk.rows)
    from = { range: from.range + 1, row: undefined }
  }
  let rows = found.size
  for (const unit of numbers ? EPOCH_UNITS : []) {
    if (rows >= most) break
    const range = numbersOf(unit, cutoff.instant, until.instant)
    rows += connection.figure(statements.bounded(range), [range.from, range.below ?? null, most])
  }
  return Math.min(rows, most)
}

/** A text counts for the day that it names, whatever its zone. */
export function daysBetween(connection: Connection, walk: Walk, from: EpochMs, to: EpochMs, most: number): number {
  const days = new Set<EpochMs>()
  if (!walk.indexed) {
    for (const row of everyRow(connection, walk)) {
      const day = dayOf(row)
      if (day >= from && day < to) days.add(day)
    }
    return Math.min(days.size, most)
  }
  for (const first of [firstText, ...(walk.numbers ? EPOCH_UNITS.map(firstNumber) : [])]) {
    for (let day = from; day < to && days.size < most; day += DAY) {
      const found = first(connection, walk, day, to)
      if (found === undefined) break
      if (found >= day && found < to) days.add(found)
      day = Math.max(day, found)
    }
  }
  return days.size
}

/** The day of the first row from `from` on. If no row at the beginning of the range can be read, the day before `from`, so that the search goes on. */
type First = (connection: Connection, walk: Walk, from: EpochMs, to: EpochMs) => EpochMs | undefined

const firstText: First = (connection, { statements }, from, to) => {
  const range = { kind: 'text', from: dayText(from), below: dayText(to) } as const
  const rows = connection.timeRows(statements.first(range), [range.from, range.below, LOOK_ROWS])
  return rows.length === 0 ? undefined : (rows.map(dayOf).find((day) => day >= from) ?? from - DAY)
}

function firstNumber(unit: EpochUnit): First {
  return (connection, { statements }, from, to) => {
    const range = numbersOf(unit, from, to)
    const rows = connection.timeRows(statements.first(range), [range.from, range.below ?? null, 1])
    return rows.map(dayOf)[0]
  }
}

function numbersOf({ from, below, at }: EpochUnit, since: EpochMs, until: EpochMs): NumberRange {
  const [first, last] = [at(since), at(until)]
  return { kind: 'number', from: first > from ? first : from, below: last < below ? last : below }
}

function dayOf([value]: TimeRow): EpochMs {
  const time = readTime(value)
  if (time === undefined) return NaN
  // The reading counts even if the text names a zone: the index sorts text by its reading.
  const reading = typeof value === 'string' ? Date.parse(`${value.slice(0, 10)}T00:00:00Z`) : time.instant
  return Math.floor(reading / DAY) * DAY
}

function everyRow(connection: Connection, { expired }: Walk): readonly TimeRow[] {
  return expired.read(connection, START, MOST_UNINDEXED_ROWS)?.rows ?? []
}

/** A text that sorts after every text of a time before the cutoff. */
function textAfter({ instant, reading }: Cutoff): string {
  return dayText(Math.max(instant, reading) + MOST_OFFSET_MS + DAY)
}

/** `2026-08-25`; after the year 9999 the last day of that year. */
function dayText(time: EpochMs): string {
  return new Date(Math.min(time, LAST_DAY)).toISOString().slice(0, 10)
}

const LAST_DAY = Date.UTC(9999, 11, 31)
