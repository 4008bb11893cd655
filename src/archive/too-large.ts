import type { TooLarge } from '../database/exporting.ts'
import { plural } from '../number-text.ts'
import { LONGEST_ROW } from './format.ts'

/** Of rows that the archive does not take. */
export function tooLargeSentence(table: string, { rows, ids }: TooLarge): string {
  const named = ids.filter((id) => id !== '')
  const which = named.length === 0 ? '' : `: id ${named.join(', ')}${rows > named.length ? ` and ${rows - named.length} more` : ''}`
  const are = plural(rows, 'row of it that has expired is', 'rows of it that have expired are')
  const them = plural(rows, 'it', 'them')
  return `${table}: ${rows} ${are} kept, being longer than the ${LONGEST_ROW} that the archive takes${which}. Copy ${them} elsewhere if need be, and delete ${them} by hand`
}
