import type { EpochMs } from '../time/clock.ts'
import { DatabaseError } from './database-error.ts'

/**
 * What is read from the worker's own tables. Anybody who may write to them may have written it: a text of any length, and on SQLite, whose columns take
 * values of every type, a number that is none.
 */

/** Characters of a text that is told as it stands; none of ours is longer. */
export const LONGEST_TEXT = 2_000
const MOST_UTF8_BYTES = 4 * LONGEST_TEXT

/** SQL for both engines: a text column, bounded where it is stored. Of a longer text nothing is read: SQLite would load all of it for its beginning. */
export function boundedText(column: string): string {
  return `CASE WHEN octet_length(${column}) > ${MOST_UTF8_BYTES} THEN '${TOO_LONG}' ELSE substr(${column}, 1, ${LONGEST_TEXT}) END`
}

const TOO_LONG = `(not read: longer than ${LONGEST_TEXT} characters)`

/** SQL for both engines: whether a text column is longer than so many bytes, told without reading it. */
export function isLonger(column: string, bytes: number): string {
  return `CASE WHEN octet_length(${column}) > ${bytes} THEN 1 ELSE 0 END`
}

/** SQL for both engines: a text column, or NULL where it is longer than so many bytes. */
export function textUpTo(column: string, bytes: number): string {
  return `CASE WHEN octet_length(${column}) <= ${bytes} THEN ${column} END`
}

/** `where`: table and column. */
export function storedText(value: unknown, where: string): string {
  if (typeof value !== 'string') throw impossible(value, where, 'a text')
  return value
}

export function storedNumber(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw impossible(value, where, 'a whole number')
  return value
}

export function storedCount(value: unknown, where: string): number {
  const count = storedNumber(value, where)
  if (count < 0) throw impossible(value, where, 'a count')
  return count
}

export function storedTime(value: unknown, where: string): EpochMs {
  const time = storedNumber(value, where)
  if (Math.abs(time) > LATEST_MS) throw impossible(value, where, 'a time in milliseconds since 1970')
  return time
}

/** Of a column that may be NULL. */
export function orNothing<T>(read: (value: unknown, where: string) => T, value: unknown, where: string): T | undefined {
  return value === null || value === undefined ? undefined : read(value, where)
}

/** A `Date` holds no later one. */
const LATEST_MS = 8.64e15
const MOST_SHOWN = 40

function impossible(value: unknown, where: string, expected: string): DatabaseError {
  const shown =
    typeof value === 'string' ? JSON.stringify(value.slice(0, MOST_SHOWN)) : typeof value === 'number' ? String(value) : `a ${typeof value}`
  return new DatabaseError(
    'failed',
    `${where} holds ${shown}, which is not ${expected}: no run writes that, so somebody else did. Nothing was deleted for it. Correct the row, or bring the ` +
      'table back from a backup, then run again',
  )
}
