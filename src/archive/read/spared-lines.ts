import { TAGS } from '../../database/exporting.ts'
import { tagged } from '../../database/exporting/archived-columns.ts'
import { bytesOf, cutLine, type LongString } from '../../database/exporting/json-line.ts'
import { asciiLower, isMatch, LONGEST_PATTERN } from '../../policy/match.ts'
import type { Spared, SparedRows } from '../../policy/spared.ts'
import type { EpochMs } from '../../time/clock.ts'

export interface LineOptions {
  /** The columns that the file has. */
  readonly columns: readonly string[]
  readonly timeColumn: string
  readonly instantsOf: (value: unknown) => readonly EpochMs[]
  /** Whether a row counts as spared where its line cannot tell: its file lacks a column of the match, or a value is none of text. */
  readonly inDoubt: boolean
}

/** Whether each of `spared` spares the row of a line of a file, as it would spare that row in the table. Throws if the line is no JSON object. The line stays as it is. */
export function lineJudge(spared: SparedRows, options: LineOptions): (line: Buffer) => readonly boolean[] {
  const columnOf = columnsIn(options.columns)
  const { inDoubt, instantsOf } = options
  const timeColumn = columnOf(options.timeColumn) ?? options.timeColumn
  const isInRange = ({ from, until }: Spared, row: Row): boolean => {
    if (from === undefined && until === undefined) return true
    const instants = instantsOf(row.values[timeColumn])
    if (instants.length === 0) return inDoubt
    return instants.some((instant) => (from === undefined || instant >= from) && (until === undefined || instant < until))
  }
  const isMatched = ({ match }: Spared, row: Row): boolean =>
    Object.entries(match).every(([name, patterns]) => {
      const column = columnOf(name)
      if (column === undefined) return inDoubt
      const texts = textsOf(row, column)
      return texts === 'unclear' ? inDoubt : texts.some((text) => isMatch({ [name]: patterns }, () => text))
    })
  return (line) => {
    const row = rowOf(line)
    return spared.map((each) => isMatched(each, row) && isInRange(each, row))
  }
}

/** By its exact name, or as SQLite finds it; `undefined`: there is none. */
function columnsIn(columns: readonly string[]): (name: string) => string | undefined {
  return (name) => columns.find((column) => column === name) ?? columns.find((column) => asciiLower(column) === asciiLower(name))
}

interface Row {
  readonly values: Readonly<Record<string, unknown>>
  readonly long: ReadonlyMap<string, LongString>
  readonly text: string
}

function rowOf(line: Buffer): Row {
  const { text, long } = cutLine(line)
  const values: unknown = JSON.parse(text)
  if (typeof values !== 'object' || values === null || Array.isArray(values)) throw new SyntaxError('a line is no JSON object')
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is an object
  return { values: values as Row['values'], long, text }
}

/** Every text that the database may compare for a value; empty: it is NULL. */
function textsOf({ values, long, text }: Row, column: string): readonly string[] | 'unclear' {
  const cut = long.get(column)
  if (cut !== undefined) return [beginningOf(cut)]
  const value = values[column]
  if (value === null || value === undefined) return []
  if (typeof value === 'string') return [value]
  if (typeof value === 'boolean') return value ? ['true', 't', '1'] : ['false', 'f', '0']
  if (typeof value === 'number') {
    const digits = digitsOf(text, column)
    // The engines write numbers with a point or an exponent in different ways.
    return digits !== undefined && /^-?\d+$/.test(digits) ? [digits] : 'unclear'
  }
  const { tag, text: given } = typeof value === 'object' ? (tagged(value) ?? { tag: undefined, text: '' }) : { tag: undefined, text: '' }
  if (tag === TAGS.text) return [Buffer.from(given, 'hex').toString()]
  if (tag === TAGS.bytes) return [Buffer.from(given, 'hex').toString(), `\\x${given}`]
  return 'unclear'
}

/** No pattern is longer. Text that is not UTF-8 keeps its beginning up to there. */
const MOST_COMPARED = 8 * LONGEST_PATTERN

/** Of a copy: it is decoded in place. */
function beginningOf({ tag, json }: LongString): string {
  return bytesOf({ tag, json: Buffer.from(json) })
    .subarray(0, MOST_COMPARED)
    .toString()
}

/** An integer with all its digits, as the line has it. */
function digitsOf(text: string, column: string): string | undefined {
  let found: string | undefined
  JSON.parse(text, (key, value: unknown, context?: { source?: string }) => {
    if (key === column && typeof value === 'number') found = context?.source
    return value
  })
  return found
}
