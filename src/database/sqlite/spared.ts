import type { EpochMs } from '../../time.ts'
import type { Connection, TimeRow } from './connection.ts'
import { EPOCH_UNITS, standing } from './times.ts'
import { START, type Walk } from './walk.ts'

/** A table without an index is purged only where it is no larger; see inspect. */
const MOST_UNINDEXED_ROWS = 50_000
/** Rows looked at where a row that stays should lie. */
const LOOK_ROWS = 100

/**
 * Whether a row is known that stays because its time has not come: of the text that sorts behind the cutoff the first rows and the newest, and
 * any number behind it. Where thousands of unreadable texts lie before and behind the only such row, it is not seen.
 */
export function sparesAny(
  connection: Connection,
  { statements, indexed, kept, expired }: Walk,
  cutoff: EpochMs,
  wallCutoff: EpochMs,
): boolean {
  const stays = ([value]: TimeRow): boolean => standing(value, cutoff, wallCutoff) === 'kept'
  if (!indexed) return (expired.read(connection, START, MOST_UNINDEXED_ROWS)?.rows ?? []).some(stays)
  for (let from = START; ;) {
    const stretch = kept.read(connection, from, LOOK_ROWS)
    if (stretch === undefined) break
    if (stretch.rows.some(stays)) return true
    from = { range: from.range + 1, row: undefined }
  }
  if (connection.timeRows(statements.newest, ['2000-', '2101-', LOOK_ROWS]).some(stays)) return true
  return EPOCH_UNITS.some(({ from, below, at }) => {
    const range = { kind: 'number', from: at(cutoff) > from ? at(cutoff) : from, below } as const
    return connection.figure(statements.bounded(range), [range.from, range.below, 1]) > 0
  })
}
