import cronstrue from 'cronstrue'
import { fieldsOf } from './expression.ts'

/** A cron expression that was checked before, in English: `At 03:00`. What cannot be put into words stays as it is. */
export function inWords(expression: string): string {
  try {
    return cronstrue.toString(fieldsOf(expression).join(' ').replace(LONG_NAME, '$1'), { use24HourTimeFormat: true })
  } catch {
    return expression
  }
}

/** The names that our schedules may spell out; a weekday may be followed by an `L`. */
const LONG_NAME = /\b(jan|feb|mar|apr|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)(?:il|[a-z]*?)(?=l?\b)/gi
