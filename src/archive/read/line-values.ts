import { TAGS } from '../../database/exporting.ts'
import { tagged } from '../../database/exporting/archived-columns.ts'
import { bytesOf, cutLine, type LongString } from '../../database/exporting/json-line.ts'
import { asciiLower, LONGEST_PATTERN } from '../../policy/match.ts'

/** By its exact name, or as SQLite finds it; `undefined`: there is none. */
export function columnsIn(columns: readonly string[]): (name: string) => string | undefined {
  return (name) => columns.find((column) => column === name) ?? columns.find((column) => asciiLower(column) === asciiLower(name))
}

/** A line of a file. */
export interface LineRow {
  readonly values: Readonly<Record<string, unknown>>
  readonly long: ReadonlyMap<string, LongString>
  readonly text: string
}

/** Throws if the line is no JSON object. The line stays as it is. */
export function rowOf(line: Buffer): LineRow {
  const { text, long } = cutLine(line)
  const values: unknown = JSON.parse(text)
  if (typeof values !== 'object' || values === null || Array.isArray(values)) throw new SyntaxError('a line is no JSON object')
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is an object
  return { values: values as LineRow['values'], long, text }
}

/** Every text that the database may compare for a value; empty: it is NULL. */
export function textsOf({ values, long, text }: LineRow, column: string): readonly string[] | 'unclear' {
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
