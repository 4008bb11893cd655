import type { EpochMs } from '../time/clock.ts'
import { DatabaseError } from './database-error.ts'

/**
 * Checks values that are read from the worker's own tables. Anyone with write access may have written them: a text may have any length and, on SQLite,
 * whose columns accept every type, a number may be something else.
 */

/** Characters of a text that is shown unchanged; none of ours is longer. */
export const LONGEST_TEXT = 2_000
const MOST_UTF8_BYTES = 4 * LONGEST_TEXT

/** SQL for both engines: a text column, limited by the database. A longer text is not read at all: SQLite would have to load all of it for its beginning. */
export function boundedText(column: string): string {
  return `CASE WHEN octet_length(${column}) > ${MOST_UTF8_BYTES} THEN '${TOO_LONG}' ELSE substr(${column}, 1, ${LONGEST_TEXT}) END`
}

const TOO_LONG = `(not read: longer than ${LONGEST_TEXT} characters)`

/** SQL for both engines: whether a text column is longer than this many bytes, without reading it. */
export function isLonger(column: string, bytes: number): string {
  return `CASE WHEN octet_length(${column}) > ${bytes} THEN 1 ELSE 0 END`
}

/** SQL for both engines: a text column, or NULL if it is longer than this many bytes. */
export function textUpTo(column: string, bytes: number): string {
  return `CASE WHEN octet_length(${column}) <= ${bytes} THEN ${column} END`
}

/** `where`: the table and column, for messages. */
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
    `${where} holds ${shown}, which is not ${expected}. The worker never writes that, so something else did. Nothing was deleted because of it. Correct the ` +
      'row or restore the table from a backup, then run again.',
  )
}
