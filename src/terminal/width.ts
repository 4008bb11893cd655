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
        if (widthOf(rest) + roomOf(piece) > room) {
          lines.push(rest)
          rest = ''
        }
        rest += piece
      }
    }
  }
  return [...lines, rest]
}

function isStyle(piece: string): boolean {
  return piece.startsWith('\u001B')
}

function roomOf(piece: string): number {
  return isStyle(piece) || COMBINING.test(piece) ? 0 : WIDE.test(piece) ? 2 : 1
}
