import { summaryOf, type Figure, type Unit } from './figure.ts'

const HEADINGS = ['engine', 'figure', 'target', 'median', 'min – max', 'reached'] as const

/** A Markdown table for each scenario, padded so that its source is readable too. */
export function tablesOf(figures: readonly Figure[]): string {
  return [...new Set(figures.map((figure) => figure.scenario))]
    .map((scenario) => `### ${scenario}\n\n${tableOf(figures.filter((figure) => figure.scenario === scenario))}`)
    .join('\n\n')
}

function tableOf(figures: readonly Figure[]): string {
  const cells = [[...HEADINGS], ...figures.map(cellsOf)]
  const widths = HEADINGS.map((_, at) => Math.max(...cells.map((row) => row[at]!.length)))
  const lines = cells.map((row) => `| ${row.map((cell, at) => cell.padEnd(widths[at]!)).join(' | ')} |`)
  return [lines[0], `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...lines.slice(1)].join('\n')
}

/** The cells of one line: engine, what was measured, target, median, least and most, whether the target was reached. */
export function cellsOf(figure: Figure): string[] {
  const { median, least, most, reached } = summaryOf(figure)
  const { unit, target } = figure
  return [
    figure.engine,
    figure.what,
    target === undefined ? '' : `≤ ${shown(target.atMost, unit)}`,
    shown(median, unit),
    `${shown(least, unit)} – ${shown(most, unit)}`,
    reached === undefined ? '' : reached ? 'yes' : 'NO',
  ]
}

function shown(value: number, unit: Unit): string {
  switch (unit) {
    case '×':
      return `${value.toFixed(2)} ×`
    case 'ms':
    case 'MB':
      return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} ${unit}`
    case 'batches':
    case 'writes':
      return Math.round(value).toLocaleString('en')
    default:
      return unit satisfies never
  }
}
