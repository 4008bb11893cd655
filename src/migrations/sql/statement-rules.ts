import { indexStep } from '../indexes/concurrent-indexes.ts'
import { NO_TRANSACTION } from './directives.ts'
import { words, type Statement } from './statements.ts'

export interface Problem {
  /** UTF-16 offset in the file. */
  readonly at: number
  readonly problem: string
}

/** Why a statement is not allowed in a file that runs in one transaction or, if `outside`, without one. */
export function problemsIn(statement: Statement, outside: boolean): readonly Problem[] {
  const backslash = statement.tokens.find(({ kind, text }) => kind === 'symbol' && text === '\\')
  if (backslash !== undefined) return [{ at: backslash.start, problem: 'a psql command is not allowed here: a migration is plain SQL' }]
  const problem = outside ? refusalOutside(statement) : refusal(statement)
  return problem === undefined ? [] : [{ at: statement.start, problem }]
}

const TRANSACTION_WORDS: ReadonlySet<string> = new Set(['BEGIN', 'START', 'COMMIT', 'END', 'ROLLBACK', 'ABORT', 'SAVEPOINT', 'RELEASE'])

function refusal(statement: Statement): string | undefined {
  const spoken = words(statement)
  const [first = '', second = ''] = spoken
  if (TRANSACTION_WORDS.has(first)) return `${first} is not allowed: the worker runs the whole file in one transaction`
  if (first === 'PREPARE' && second === 'TRANSACTION') return 'PREPARE TRANSACTION is not allowed: the worker commits the transaction'
  if (first === 'COPY' && spoken.some((word, index) => word === 'FROM' && spoken[index + 1] === 'STDIN')) {
    return 'COPY … FROM stdin is not allowed: write INSERT statements'
  }
  if (first === 'VACUUM') return 'VACUUM is not allowed: it cannot run in the transaction that holds the whole file'
  if (spoken.slice(0, 4).includes('CONCURRENTLY')) {
    return `CONCURRENTLY is not allowed in the transaction that holds the whole file: give it a file that begins with -- @${NO_TRANSACTION}`
  }
  if (setsSearchPath(statement, spoken)) return 'the worker sets search_path to the configured schema: do not set it here'
  return undefined
}

function refusalOutside(statement: Statement): string | undefined {
  const step = indexStep(statement)
  return 'refusal' in step ? step.refusal : undefined
}

function setsSearchPath(statement: Statement, spoken: readonly string[]): boolean {
  const [first = '', second = '', third = ''] = spoken
  if (first === 'SET') return second === 'SEARCH_PATH' || ((second === 'LOCAL' || second === 'SESSION') && third === 'SEARCH_PATH')
  if (first === 'RESET') return second === 'SEARCH_PATH' || second === 'ALL'
  if (first === 'DISCARD') return second === 'ALL'
  return spoken.includes('SET_CONFIG') && statement.tokens.some(({ text }) => text.toLowerCase() === "'search_path'")
}
