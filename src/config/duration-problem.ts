import { DAY, formatDuration, parseDuration } from '../time/clock.ts'
import { shown } from './shown.ts'

/** A cutoff stays well within what either engine can hold as a time. */
export const LONGEST_RETENTION_MS = 36_500 * DAY

export function durationProblem(value: unknown, leastMs: number, mostMs: number, example: string): string | undefined {
  const forms = `write a whole number with its unit (ms, s, m, h, d, w), such as ${example}`
  if (typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value))) return `${shown(value)} has no unit; ${forms}`
  const ms = typeof value === 'string' ? parseDuration(value) : undefined
  if (ms === undefined) return `${shown(value)} is not a duration; ${forms}`
  if (ms < leastMs) return `${shown(value)} is shorter than ${formatDuration(leastMs)}, the least that is allowed`
  if (ms > mostMs) return `${shown(value)} is longer than ${formatDuration(mostMs)}, the most that is allowed`
  return undefined
}
