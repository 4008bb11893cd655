import type { TooLarge } from '../database/exporting.ts'
import { LONGEST_ROW } from './format.ts'

/** Of rows that the archive does not take. */
export function tooLargeSentence(table: string, { rows, ids }: TooLarge): string {
  const named = ids.filter((id) => id !== '')
  const which = named.length === 0 ? '' : `: id ${named.join(', ')}${rows > named.length ? ` and ${rows - named.length} more` : ''}`
  const [are, them] = rows === 1 ? ['row of it that has expired is', 'it'] : ['rows of it that have expired are', 'them']
  return `${table}: ${rows} ${are} kept, being longer than the ${LONGEST_ROW} that the archive takes${which}. Copy ${them} elsewhere if need be, and delete ${them} by hand`
}
