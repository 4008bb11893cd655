import { bars, strokesOf } from './chart.ts'
import { bold, ink, type Style } from './style.ts'

export interface BarRow {
  readonly name: string
  /** The value in words. */
  readonly figure: string
  /** A text is shown in place of a bar. */
  readonly value: number | string
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
export function barChartText(title: string, rows: readonly BarRow[], style: Style): string {
  const strokes = strokesOf(style)
  if (strokes === undefined || rows.filter(({ value }) => typeof value === 'number' && value > 0).length < 2) return ''
  const names = widest(rows.map(({ name }) => name))
  const figures = widest(rows.map(({ figure }) => figure))
  const room = Math.min(MOST_BAR, style.columns - names - figures - 2 * GAP.length)
  const drawn = bars(
    rows.map(({ value }) => (typeof value === 'number' ? value : 0)),
    room < LEAST_BAR ? 0 : room,
    strokes.rightwards,
  )
  const lines = rows.map(
    ({ name, figure, value }, at) =>
      ink`${[name.padEnd(names), figure.padStart(figures), typeof value === 'number' ? drawn[at] : value].join(GAP).trimEnd()}`.text,
  )
  return `${[bold(title, style).text, ...lines].join('\n')}\n`
}

function widest(texts: readonly string[]): number {
  return Math.max(...texts.map((text) => text.length))
}
