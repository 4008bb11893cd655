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
 * Splits the SQL of either engine into tokens; comments and white space are dropped. The engines read some texts differently (only one nests comments, only
 * one knows `$tag$`), but a file that is valid for its engine is read as that engine reads it.
 */
export function tokenize(sql: string): Tokens {
  const tokens: Token[] = []
  let at = 0
  while (at < sql.length) {
    at = matchEnd(/(?:\s+|--[^\n]*)+/y, sql, at) ?? at
    if (at === sql.length) break
    const start = at
    const lexeme = lexemeAt(sql, start)
    if (lexeme.end === undefined) return { tokens, open: { what: lexeme.kind === 'comment' ? 'comment' : 'quote', start } }
    at = lexeme.end
    if (lexeme.kind !== 'comment') tokens.push({ kind: lexeme.kind, text: sql.slice(start, at), start })
  }
  return { tokens, open: undefined }
}

/** In upper case; empty for anything but a bare word. */
export function keyword(token: Token | undefined): string {
  return token?.kind === 'word' ? token.text.toUpperCase() : ''
}

/** The name that an identifier denotes. */
export function nameOf({ kind, text }: Token): string {
  return kind === 'quoted' ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase()
}

interface Lexeme {
  readonly kind: Token['kind'] | 'comment'
  /** `undefined`: it never ends. */
  readonly end: number | undefined
}

/** Every character beyond ASCII counts as a letter, as in both engines. */
function lexemeAt(sql: string, start: number): Lexeme {
  switch (sql.charAt(start)) {
    case "'":
      return { kind: 'text', end: quoteEnd(sql, start, false) }
    case '"':
    case '`':
      return { kind: 'quoted', end: quoteEnd(sql, start, false) }
    case '/':
      return sql[start + 1] === '*' ? { kind: 'comment', end: commentEnd(sql, start) } : { kind: 'symbol', end: start + 1 }
    case '$': {
      const tagEnd = matchEnd(/\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$/y, sql, start)
      if (tagEnd !== undefined) return { kind: 'text', end: closing(sql, sql.slice(start, tagEnd), tagEnd) }
      return { kind: 'symbol', end: start + 1 }
    }
    case 'E':
    case 'e':
      // Only E'…' has backslash escapes, and only if the E is not the end of a longer name.
      if (sql[start + 1] === "'") return { kind: 'text', end: quoteEnd(sql, start + 1, true) }
  }
  const word = matchEnd(/[\w\x80-\uffff][\w$\x80-\uffff]*/y, sql, start)
  return word === undefined ? { kind: 'symbol', end: start + 1 } : { kind: 'word', end: word }
}

function matchEnd(sticky: RegExp, sql: string, start: number): number | undefined {
  sticky.lastIndex = start
  return sticky.test(sql) ? sticky.lastIndex : undefined
}

/** A doubled quote is a quote inside the literal and does not end it. */
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
