import { tokenize, type Token } from './tokens.ts'

export interface Statement {
  /** Counted from 1. */
  readonly number: number
  /** The text that is sent, from its first token to its semicolon. Comments before it are left out; comments inside it stay. */
  readonly sql: string
  /** UTF-16 offset of `sql` in the file. */
  readonly start: number
  readonly tokens: readonly Token[]
}

export interface Statements {
  readonly statements: readonly Statement[]
  /** Why the file cannot be split; then `statements` are those before that place. */
  readonly open: { readonly what: string; readonly start: number } | undefined
}

/** Splits a file at its top-level semicolons, never inside quotes, comments, parentheses or the body of a trigger or function. */
export function splitStatements(text: string): Statements {
  const { tokens, open } = tokenize(text)
  const statements: Statement[] = []
  let current: Token[] = []
  const parentheses: number[] = []
  let body = closedBody()

  const finish = (): void => {
    const [first, last] = [current[0], current.at(-1)]
    // A lone semicolon is not a statement.
    if (first !== undefined && last !== undefined && current.some((token) => token.text !== ';')) {
      const sql = text.slice(first.start, last.start + last.text.length)
      statements.push({ number: statements.length + 1, sql, start: first.start, tokens: current })
    }
    current = []
    body = closedBody()
  }

  for (const token of tokens) {
    current.push(token)
    if (token.kind === 'word') body = afterWord(body, token.text.toUpperCase(), current)
    if (token.kind !== 'symbol') continue
    if (token.text === '(') parentheses.push(token.start)
    if (token.text === ')') parentheses.pop()
    if (token.text === ';' && parentheses.length === 0 && body.depth === 0) finish()
  }
  const parenthesis = parentheses[0]
  if (open !== undefined) return { statements, open }
  if (parenthesis !== undefined) return { statements, open: { what: 'parenthesis', start: parenthesis } }
  if (body.depth > 0) return { statements, open: { what: 'BEGIN', start: body.start } }
  finish()
  return { statements, open: undefined }
}

/** Upper-cased bare words of the statement, from its first on: enough to tell what it does. */
export function words(statement: Statement): readonly string[] {
  return statement.tokens.filter(({ kind }) => kind === 'word').map(({ text }) => text.toUpperCase())
}

/** Semicolons between the BEGIN of a body and its END belong to the statement. */
interface Body {
  readonly depth: number
  readonly start: number
}

function closedBody(): Body {
  return { depth: 0, start: 0 }
}

function afterWord(body: Body, word: string, current: readonly Token[]): Body {
  if (body.depth > 0) {
    // Inside a body CASE is the only other thing that END closes.
    if (word === 'CASE') return { ...body, depth: body.depth + 1 }
    return word === 'END' ? { ...body, depth: body.depth - 1 } : body
  }
  const opens = word === 'BEGIN' ? makesTrigger(current) : word === 'ATOMIC' && before(current) === 'BEGIN' && makesRoutine(current)
  return opens ? { depth: 1, start: current.at(-1)?.start ?? 0 } : body
}

function makesTrigger(current: readonly Token[]): boolean {
  return /^CREATE (?:TEMP |TEMPORARY )?TRIGGER /.test(opening(current))
}

function makesRoutine(current: readonly Token[]): boolean {
  return /^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE) /.test(opening(current))
}

function opening(current: readonly Token[]): string {
  return `${current
    .slice(0, 4)
    .map(({ text }) => text.toUpperCase())
    .join(' ')} `
}

function before(current: readonly Token[]): string | undefined {
  return current.at(-2)?.text.toUpperCase()
}
