import type { EpochMs } from '../../time/clock.ts'
import { wallClockCeiling, wallClockThreshold } from '../../time/zones.ts'
import { builtIn } from './exact.ts'

/** The types whose values are times; `timestamp` has no zone. */
export type TimeType = 'timestamp' | 'timestamptz'

/** Takes the name that `format_type` returns, with any precision. */
export function timeTypeOf(type: string): TimeType | undefined {
  if (/^timestamp(\(\d\))? without time zone$/.test(type)) return 'timestamp'
  if (/^timestamp(\(\d\))? with time zone$/.test(type)) return 'timestamptz'
  return undefined
}

/**
 * The cutoff as text that can be bound as a value of the column's type. Its meaning does not depend on the zone of session, server or process, and it is
 * compared with the bare column so that the index can be used.
 */
export function cutoffText(cutoff: EpochMs, type: TimeType, timeZone: string): string {
  return type === 'timestamptz' ? zoned(reading(cutoff)) : reading(wallClockThreshold(cutoff, timeZone))
}

/** A reading without a zone. Outside the years with four digits it is replaced by the nearest one that keeps more rows. */
function reading(ms: EpochMs): string {
  if (!(ms >= FIRST_YEAR)) return '-infinity'
  return new Date(Math.min(ms, LAST_YEAR)).toISOString().slice(0, -1)
}

/** The time before which rows are spared, as `cutoffText` gives the one from which on they are: a reading that may lie before it is smaller. */
export function untilText(until: EpochMs, type: TimeType, timeZone: string): string {
  const ms = type === 'timestamptz' ? until : wallClockCeiling(until, timeZone)
  if (!(ms <= LAST_YEAR)) return 'infinity'
  const text = new Date(Math.max(Math.ceil(ms), FIRST_YEAR)).toISOString()
  return type === 'timestamptz' ? text : text.slice(0, -1)
}

const FIRST_YEAR = Date.UTC(1000, 0, 1)
const LAST_YEAR = Date.UTC(9999, 11, 31)

export interface TextTime {
  /** In whole milliseconds since 1970, rounded down; without a zone as if it were UTC. */
  readonly reading: EpochMs
  readonly zoned: boolean
}

/**
 * Reads a time as a line has it: ISO 8601, or before the year 1 as PostgreSQL writes it. `undefined`: it is none. The year may have more digits
 * than ISO 8601 allows.
 */
export function readingOf(text: string): TextTime | undefined {
  const [, year, month, day, clock, fraction = '', zone, era] =
    /^(\d{4,6})-(\d\d)-(\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|\+00)?( BC)?$/.exec(text) ?? []
  if (year === undefined) return undefined
  const date = new Date(`1970-01-01T${clock}.${fraction.slice(0, 3).padEnd(3, '0')}Z`)
  const ms = date.setUTCFullYear(era === undefined ? Number(year) : 1 - Number(year), Number(month) - 1, Number(day))
  return Number.isNaN(ms) ? undefined : { reading: ms, zoned: zone !== undefined }
}

/** Exact to the microsecond and independent of DateStyle. Times are passed on as this text, never as a `Date`. */
export function asText(expression: string): string {
  return `(pg_catalog.to_json(${expression}) ${builtIn('#>>')} '{}'::pg_catalog.text[])`
}

function zoned(text: string): string {
  return text === '-infinity' ? text : `${text}Z`
}
