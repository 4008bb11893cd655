import { formatTime, type EpochMs } from '../time/clock.ts'
import { canonicalMatch, matchOf, matchProblems } from './match.ts'
import type { Spared } from './spared.ts'

/** A hold that is in force. */
export interface Hold {
  readonly id: number
  readonly name: string
  readonly spared: Spared
}

/** The longest text of what a hold keeps that is read from the database, in bytes. */
export const MOST_MATCHES_BYTES = 64 * 2 ** 10

const FROM = 'from'
const TO = 'to'

/** What a hold keeps, as the database has it: canonical JSON. */
export function matchesText({ match, from, until }: Spared, columns: readonly string[]): string {
  return JSON.stringify({
    ...canonicalMatch(match, columns),
    ...(from === undefined ? {} : { [FROM]: formatTime(from) }),
    ...(until === undefined ? {} : { [TO]: formatTime(until) }),
  })
}

/** Reads what somebody may have written by hand. A text without problems gives what it keeps; any problem must end the run, because the hold may mean any row. */
export function parseMatches(text: string, columns: readonly string[]): Spared | { readonly problems: readonly string[] } {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    return { problems: ['is no JSON'] }
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return { problems: ['is no JSON object'] }
  const { [FROM]: from, [TO]: to, ...match } = given as Readonly<Record<string, unknown>>
  const problems = [...matchProblems(match, columns), ...timeProblems(FROM, from), ...timeProblems(TO, to)]
  if (problems.length > 0) return { problems }
  return { match: matchOf(match), from: timeOf(from), until: timeOf(to) }
}

function timeProblems(name: string, given: unknown): readonly string[] {
  return given === undefined || timeOf(given) !== undefined ? [] : [`${name} is no time such as "2026-01-01T00:00:00Z"`]
}

/** A day, or a time with its zone; a time without one is UTC. */
export function timeOf(given: unknown): EpochMs | undefined {
  if (typeof given !== 'string') return undefined
  const [, day, time, zone = 'Z'] =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?)?$/.exec(given) ?? []
  if (day === undefined) return undefined
  // `Date` would read the 31st of February as a day of March.
  if (!new Date(`${day}T00:00:00Z`).toJSON()?.startsWith(day)) return undefined
  // An hour of 24 would be the next day, and a zone of 23 hours a slip of the pen.
  if (time?.startsWith('24') === true || !/^(?:Z|[+-](?:0\d|1[0-5]):)/.test(zone)) return undefined
  const at = Date.parse(`${day}T${time ?? '00:00'}${zone}`)
  return Number.isNaN(at) ? undefined : at
}
