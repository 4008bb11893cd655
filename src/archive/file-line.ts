import type { RowLines } from '../database/database.ts'

/** A line of a file, as the row that it is. */
export function lineOf(line: string, timeColumn: string, instantOf: (value: unknown) => number): RowLines {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a line holds one object
  const row = JSON.parse(line) as Record<string, unknown>
  const { id } = row
  const lines = Buffer.from(`${line}\n`)
  const name = typeof id === 'string' || typeof id === 'number' ? String(id) : ''
  return { count: 1, at: [instantOf(row[timeColumn])], idOf: () => name, lines, ends: [lines.length] }
}
