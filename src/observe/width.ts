/** A style of ours, which takes no room, or a character. */
// oxlint-disable-next-line no-control-regex -- what `bold` and `red` put around a text
const PIECE = /\u001B\[\d+m|[^]/gu
const COMBINING = /\p{M}/u
/** East Asian scripts and pictures take two columns. */
const WIDE = /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\p{Emoji_Presentation}]/u

const PLAIN = /^[ -~]*$/

/** The columns of a terminal that a line takes. */
export function widthOf(line: string): number {
  if (PLAIN.test(line)) return line.length
  return (line.match(PIECE) ?? []).reduce((width, piece) => width + roomOf(piece), 0)
}

/** Blanks on the other side fill the room. */
export function aligned(line: string, room: number, side: 'left' | 'right' = 'left'): string {
  const blanks = ' '.repeat(Math.max(0, room - widthOf(line)))
  return side === 'left' ? line + blanks : blanks + line
}

/** What does not fit is cut, and `mark` says so; styles that begin in it end in it. */
export function cutTo(line: string, room: number, mark: string): string {
  if (widthOf(line) <= room) return line
  let left = room - mark.length
  let isCut = false
  return line.replaceAll(PIECE, (piece) => {
    if (isStyle(piece)) return piece
    left -= roomOf(piece)
    if (left >= 0 && !isCut) return piece
    const cut = isCut ? '' : mark
    isCut = true
    return cut
  })
}

/** Lines that fit, broken at blanks, and within a word where that alone is too long. */
export function wrapped(line: string, room: number): string[] {
  const lines: string[] = []
  let rest = ''
  for (const word of line.split(' ')) {
    if (rest !== '' && widthOf(rest) + 1 + widthOf(word) <= room) rest += ` ${word}`
    else {
      if (rest !== '') lines.push(rest)
      rest = ''
      for (const piece of word.match(PIECE) ?? []) {
        if (rest !== '' && widthOf(rest) + roomOf(piece) > room) {
          lines.push(rest)
          rest = ''
        }
        rest += piece
      }
    }
  }
  return [...lines, rest]
}

/**
 * A text in which no line is wider than the terminal. What is broken goes on below where its last column began (columns are two blanks or more
 * apart), or a little further in than its line.
 */
export function fitted(text: string, columns: number): string {
  if (!Number.isFinite(columns)) return text
  return text
    .split('\n')
    .flatMap((line) => (widthOf(line) <= columns ? line : broken(line, columns)))
    .join('\n')
}

function broken(line: string, columns: number): string[] {
  const [, indent = '', rest = ''] = /^( *)(.*)$/s.exec(line) ?? []
  const begin = /^.*\S {2,}(?=\S)/s.exec(line)?.[0] ?? ''
  const column = widthOf(begin)
  if (column > 0 && columns - column >= LEAST_TEXT)
    return wrapped(line.slice(begin.length), columns - column).map((each, at) => `${at === 0 ? begin : ' '.repeat(column)}${each}`)
  const further = `${indent}${INDENT}`
  if (columns - further.length < LEAST_TEXT) return wrapped(rest, Math.max(1, columns))
  const [first = '', ...others] = wrapped(rest, columns - indent.length)
  return [
    `${indent}${first}`,
    ...wrapped(others.join(' '), columns - further.length).flatMap((each) => (each === '' ? [] : `${further}${each}`)),
  ]
}

const INDENT = '  '
/** A narrower column of text is worse to read than one that begins further to the left. */
const LEAST_TEXT = 20

function isStyle(piece: string): boolean {
  return piece.startsWith('\u001B')
}

function roomOf(piece: string): number {
  return isStyle(piece) || COMBINING.test(piece) ? 0 : WIDE.test(piece) ? 2 : 1
}

/** What a terminal that does not tell its width is taken to have. */
const USUAL_COLUMNS = 80

interface Terminal {
  readonly output: boolean
  readonly error: boolean
  columns(): number | undefined
}

/** Infinity: what is written there is no terminal's. */
export function columnsOf(terminal: Terminal, stream: 'output' | 'error'): number {
  return terminal[stream] ? terminal.columns() || USUAL_COLUMNS : Infinity
}
