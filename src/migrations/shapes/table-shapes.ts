import type { TypeFamily } from '../../database/migrating.ts'
import type { Statement } from '../sql/statements.ts'
import { keyword, nameOf, type Token } from '../sql/tokens.ts'
import type { RelationShape, Shape } from './adoption.ts'

/** The tables that a migration makes, read from its `CREATE TABLE` statements. */
export function tableShapes(statements: readonly Statement[]): Shape {
  return Object.fromEntries(statements.flatMap(tableShape))
}

const NOISE: ReadonlySet<string> = new Set(['IF', 'NOT', 'EXISTS'])

/** `CREATE TABLE [IF NOT EXISTS] name ( … )`. */
function tableShape({ tokens }: Statement): [string, RelationShape][] {
  const open = tokens.findIndex(({ text }) => text === '(')
  const [create, table, name] = tokens.slice(0, Math.max(open, 0)).filter((token) => !NOISE.has(keyword(token)))
  if (create === undefined || keyword(create) !== 'CREATE' || table === undefined || keyword(table) !== 'TABLE') return []
  return name === undefined ? [] : [[nameOf(name), { kind: 'table', columns: Object.fromEntries(columnsOf(tokens.slice(open + 1))) }]]
}

const CONSTRAINTS: ReadonlySet<string> = new Set(['CONSTRAINT', 'PRIMARY', 'UNIQUE', 'CHECK', 'FOREIGN', 'EXCLUDE'])

/** From behind the opening parenthesis on. A column begins behind a comma; what is in further parentheses belongs to the one before. */
function columnsOf(tokens: readonly Token[]): [string, TypeFamily][] {
  const columns: [string, TypeFamily][] = []
  let depth = 1
  let begins = true
  for (const [at, token] of tokens.entries()) {
    if (begins && !CONSTRAINTS.has(keyword(token))) columns.push([nameOf(token), FAMILIES[typeAt(tokens, at + 1)] ?? 'other'])
    if (token.text === '(') depth += 1
    if (token.text === ')') depth -= 1
    if (depth === 0) break
    begins = depth === 1 && token.text === ','
  }
  return columns
}

/** Of a type of PostgreSQL's own the name alone: `pg_catalog.text`. */
function typeAt(tokens: readonly Token[], at: number): string {
  return keyword(tokens[at]) === 'PG_CATALOG' && tokens[at + 1]?.text === '.' ? keyword(tokens[at + 2]) : keyword(tokens[at])
}

/** Every type that the migrations use; a test compares with what an engine says of the tables. */
const FAMILIES: Readonly<Record<string, TypeFamily | undefined>> = {
  BIGINT: 'whole',
  INTEGER: 'whole',
  TEXT: 'text',
  BOOLEAN: 'truth',
  TIMESTAMP: 'time',
}
