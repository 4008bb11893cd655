/** A piece of SQL: a comment, a text, a quoted name, a word, space, or something else. */
const PIECES =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[A-Za-z_\u0080-\uFFFF][\w$\u0080-\uFFFF]*|\s+|[\s\S]/g

/** What of these stands beside them needs no space. */
const PUNCTUATION: ReadonlySet<string> = new Set(['(', ')', ',', ';'])

/** A statement of the schema without comments, with single spaces, names that need no quotes without them, and words in lower case. */
export function plainSql(sql: string): string {
  return joined(piecesOf(sql))
}

/** What a view, trigger or index is, from behind its name. */
export function afterName(sql: string): string {
  return plainSql(sql).replace(
    /^create (?:temp |temporary )?(?:unique )?(?:view|trigger|index) (?:if not exists )?(?:[^\s"(]+|"(?:[^"]|"")*")\s?/,
    '',
  )
}

/** The conditions of a table, in order. */
export function checksIn(sql: string): readonly string[] {
  const pieces = piecesOf(sql)
  return pieces.flatMap(({ text }, at) =>
    text === 'check' && pieces[at + 1]?.text === '(' ? [joined(pieces.slice(at, endOf(pieces, at + 1)))] : [],
  )
}

interface Piece {
  readonly text: string
  /** Whether space or a comment stands before it. */
  readonly apart: boolean
}

function piecesOf(sql: string): readonly Piece[] {
  let apart = false
  return (sql.match(PIECES) ?? []).flatMap((piece) => {
    if (/^(?:--|\/\*|\s)/.test(piece)) {
      apart = true
      return []
    }
    const made = { text: plain(piece), apart }
    apart = false
    return [made]
  })
}

/** A text means itself. Names are told apart without their case. */
function plain(piece: string): string {
  if (piece.startsWith("'")) return piece
  const [, quoted] = /^["`[]([A-Za-z_]\w*)["`\]]$/.exec(piece) ?? []
  return (quoted ?? piece).replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

function joined(pieces: readonly Piece[]): string {
  return pieces
    .map(({ text, apart }, at) => {
      const before = pieces[at - 1]?.text
      return apart && before !== undefined && !PUNCTUATION.has(before) && !PUNCTUATION.has(text) ? ` ${text}` : text
    })
    .join('')
}

/** Behind the parenthesis that closes the one that opens at `from`. */
function endOf(pieces: readonly Piece[], from: number): number {
  let depth = 0
  for (let at = from; at < pieces.length; at += 1) {
    depth += pieces[at]!.text === '(' ? 1 : pieces[at]!.text === ')' ? -1 : 0
    if (depth === 0) return at + 1
  }
  return pieces.length
}
