import { counted, countText } from '../number-text.ts'
import { DAY, formatDay, type EpochMs } from '../time/clock.ts'
import { barChartText, type BarRow } from './bar-chart.ts'
import type { Strokes } from './chart.ts'
import type { Style } from './style.ts'

/** So many days have lines of their own; all earlier ones share one line. */
const MOST_DAYS = 30

/**
 * Rows by UTC day, oldest first; a day without rows between others has a line too. `kept`: further rows of these days, which stay; they continue the bars in
 * another stroke.
 */
export function histogramText(
  title: string,
  days: ReadonlyMap<EpochMs, number>,
  style: Style,
  kept: ReadonlyMap<EpochMs, number> = NONE,
): string {
  const present = [...new Set([...days.keys(), ...kept.keys()])].toSorted((a, b) => a - b)
  const last = present.at(-1)
  if (last === undefined) return ''
  // Held rows may be years older than the others: the days without any in between say nothing.
  const first = present.find((day) => day > last - MOST_DAYS * DAY)!
  const shown = Array.from({ length: (last - first) / DAY + 1 }, (_, at) => first + at * DAY)
  const before = present.filter((day) => day < first)
  const rows = [
    ...(before.length === 0
      ? []
      : [{ name: 'earlier', figure: countText(sum(before, days)), value: `on ${counted(before.length, 'day')}`, ...keptOf(before, kept) }]),
    ...shown.map((day) => ({
      name: formatDay(day),
      figure: countText(days.get(day) ?? 0),
      value: days.get(day) ?? 0,
      ...keptOf([day], kept),
    })),
  ]
  return barChartText(title, rows, style, kept.size === 0 ? undefined : legend)
}

function legend({ rightwards, further }: Strokes): string {
  return `${rightwards} would go  ${further} kept by holds and rules`
}

const NONE: ReadonlyMap<EpochMs, number> = new Map()

function keptOf(some: readonly EpochMs[], kept: ReadonlyMap<EpochMs, number>): Pick<BarRow, 'further'> {
  const rows = sum(some, kept)
  return rows === 0 ? {} : { further: { value: rows, figure: `${countText(rows)} kept` } }
}

function sum(some: readonly EpochMs[], days: ReadonlyMap<EpochMs, number>): number {
  return some.reduce((total, day) => total + (days.get(day) ?? 0), 0)
}
