import type { ConversionFacts, Converted, PartitionState, PartitionTerms } from '../database/partitioning.ts'
import { counted, countText, sizeText } from '../number-text.ts'
import { formatDuration } from '../time/clock.ts'
import { durationText, minuteText } from '../time/time-text.ts'
import type { Style } from './style.ts'
import { listText, type Row } from './table.ts'

const START = 'mcp-gateway-maintenance partition start'
const UNDO = 'mcp-gateway-maintenance partition undo'

export function planText(table: string, facts: ConversionFacts, { aheadMs }: PartitionTerms, style: Style): string {
  const { resumes, rows, bytes, bound, partitions, mostPartitions, setAside, expectedMs, notes } = facts
  const head = resumes
    ? `An earlier start has not ended; it would go on, and ${table} would have a partition a day.`
    : `${table} can be turned into partitions, one a day. Nothing was changed.`
  const list: readonly Row[] = [
    ['rows', `about ${countText(rows)}, ${sizeText(bytes)} with indexes; none is copied`],
    ['takes', `about ${durationText(expectedMs)} on warm data, mostly for an index; the gateway reads and writes meanwhile`],
    [
      'locks',
      'nobody can use the table twice, for some tens of milliseconds each; where somebody is in the way, that is tried again later',
    ],
    ['first', `all rows before ${minuteText(bound)}, as the column reads it, become one partition`],
    [
      'days',
      `${counted(partitions, 'partition')} at once, ${formatDuration(aheadMs)} ahead from now on; ${countText(mostPartitions)} when the longest period is over`,
    ],
    ...(setAside === 0
      ? []
      : [
          [
            'aside',
            `${counted(setAside, 'row')} without a time, or with one from then on, move to the partition for all others, and are not seen for some seconds`,
          ] as const,
        ]),
    ['meanwhile', `for some seconds, rows without a time or with one from ${minuteText(bound)} on are refused`],
    ['killed', 'at any moment: the next start goes on, and undo takes everything back'],
    ...notes.map((note): Row => ['note', note]),
  ]
  return `${head}\n${listText(list, style)}\nRun: ${START}\n`
}

export function refusedText(table: string, reasons: readonly string[], style: Style): string {
  const list = reasons.map((reason, at): Row => [`${at + 1}.`, reason])
  return `${table} is not turned into partitions, for ${counted(reasons.length, 'reason')}. Nothing was changed; expired rows go by batches, as they do now.\n${listText(list, style)}\n`
}

/** The short form of the plan. */
export function startingText(table: string, { resumes, rows, bytes, bound, expectedMs }: ConversionFacts): string {
  return (
    `${resumes ? 'Goes on turning' : 'Turns'} ${table} into partitions: about ${countText(rows)} rows, ${sizeText(bytes)}, in about ${durationText(expectedMs)}. ` +
    `All rows before ${minuteText(bound)}, as the column reads it, become the first one.\n`
  )
}

/** `builds the index on (id, timestamp)` */
export function stepText(sentence: string): string {
  return `${sentence.slice(0, 1).toUpperCase()}${sentence.slice(1)}\n`
}

export function doneText(tookMs: number, lockedMs: number | undefined): string {
  return `  done in ${durationText(tookMs)}${lockedMs === undefined ? '' : `; nobody could use the table for ${durationText(lockedMs)}`}\n`
}

export function blockedText(by: string, waitedMs: number): string {
  return `  has waited ${durationText(waitedMs)} for ${by}\n`
}

export function convertedText(table: string, state: Converted, style: Style): string {
  const { since, coveredUntil, partitions, unplaced, detached, first, problems, notes } = state
  const list: readonly Row[] = [
    ['since', `${minuteText(since)} UTC`],
    ['partitions', `${countText(partitions)}, and one for all other rows; days are covered until ${minuteText(coveredUntil)} UTC`],
    ...(unplaced.rows === 0
      ? []
      : [['others', `${unplaced.more ? 'more than ' : ''}${counted(unplaced.rows, 'row')} found no partition of their own`] as const]),
    ...(first === undefined
      ? []
      : [
          [
            'first',
            `${first.name} has all rows before ${minuteText(first.until)} UTC, and is dropped once all of them have expired`,
          ] as const,
        ]),
    ...detached.map(({ name, since: taken }): Row => ['detached', `${name}, taken out ${minuteText(taken)} UTC, waits to be dropped`]),
    ...problems.map((problem): Row => ['problem', problem]),
    ...notes.map((note): Row => ['note', note]),
    ['undo', UNDO],
  ]
  return `${table} is partitioned: a partition a day, and expired ones are dropped as a whole.\n${listText(list, style)}\n`
}

/** After a signal, or where it gave up. `state`: undefined: the connection was cut meanwhile. */
export function interruptedText(table: string, command: 'start' | 'undo', state: PartitionState | undefined): string {
  const refuses =
    state?.kind === 'converting' && state.refusesFrom !== undefined
      ? ` Until then, rows of ${table} without a time or with one from ${minuteText(state.refusesFrom)} UTC on are refused.`
      : ''
  const usable = state?.kind === 'undoing' ? 'All of its rows are seen' : 'The gateway uses it as before'
  const back = command === 'start' ? ` To take everything back, run: ${UNDO}` : ''
  return `Stopped before the end. ${usable}.${refuses} To go on, run: ${command === 'start' ? START : UNDO}.${back}\n`
}

export function undoneText(table: string): string {
  return `${table} is a plain table again. Expired rows go by batches from now on.\n`
}
