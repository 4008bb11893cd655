/** One character of a screen and how it is shown. */
export interface Cell {
  readonly character: string
  readonly bold: boolean
  readonly red: boolean
}

const PLAIN = { bold: false, red: false } as const
const BLANK: Cell = { character: ' ', ...PLAIN }

/** What each sequence that sets a style changes. */
const STYLES: Readonly<Record<string, Partial<typeof BLANK>>> = {
  '0': PLAIN,
  '1': { bold: true },
  '22': { bold: false },
  '31': { red: true },
  '39': { red: false },
}

// oxlint-disable-next-line no-control-regex
const TOKEN = /\u001B\[(\?)?(\d*)(?:;\d+)*([A-Za-z])|[^]/gu

/** What a terminal of this width makes of what was sent to it, line by line, without blanks at the end; fails on a sequence that it does not know. */
export function cellsOf(sent: string, columns: number): readonly (readonly Cell[])[] {
  const lines: Cell[][] = [[]]
  let [row, column] = [0, 0]
  let style: Omit<Cell, 'character'> = PLAIN
  for (const [text, , count = '', kind] of sent.matchAll(TOKEN)) {
    const line = (lines[row] ??= [])
    if (kind === 'A') row = Math.max(0, row - Number(count || 1))
    else if (kind === 'G') column = Number(count || 1) - 1
    else if (kind === 'K') line.splice(count === '2' ? 0 : column)
    else if (kind === 'J') {
      line.splice(column)
      lines.splice(row + 1)
    } else if (kind === 'm') style = { ...style, ...STYLES[count || '0'] }
    else if (kind !== undefined) throw new Error(`an unknown sequence was sent: ${JSON.stringify(text)}`)
    else if (text === '\n') row += 1
    else if (text === '\r') column = 0
    else {
      if (column === columns) [row, column] = [row + 1, 0]
      ;(lines[row] ??= [])[column] = { character: text, ...style }
      column += 1
    }
  }
  return Array.from(lines, (line) => withoutEnd(Array.from(line ?? [], (cell) => cell ?? BLANK)))
}

/** The same as text. */
export function screenOf(sent: string, columns: number): readonly string[] {
  return cellsOf(sent, columns).map((line) => line.map(({ character }) => character).join(''))
}

function withoutEnd(line: readonly Cell[]): readonly Cell[] {
  return line.slice(0, line.findLastIndex(({ character }) => character !== ' ') + 1)
}
