import { bars, strokesOf, type Strokes } from './chart.ts'
import { bold, ink, type Style } from './style.ts'

export interface BarRow {
  readonly name: string
  /** The value in words. */
  readonly figure: string
  /** A text is shown in place of a bar. */
  readonly value: number | string
  /** Continues the bar in a stroke of its own; the words stand behind it. Absent: nothing does. */
  readonly further?: { readonly value: number; readonly figure: string }
}

const GAP = '  '
/** Longer bars say no more. */
const MOST_BAR = 50
/** Shorter bars say nothing. */
const LEAST_BAR = 5

/**
 * One line for each row: its name, its figure and its bar. Without bars if there is no room for them; empty off a terminal, or if there would be only one
 * bar, which compares nothing.
 */
export function barChartText(title: string, rows: readonly BarRow[], style: Style, legend?: (strokes: Strokes) => string): string {
  const strokes = strokesOf(style)
  if (strokes === undefined || rows.filter((row) => valueOf(row) + furtherOf(row) > 0).length < 2) return ''
  const names = widest(rows.map(({ name }) => name))
  const figures = widest(rows.map(({ figure }) => figure))
  const behind = widest(rows.map(({ further }) => (further === undefined ? '' : `${GAP}${further.figure}`)))
  const room = Math.min(MOST_BAR, style.columns - names - figures - 2 * GAP.length - behind)
  const cells = room < LEAST_BAR ? 0 : room
  const most = Math.max(...rows.map((row) => valueOf(row) + furtherOf(row)))
  const lines = rows.map((row) => {
    const { name, figure, value, further } = row
    const bar = typeof value === 'number' ? twoPartBar([value, furtherOf(row)], most, cells, strokes) : value
    return ink`${[name.padEnd(names), figure.padStart(figures), bar, ...(further === undefined ? [] : [further.figure])].join(GAP).trimEnd()}`
      .text
  })
  const said = legend === undefined ? [] : [ink`${legend(strokes)}`.text]
  return `${[bold(title, style).text, ...said, ...lines].join('\n')}\n`
}

/** No longer than one bar of both values would be, unless a part of it could not be seen. */
function twoPartBar([value, further]: readonly [number, number], most: number, cells: number, strokes: Strokes): string {
  const [begin = ''] = bars([value, most], cells, strokes.rightwards)
  const [both = ''] = bars([value + further, most], cells, strokes.further)
  if (further === 0 || both === '') return begin
  const length = Math.max(both.length, value === 0 ? 1 : Math.min(2, cells))
  const shown = begin.slice(0, length - 1)
  return shown + strokes.further.repeat(length - shown.length)
}

function valueOf({ value }: BarRow): number {
  return typeof value === 'number' ? value : 0
}

function furtherOf({ value, further }: BarRow): number {
  return typeof value === 'number' ? (further?.value ?? 0) : 0
}

function widest(texts: readonly string[]): number {
  return Math.max(...texts.map((text) => text.length))
}
