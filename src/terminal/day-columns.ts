import { JOBS } from '../catalogue.ts'
import { counted, countText } from '../number-text.ts'
import { visible } from '../observe/control-characters.ts'
import { widthOf } from '../observe/width.ts'
import type { DeletedByDay } from '../status/deleted-by-day.ts'
import { DAY, formatDay } from '../time/clock.ts'
import { strokesOf, uprightBars } from './chart.ts'
import { bold, type Style } from './style.ts'

/** The height of a job's columns, in lines: enough to compare days, and four jobs fit on one screen. */
const HEIGHT = 4
/** Characters from one column to the next, if there is room for a gap. */
const WIDEST = 3

/**
 * Rows deleted each day, in a chart for each job, one below the other: days from left to right, each job on its own scale. Empty off a terminal, or if no job
 * would have more than one bar.
 */
export function dayColumnsText({ days, jobs }: DeletedByDay, style: Style): string {
  const strokes = strokesOf(style)
  const [first, last] = [days[0], days.at(-1)]
  if (strokes === undefined || first === undefined || last === undefined || jobs.size === 0) return ''
  const { span, slots, labels, charts } = fittingColumns({ days, jobs }, style.columns)
  if (!charts.some(hasBars)) return ''
  const pitch = Math.max(1, Math.min(WIDEST, Math.floor((style.columns - labels - AXIS.length) / slots)))
  const { side, corner, bottom } = strokes.axis

  const lines = charts.flatMap((chart) => {
    const { job, values, total } = chart
    if (total === 0) return [`${bold(job, style).text}  nothing`]
    const most = Math.max(...values)
    const sum = counted(total, 'row')
    const begin = Math.max(first, last - ((slots - values.indexOf(most)) * span - 1) * DAY)
    const on = span === 1 ? 'on' : 'from'
    if (!hasBars(chart))
      return [`${bold(job, style).text}  ${fitting(style.columns - widthOf(visible(job)) - 2, [`${sum}, ${on} ${formatDay(begin)}`, sum])}`]
    const drawn = uprightBars(values, HEIGHT, strokes.upwards).map((row) => widened(row, pitch))
    const figures = fitting(style.columns - widthOf(visible(job)) - 2, [`${sum}, most ${on} ${formatDay(begin)}`, sum])
    return [
      `${bold(job, style).text}  ${figures}`,
      ...drawn.map((row, at) => `${(at === 0 ? countText(most) : '').padStart(labels)} ${side}${row}`.trimEnd()),
      `${'0'.padStart(labels)} ${corner}${bottom.repeat(slots * pitch)}`,
    ]
  })
  const what = `rows deleted ${span === 1 ? 'a day' : span === WEEK ? 'a week' : `every ${span / WEEK} weeks`}`
  const when = `${formatDay(first)} to ${formatDay(last)}`
  const title = fitting(style.columns, [`${what}, ${when} (UTC)`, `${what}, ${when}`, what])
  return `${[bold(title, style).text, ...lines].join('\n')}\n`
}

/** In days. */
const WEEK = 7

/** Between the labels and the columns; only its length is used. */
const AXIS = ' |'

interface Columns {
  /** How many days a column covers. */
  readonly span: number
  readonly slots: number
  /** How many characters the longest label has. */
  readonly labels: number
  readonly charts: readonly Chart[]
}

interface Chart {
  readonly job: string
  readonly values: readonly number[]
  readonly total: number
}

/** One bar compares nothing. */
function hasBars({ values }: Chart): boolean {
  return values.filter((value) => value > 0).length > 1
}

/** A column covers one day, or as many weeks as it takes for all days to fit. */
function fittingColumns({ days, jobs }: DeletedByDay, room: number): Columns {
  for (let span = 1; ; span = span === 1 ? WEEK : span + WEEK) {
    const charts = inOrder(jobs).map(([job, rows]) => ({ job, values: inColumns(rows, span), total: rows.reduce(add) }))
    const labels = countText(Math.max(...charts.map(({ values }) => Math.max(...values)))).length
    const slots = Math.ceil(days.length / span)
    if (slots === 1 || slots <= room - labels - AXIS.length) return { span, slots, labels, charts }
  }
}

/** In the order of the catalogue; jobs of another version come last. */
function inOrder<T>(jobs: ReadonlyMap<string, T>): (readonly [string, T])[] {
  const known = JOBS.map(({ name }) => name)
  return [...known, ...[...jobs.keys()].filter((name) => !known.includes(name))].flatMap((name) => {
    const rows = jobs.get(name)
    return rows === undefined ? [] : [[name, rows] as const]
  })
}

/** The last column is complete; the first may cover fewer days. */
function inColumns(rows: readonly number[], span: number): number[] {
  const slots = Math.ceil(rows.length / span)
  return Array.from({ length: slots }, (_, slot) => {
    const end = rows.length - (slots - 1 - slot) * span
    return rows.slice(Math.max(0, end - span), end).reduce(add)
  })
}

function widened(row: string, pitch: number): string {
  return row.replaceAll(/./g, (cell) => (pitch === WIDEST ? `${cell.repeat(WIDEST - 1)} ` : cell.repeat(pitch)))
}

/** The first text that fits; the longest is given first. */
function fitting(room: number, texts: readonly string[]): string {
  return texts.find((text) => text.length <= room) ?? texts.at(-1)!
}

function add(a: number, b: number): number {
  return a + b
}
