import type { TooLarge } from '../database/exporting.ts'
import { plural } from '../number-text.ts'
import { LONGEST_ROW } from './format.ts'

/** A sentence about rows that are too large for the archive. */
export function tooLargeSentence(table: string, { rows, ids }: TooLarge): string {
  const named = ids.filter((id) => id !== '')
  const which = named.length === 0 ? '' : `: id ${named.join(', ')}${rows > named.length ? ` and ${rows - named.length} more` : ''}`
  const are = plural(rows, 'expired row is', 'expired rows are')
  const them = plural(rows, 'it', 'them')
  return `${table}: ${rows} ${are} kept because of the archive's limit of ${LONGEST_ROW} a row${which}. Copy ${them} elsewhere if needed, and delete ${them} by hand`
}
