import type { Statement } from '../sql/statements.ts'
import { keyword, nameOf, type Token } from '../sql/tokens.ts'

/** What a statement of a file without a transaction does to an index. */
export interface IndexStep {
  readonly statement: Statement
  readonly does: 'create' | 'drop'
  readonly index: string
  /** What the statement locks: the table of a new index, or the index that is dropped. */
  readonly relation: string
  /** The statement with that relation's qualified name: outside a transaction no search_path has been set for it. */
  readonly sqlOn: (qualified: string) => string
}

/**
 * Accepts `CREATE [UNIQUE] INDEX CONCURRENTLY IF NOT EXISTS name ON …` and `DROP INDEX CONCURRENTLY IF EXISTS name`. Refuses any other statement, with a
 * reason: it would need locks that block the gateway, and what an interrupted attempt has left of it could not be recognised.
 */
export function indexStep(statement: Statement): IndexStep | { readonly refusal: string } {
  const { sql, start, tokens } = statement
  const rest = [...tokens]
  const takes = (...words: readonly string[]): boolean => {
    if (!words.every((word, at) => keyword(rest[at]) === word)) return false
    rest.splice(0, words.length)
    return true
  }
  const does = takes('CREATE') ? 'create' : takes('DROP') ? 'drop' : undefined
  if (does === 'create') takes('UNIQUE')
  if (does === undefined || !takes('INDEX', 'CONCURRENTLY')) return { refusal: ONLY_INDEXES }
  const repeatable = does === 'create' ? takes('IF', 'NOT', 'EXISTS') : takes('IF', 'EXISTS')
  if (does === 'create' && keyword(rest[0]) === 'ON') {
    return { refusal: 'the index must have a name, by which the worker recognises what an interrupted attempt has left' }
  }
  if (!repeatable) {
    const missing = does === 'create' ? 'IF NOT EXISTS' : 'IF EXISTS'
    return { refusal: `${missing} is missing: after an interrupted attempt the file runs again from its beginning` }
  }
  const name = rest.shift()
  const relation = does === 'drop' ? name : takes('ON', 'ONLY') || takes('ON') ? rest.shift() : undefined
  if (!isName(name) || !isName(relation) || rest[0]?.text === '.' || (does === 'drop' && !isEnd(rest[0]))) return { refusal: ONLY_INDEXES }
  const index = nameOf(name)
  if (Buffer.byteLength(index) > LONGEST_NAME_BYTES) {
    return { refusal: `the name of the index is longer than ${LONGEST_NAME_BYTES} bytes: the database would shorten it` }
  }
  const [from, to] = [relation.start - start, relation.start - start + relation.text.length]
  const sqlOn = (qualified: string): string => `${sql.slice(0, from)}${qualified}${sql.slice(to)}`
  return { statement, does, index, relation: nameOf(relation), sqlOn }
}

/** The indexes that exist after these steps. */
export function indexesMade(steps: readonly IndexStep[]): readonly string[] {
  const made = new Set<string>()
  for (const { does, index } of steps) {
    if (does === 'create') made.add(index)
    else made.delete(index)
  }
  return [...made]
}

const ONLY_INDEXES =
  'a file without a transaction may only hold CREATE INDEX CONCURRENTLY IF NOT EXISTS and DROP INDEX CONCURRENTLY IF EXISTS: ' +
  'put the rest into a separate migration, and do not qualify names'

const LONGEST_NAME_BYTES = 63

function isName(token: Token | undefined): token is Token {
  return token?.kind === 'word' || token?.kind === 'quoted'
}

function isEnd(token: Token | undefined): boolean {
  return token === undefined || token.text === ';' || keyword(token) === 'RESTRICT'
}
