import type { RowLines } from '../../database/exporting.ts'
import { cutLine } from '../../database/exporting/json-line.ts'

/** Parses a line of a file into the row that it holds. */
export function lineOf(line: Buffer, timeColumn: string, instantOf: (value: unknown) => number): RowLines {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a line holds one object
  const row = JSON.parse(cutLine(line).text) as Record<string, unknown>
  const { id } = row
  const name = typeof id === 'string' || typeof id === 'number' ? String(id) : ''
  return { count: 1, at: [instantOf(row[timeColumn])], idOf: () => name, lines: NOTHING, ends: [0], pieces: [line, LINE_FEED] }
}

const NOTHING = Buffer.alloc(0)
const LINE_FEED = Buffer.from('\n')
