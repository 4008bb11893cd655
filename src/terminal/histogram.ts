import { formatTime, type EpochMs } from '../time.ts'
import { bold, type Style } from './style.ts'
import { countText } from './words.ts'

/** More are not taken in; the days before them are one line. */
const MOST_DAYS = 30
const MOST_BAR = 50

/** Rows by UTC day, oldest first, the longest bar for the day that has the most. */
export function histogramText(title: string, days: ReadonlyMap<EpochMs, number>, style: Style): string {
  const sorted = [...days].toSorted(([a], [b]) => a - b)
  const shown = sorted.slice(-MOST_DAYS)
  const before = sorted.slice(0, -MOST_DAYS)
  const rows = [
    ...(before.length === 0 ? [] : [{ name: 'earlier', rows: sum(before), note: `on ${countText(before.length)} days`, bar: false }]),
    ...shown.map(([day, count]) => ({ name: formatTime(day).slice(0, 10), rows: count, note: '', bar: true })),
  ]
  const most = Math.max(...shown.map(([, count]) => count))
  const width = Math.max(...rows.map((row) => countText(row.rows).length))
  const room = Math.min(MOST_BAR, (Number.isFinite(style.columns) ? style.columns : 80) - NAME_COLUMNS - width - 4)
  const lines = rows.map((row) => {
    const bar = row.bar && room > 0 ? (style.unicode ? '█' : '#').repeat(Math.max(1, Math.round((row.rows / most) * room))) : row.note
    return `${row.name.padEnd(NAME_COLUMNS)}  ${countText(row.rows).padStart(width)}  ${bar}`.trimEnd()
  })
  return `${[bold(title, style), ...lines].join('\n')}\n`
}

const NAME_COLUMNS = 'YYYY-MM-DD'.length

function sum(days: readonly (readonly [EpochMs, number])[]): number {
  return days.reduce((total, [, count]) => total + count, 0)
}
