import type { Converted, PartitionState, Undoing } from '../database/partitioning.ts'
import { counted, countText, plural, someText } from '../number-text.ts'
import { DAY, type EpochMs } from '../time/clock.ts'
import { durationText, minuteText } from '../time/time-text.ts'
import type { TablePartitions } from './partitions-status.ts'

/** What is known of a table's partitions, a name and a text each, for the terminal and the page. */
export function partitionFacts(
  { table, state, problem }: TablePartitions,
  at: EpochMs,
): readonly (readonly [name: string, text: string])[] {
  if (state === undefined) return [[table, `not known: ${problem ?? ''}`]]
  return [[table, stateText(state)], ...(state.kind === 'converted' ? convertedFacts(state, at) : [])]
}

function stateText(state: PartitionState): string {
  switch (state.kind) {
    case 'plain':
      return 'a plain table'
    case 'foreign':
      return `nothing is made or dropped: ${state.reason}`
    case 'converting':
      return `a plain table; partition start began ${minuteText(state.since)} UTC and has not ended`
    case 'undoing':
      return `${undoingText(state)}; partition undo began ${minuteText(state.since)} UTC and has not ended`
    case 'converted':
      return `${counted(state.partitions, 'partition')}, since ${minuteText(state.since)} UTC`
  }
}

function convertedFacts(state: Converted, at: EpochMs): (readonly [string, string])[] {
  const { coveredUntil, unplaced, detached, first, notes } = state
  return [
    [
      'ahead',
      coveredUntil <= at ? 'none: rows go to DEFAULT' : `${durationText(coveredUntil - at)}, until ${minuteText(coveredUntil)} UTC`,
    ],
    ['default', unplaced.rows === 0 && !unplaced.more ? 'no rows' : unplacedText(unplaced)],
    ...(detached.length === 0 ? [] : [['detached', `${someText(detached.map(({ name }) => name))}: to be dropped`] as const]),
    ...(first === undefined ? [] : [['first', `${first.name}, with rows up to ${minuteText(first.until)} UTC`] as const]),
    ...notes.map((note) => ['note', note] as const),
  ]
}

export function undoingText({ isPartitioned, tables }: Undoing): string {
  if (isPartitioned) return 'it still has its partitions'
  return tables === 0
    ? 'all rows are in it again, and only what is no longer needed is left to be dropped'
    : `rows are still in ${counted(tables, 'table')} beside it, and are seen in it`
}

/** `1,234 rows`, `more than 10,000 rows` */
export function unplacedText({ rows, more }: Converted['unplaced']): string {
  return `${more ? 'more than ' : ''}${countText(rows)} ${plural(more ? 2 : rows, 'row')}`
}

/** From now on, and never below 0; whole days are whole numbers. */
export function daysAhead({ coveredUntil }: Converted, at: EpochMs): number {
  return Math.max(0, Math.round(((coveredUntil - at) / DAY) * 100) / 100)
}
