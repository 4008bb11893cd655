import { bold, inked, type Part, type Style } from './style.ts'
import { aligned, cutTo, widthOf, wrapped } from '../observe/width.ts'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** On a narrow terminal, the column with the highest number is left out first; one without a number stays. */
  readonly dispensable?: number
  /** If those that stay do not fit either, this column is shortened before the others. */
  readonly cutFirst?: boolean
}

const GAP = 2
const BETWEEN = ' '.repeat(GAP)
const NOTE = '    '

/**
 * A table with a single rule, below its titles. A column with nothing in it is left out; on a narrow terminal, so are columns that do not fit, one by one.
 * `notes` are the lines below a row, never shortened.
 */
export function tableText(
  columns: readonly Column[],
  rows: readonly (readonly Part[])[],
  style: Style,
  notes: readonly (readonly string[])[] = [],
): string {
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
  const widths = total() > style.columns ? narrowed(shown, style.columns) : shown.map(({ width }) => width)
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, at) => aligned(cutTo(text, widths[at]!, style.unicode ? '…' : '~'), widths[at]!, shown[at]!.align))
      .join(BETWEEN)
      .trimEnd()
  return [
    line(shown.map(({ title }) => bold(title, style).text)),
    line(widths.map((width) => (style.unicode ? '─' : '-').repeat(width))),
    ...rows.flatMap((_, row) => [
      line(shown.map(({ cells }) => cells[row]!)),
      ...(notes[row] ?? []).flatMap((note) => wrapped(inked(note), style.columns - NOTE.length).map((each) => `${NOTE}${each}`)),
    ]),
  ].join('\n')
}

/** A row of a list. */
export type Row = readonly [name: string, text: Part]

/** Names and texts, in two columns; a long text continues below itself. */
export function listText(rows: readonly Row[], { columns }: Style): string {
  const names = widest(rows.map(([name]) => name))
  const room = columns - names - GAP
  return rows
    .flatMap(([name, text]) => {
      const lines = room < LEAST_TEXT ? [inked(text)] : wrapped(inked(text), room)
      return lines.map((line, at) => `${aligned(at === 0 ? name : '', names)}${BETWEEN}${line}`.trimEnd())
    })
    .join('\n')
}

/** A narrower column of text is harder to read than lines that the terminal breaks. */
const LEAST_TEXT = 20

/**
 * Takes one character at a time: from the columns that are cut first, down to what still tells names apart, then from the widest, so that figures stay whole.
 */
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

function widest(texts: readonly string[]): number {
  return Math.max(...texts.map(widthOf))
}
