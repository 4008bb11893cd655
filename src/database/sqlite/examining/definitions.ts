/** A piece of SQL that means what it says: a comment, a text, a quoted name, or something else. */
const PIECES =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[A-Za-z_\u0080-\uFFFF][\w$\u0080-\uFFFF]*|\s+|[\s\S]/g

/** A statement of the schema without comments, with single spaces, names that need no quotes without them, and words in lower case. */
export function plainSql(sql: string): string {
  const pieces = (sql.match(PIECES) ?? []).map((piece) => {
    if (/^(--|\/\*|\s)/.test(piece)) return ' '
    if (piece.startsWith("'")) return piece
    const [, quoted] = /^["`[]([A-Za-z_]\w*)["`\]]$/.exec(piece) ?? []
    return (quoted ?? piece).replace(/[A-Z]/g, (letter) => letter.toLowerCase())
  })
  return pieces
    .join('')
    .replaceAll(/ +/g, ' ')
    .replaceAll(/ ?([(),;]) ?/g, '$1')
    .trim()
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
  const text = plainSql(sql)
  return [...text.matchAll(/\bcheck\(/g)].map(({ index }) => text.slice(index, endOf(text, index + 'check('.length)))
}

/** Behind the parenthesis that closes one that was opened before `from`; those in texts do not count. */
function endOf(text: string, from: number): number {
  let depth = 1
  let at = from
  for (; depth > 0 && at < text.length; at += 1) {
    if (text[at] === "'") at = text.indexOf("'", at + 1)
    if (at === -1) return text.length
    depth += text[at] === '(' ? 1 : text[at] === ')' ? -1 : 0
  }
  return at
}
