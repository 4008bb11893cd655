import type { Converted, Converting } from '../database/partitioning.ts'
import { counted } from '../number-text.ts'
import { DAY, type EpochMs } from '../time/clock.ts'
import { durationText, minuteText } from '../time/time-text.ts'
import { advice, fault, type Finding } from './finding.ts'
import { undoingText, unplacedText } from './partition-sentences.ts'
import type { PartitionsStatus, TablePartitions } from './partitions-status.ts'

/** Below this somebody should look: a weekend and a day for it. */
export const LEAST_AHEAD_MS = 3 * DAY

/** DEFAULT is to stay small, not empty: as many rows that a hold keeps may be moved there by one run, and rows without a time have no other place. */
export const DEFAULT_STAYS_SMALL = 1_000

/** A partition is taken out and dropped in the same run. One that was busy is dropped by the next run. */
const DETACHED_TOO_LONG_MS = DAY
/** Each run has failed to drop it; rows that should be gone are still on the disk. */
const DETACHED_FOR_GOOD_MS = 7 * DAY

/** Nothing is said of a plain table. */
export function ofPartitions({ enabled, tables, problem }: PartitionsStatus, at: EpochMs): Finding[] {
  return [
    ...(problem === undefined ? [] : [advice('partitions-in-doubt', `whether a table has partitions is not known: ${problem}`)]),
    ...tables.flatMap((each) => ofTable(each, enabled, at)),
  ]
}

function ofTable({ table, state, problem }: TablePartitions, enabled: boolean, at: EpochMs): Finding[] {
  if (state === undefined) return [advice('partitions-in-doubt', `the partitions of ${table} are not known: ${problem ?? ''}`)]
  switch (state.kind) {
    case 'plain':
      return []
    case 'foreign':
      return [
        fault(
          'partitions-hindered',
          `no partition of ${table} is made or dropped: ${state.reason}`,
          'partition plan says what can be done',
        ),
      ]
    case 'converting':
      return [ofUnfinished(table, state)]
    case 'undoing':
      return [
        advice(
          'partitions-unfinished',
          `partition undo of ${table} began ${minuteText(state.since)} UTC and has not ended: ${undoingText(state)}`,
          'run partition undo, which goes on',
        ),
      ]
    case 'converted':
      return ofConverted(table, state, enabled, at)
  }
}

/** With the bound in place this is the one state in which the gateway can be refused something. */
function ofUnfinished(table: string, { since, refusesFrom }: Converting): Finding {
  if (refusesFrom === undefined)
    return advice(
      'partitions-unfinished',
      `partition start of ${table} began ${minuteText(since)} UTC and has not ended: it is the plain table that it was`,
      'if it is not at work now, run partition start, which goes on, or partition undo',
    )
  return fault(
    'partitions-refusing',
    `partition start of ${table} has not ended, and until it has, ${table} refuses rows without a time, and from ${minuteText(refusesFrom)} UTC on every row of the gateway`,
    'if it is not at work now, run partition start, which goes on, or partition undo, at once',
  )
}

function ofConverted(table: string, state: Converted, enabled: boolean, at: EpochMs): Finding[] {
  const { coveredUntil, unplaced, detached, problems } = state
  const [oldest] = detached.toSorted((a, b) => a.since - b.since)
  return [
    ...(coveredUntil - at < LEAST_AHEAD_MS ? [runningOut(table, coveredUntil, enabled, at)] : []),
    ...problems.map((each) => fault('partitions-hindered', each)),
    ...(enabled
      ? []
      : [
          advice(
            'partitions-disabled',
            `PARTITIONS_ENABLED is false, and ${table} has partitions: none is made or dropped, and expired rows go by batches`,
            'set it to true where workers run, or run partition undo',
          ),
        ]),
    ...(unplaced.more || unplaced.rows > DEFAULT_STAYS_SMALL
      ? [
          advice(
            'partitions-default-filled',
            `${unplacedText(unplaced)} of ${table} are in its DEFAULT partition, because there was none for their day; they are read as ever, and go by batches when they have expired`,
            'if they become more, see that a worker makes partitions',
          ),
        ]
      : []),
    ...(oldest === undefined || at - oldest.since <= DETACHED_TOO_LONG_MS
      ? []
      : [
          {
            ...advice(
              'partitions-detached',
              `${counted(detached.length, 'table')} that had been taken out of ${table} to be dropped ${detached.length === 1 ? 'is' : 'are'} still there, the oldest, ${oldest.name}, for ${durationText(at - oldest.since)}`,
              'the next run drops them; if it does not, its log says what was in the way',
            ),
            level: at - oldest.since > DETACHED_FOR_GOOD_MS ? ('fault' as const) : ('advice' as const),
          },
        ]),
  ]
}

function runningOut(table: string, coveredUntil: EpochMs, enabled: boolean, at: EpochMs): Finding {
  return fault(
    'partitions-running-out',
    coveredUntil <= at
      ? `${table} has no partition for today: its rows go to DEFAULT, and will be deleted by batches`
      : `${table} has partitions for ${durationText(coveredUntil - at)} more: from ${minuteText(coveredUntil)} UTC on its rows go to DEFAULT, and will be deleted by batches`,
    enabled ? 'see that a worker is running, and what its log says of partitions' : 'set PARTITIONS_ENABLED to true where workers run',
  )
}
