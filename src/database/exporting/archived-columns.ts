import { DatabaseError } from '../database-error.ts'
import { TAGS, type Restoring, type StoredColumn } from '../exporting.ts'

/** The limits of an engine, and how it compares names. */
export interface NameRules {
  readonly nameBytes: number
  readonly columns: number
  /** Equal for names that are the same to the engine. */
  readonly folded: (name: string) => string
}

/**
 * A manifest is an untrusted file: what it says of a table is refused here, in one sentence, unless a table can have such columns. Only
 * names that passed are quoted into a statement, and types only if they are in the engine's own list.
 */
export function mustBeRestorable({ into, source }: Restoring, columns: readonly StoredColumn[], rules: NameRules): void {
  const wrongTable = tableProblem(into, source, rules)
  if (wrongTable !== undefined) throw new DatabaseError('failed', `${wrongTable}; nothing was restored. Name another table with --into`)
  const problem = columnsProblem(columns, rules)
  if (problem !== undefined) throw notRestored(problem)
}

function tableProblem(into: string, source: string, rules: NameRules): string | undefined {
  const problem = nameProblem(into, rules)
  if (problem !== undefined) return `the table ${shown(into)} ${problem}`
  if (into !== source && RESERVED.test(into)) return `rows must not be restored into the table ${shown(into)}`
  return undefined
}

function columnsProblem(columns: readonly StoredColumn[], rules: NameRules): string | undefined {
  if (!Array.isArray(columns) || columns.length === 0) return 'the manifest names no columns'
  if (columns.length > rules.columns)
    return `the manifest names ${columns.length} columns, more than the ${rules.columns} that a table can have`
  const seen = new Set<string>()
  for (const { name, type } of columns) {
    const problem = nameProblem(name, rules) ?? (seen.has(rules.folded(name)) ? 'is named twice' : undefined)
    if (problem !== undefined) return `the manifest's column ${shown(name)} ${problem}`
    if (typeof type !== 'string') return `the manifest's column ${shown(name)} has no type`
    seen.add(rules.folded(name))
  }
  return undefined
}

function nameProblem(name: unknown, { nameBytes }: NameRules): string | undefined {
  if (typeof name !== 'string' || name === '') return 'has no name'
  if (name.includes('\0') || !name.isWellFormed()) return 'has a name that no table or column can have'
  return Buffer.byteLength(name) > nameBytes ? `has a name of more than ${nameBytes} bytes` : undefined
}

/** Tables that no archived row belongs in: the worker's own, and those of the engines. */
const RESERVED = /^(?:maintenance_|sqlite_|pg_)/i

/** Short, on one line and in ASCII, whatever the name is. */
function shown(name: unknown): string {
  const text = JSON.stringify(typeof name === 'string' ? name.slice(0, MOST_SHOWN).toWellFormed() : null)
  return text.replace(/[^\x20-\x7e]/g, '?')
}

const MOST_SHOWN = 64

/** A line of a file as a row: it must have exactly the columns of its manifest. */
export function mustBeRow<Value>(row: unknown, columns: readonly StoredColumn[]): Readonly<Record<string, Value>> {
  if (typeof row !== 'object' || row === null || Array.isArray(row)) throw notRestored('a line of the file is not a row')
  for (const { name } of columns) {
    if (!Object.hasOwn(row, name)) throw notRestored(`a line of the file has no column ${shown(name)}, which its manifest names`)
  }
  if (Object.keys(row).length !== columns.length) {
    const names = new Set(columns.map(({ name }) => name))
    const other = Object.keys(row).find((key) => !names.has(key))
    throw notRestored(`a line of the file has a column ${shown(other)}, which its manifest does not name`)
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its keys were checked; its values are what the caller's parser returns
  return row as Readonly<Record<string, Value>>
}

export function parsedLine(line: string, revive?: (key: string, value: unknown, context?: { source?: string }) => unknown): unknown {
  try {
    return JSON.parse(line, revive)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw notRestored('a line of the file is not JSON')
  }
}

/** The tag and the text of an object that stands for a value; `undefined`: no archive writes such an object. */
export function tagged(value: object): { readonly tag: string; readonly text: string } | undefined {
  const [entry, ...more] = Object.entries(value)
  if (entry === undefined || more.length > 0 || !KNOWN_TAGS.has(entry[0]) || typeof entry[1] !== 'string') return undefined
  return { tag: entry[0], text: entry[1] }
}

const KNOWN_TAGS: ReadonlySet<string> = new Set(Object.values(TAGS))

export function notRestored(problem: string): DatabaseError {
  return new DatabaseError(
    'failed',
    `${problem}; nothing of this batch was restored. Run archive verify, and choose other files or bring these back from a backup`,
  )
}

/** A trigger, a rule or a constraint of the table dropped the rows or changed them. */
export function notThere(into: string, rows: number): DatabaseError {
  return new DatabaseError(
    'failed',
    `${rows} rows that were just restored into ${into} are not there: a trigger, a rule or a constraint of that table drops or changes them. Nothing of this ` +
      'batch was restored; restore into a table without one',
  )
}
