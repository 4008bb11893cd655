export interface Token {
  /** `word`: a bare name, number or keyword. `quoted`: a quoted identifier. `text`: a literal. `symbol`: any other single character. */
  readonly kind: 'word' | 'quoted' | 'text' | 'symbol'
  /** As written, quotes included. */
  readonly text: string
  /** UTF-16 offset in the file. */
  readonly start: number
}

export interface Tokens {
  readonly tokens: readonly Token[]
  /** A quote or comment that never ends. */
  readonly open: { readonly what: string; readonly start: number } | undefined
}

/**
 * Reads SQL of either engine; comments and white space leave no token. Where the engines read the same text differently (only one nests
 * comments, only one knows `$tag$`), a file that is right for its engine is read as that engine does.
 */
export function tokenize(sql: string): Tokens {
  const tokens: Token[] = []
  let at = 0
  while (at < sql.length) {
    const start = at
    const lexeme = lexemeAt(sql, start)
    if (lexeme.end === undefined) return { tokens, open: { what: lexeme.kind === 'comment' ? 'comment' : 'quote', start } }
    at = lexeme.end
    if (lexeme.kind !== 'space' && lexeme.kind !== 'comment') tokens.push({ kind: lexeme.kind, text: sql.slice(start, at), start })
  }
  return { tokens, open: undefined }
}

interface Lexeme {
  readonly kind: Token['kind'] | 'space' | 'comment'
  /** `undefined`: it never ends. */
  readonly end: number | undefined
}

function lexemeAt(sql: string, start: number): Lexeme {
  const space = matchEnd(/\s+/y, sql, start)
  if (space !== undefined) return { kind: 'space', end: space }
  const line = matchEnd(/--[^\n]*/y, sql, start)
  if (line !== undefined) return { kind: 'comment', end: line }
  if (sql.startsWith('/*', start)) return { kind: 'comment', end: commentEnd(sql, start) }
  const tagEnd = matchEnd(/\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy, sql, start)
  if (tagEnd !== undefined) return { kind: 'text', end: closing(sql, sql.slice(start, tagEnd), tagEnd) }
  // Only E'…' knows backslash escapes, and only where E is no part of a longer name; a name is matched whole below.
  if (sql[start + 1] === "'" && (sql[start] === 'E' || sql[start] === 'e')) return { kind: 'text', end: quoteEnd(sql, start + 1, true) }
  if (sql[start] === "'") return { kind: 'text', end: quoteEnd(sql, start, false) }
  if (sql[start] === '"' || sql[start] === '`') return { kind: 'quoted', end: quoteEnd(sql, start, false) }
  const word = matchEnd(/[\p{L}\p{N}_][\p{L}\p{N}\p{M}_$]*/uy, sql, start)
  return word === undefined ? { kind: 'symbol', end: start + 1 } : { kind: 'word', end: word }
}

function matchEnd(sticky: RegExp, sql: string, start: number): number | undefined {
  sticky.lastIndex = start
  return sticky.test(sql) ? sticky.lastIndex : undefined
}

/** A doubled quote is one quote inside, and the two halves of it never end the literal. */
function quoteEnd(sql: string, start: number, escapes: boolean): number | undefined {
  const quote = sql[start]
  for (let at = start + 1; at < sql.length; at += 1) {
    if (escapes && sql[at] === '\\') at += 1
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return at + 1
      at += 1
    }
  }
  return undefined
}

function closing(sql: string, tag: string, from: number): number | undefined {
  const found = sql.indexOf(tag, from)
  return found === -1 ? undefined : found + tag.length
}

function commentEnd(sql: string, start: number): number | undefined {
  const edge = /\/\*|\*\//g
  edge.lastIndex = start
  let depth = 0
  for (let match = edge.exec(sql); match !== null; match = edge.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1
    if (depth === 0) return edge.lastIndex
  }
  return undefined
}
