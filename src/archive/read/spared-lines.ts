import { isMatch } from '../../policy/match.ts'
import type { Spared, SparedRows } from '../../policy/spared.ts'
import type { EpochMs } from '../../time/clock.ts'
import { columnsIn, rowOf, textsOf, type LineRow } from './line-values.ts'

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
  const isInRange = ({ from, until }: Spared, row: LineRow): boolean => {
    if (from === undefined && until === undefined) return true
    const instants = instantsOf(row.values[timeColumn])
    if (instants.length === 0) return inDoubt
    return instants.some((instant) => (from === undefined || instant >= from) && (until === undefined || instant < until))
  }
  const isMatched = ({ match }: Spared, row: LineRow): boolean =>
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
