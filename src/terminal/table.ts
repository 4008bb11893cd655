import Table from 'cli-table3'
import { bold, inked, type Part, type Style } from './style.ts'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** On a narrow terminal the column with the highest goes first; one without stays. */
  readonly dispensable?: number
  /** Where those that stay have no room either it is cut before the others. */
  readonly cutFirst?: boolean
}

const GAP = 2

/** A table without lines but one below its titles. A column with nothing in it is left out; what has no room on a narrow terminal too, column by column. */
export function tableText(columns: readonly Column[], rows: readonly (readonly Part[])[], style: Style): string {
  let shown = columns
    .map((column, at) => ({ ...column, at, cells: rows.map((row) => inked(row[at] ?? '')) }))
    .filter(({ cells }) => cells.some((cell) => cell !== ''))
    .map((column) => ({ ...column, width: widest([column.title, ...column.cells]) }))
  const total = (): number => shown.reduce((sum, { width }) => sum + width + GAP, -GAP)
  while (total() > style.columns) {
    const least = shown.reduce((a, b) => ((b.dispensable ?? 0) > (a.dispensable ?? 0) ? b : a))
    if (least.dispensable === undefined) break
    shown = shown.filter((column) => column !== least)
  }
  const widths = shown.map(({ width }) => width)
  const cut = total() > style.columns ? narrowed(shown, style.columns) : undefined
  const table = new Table({
    ...bare(style),
    colAligns: shown.map(({ align }) => align ?? 'left'),
    ...(cut === undefined ? {} : { colWidths: cut.map((width) => width + GAP) }),
  })
  table.push(shown.map(({ title }) => bold(title, style).text))
  table.push((cut ?? widths).map((width) => (style.unicode ? '─' : '-').repeat(width)))
  for (const at of rows.keys()) table.push(shown.map(({ cells }) => cells[at]!))
  return trimmed(table.toString())
}

/** Of a list. */
export type Row = readonly [name: string, text: Part]

/** Names and what is to say of each, in two columns; long texts go on below themselves. */
export function listText(rows: readonly Row[], style: Style): string {
  const names = widest(rows.map(([name]) => name)) + GAP
  const room = style.columns - names
  const wraps = Number.isFinite(room) && room >= 20
  const table = new Table({ ...bare(style), ...(wraps ? { colWidths: [names, room], wordWrap: true } : {}) })
  for (const [name, text] of rows) table.push([name, inked(text)])
  return trimmed(table.toString())
}

function bare({ unicode }: Style): Table.TableConstructorOptions {
  const none = Object.fromEntries(EDGES.map((edge) => [edge, '']))
  return {
    chars: { ...none, middle: '' },
    truncate: unicode ? '…' : '~',
    style: { 'padding-left': 0, 'padding-right': GAP, head: [], border: [], compact: true },
  }
}

const EDGES = 'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid'.split(
  ' ',
)

/** A character at a time: of the columns that are cut first, down to what still tells names apart, then of the widest, so that figures stay whole. */
function narrowed(columns: readonly { readonly width: number; readonly cutFirst?: boolean }[], room: number): number[] {
  const left = columns.map(({ width, cutFirst = false }) => ({ width, cutFirst }))
  let over = left.reduce((sum, { width }) => sum + width + GAP, -GAP) - room
  const cut = (some: typeof left, least: number): void => {
    for (; over > 0 && some.length > 0; over -= 1) {
      const column = some.reduce((a, b) => (b.width > a.width ? b : a))
      if (column.width <= least) return
      column.width -= 1
    }
  }
  cut(
    left.filter(({ cutFirst }) => cutFirst),
    LEAST_NAME,
  )
  cut(left, LEAST)
  return left.map(({ width }) => width)
}

const LEAST_NAME = 12
/** Fewer characters say nothing. */
const LEAST = 4

function trimmed(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

function widest(texts: readonly string[]): number {
  return Math.max(...texts.map((text) => text.replaceAll(CONTROL, '').length))
}

// oxlint-disable-next-line no-control-regex -- what `bold` and `red` put around a text takes no room
const CONTROL = /\u001B\[\d+m/g
