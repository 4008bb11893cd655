import { DAY, HOUR, MINUTE, type EpochMs } from './clock.ts'

/**
 * The earliest wall-clock reading that must be kept, given as if the reading were UTC: a time stored without a zone has expired
 * exactly if its reading, taken as UTC milliseconds, is smaller.
 *
 * A reading that occurs twice (clocks went back) is kept if either of its instants is at or after `cutoff`. A reading that never occurred (clocks went
 * forward) is taken as if they had not: the later instant. One threshold cannot keep it and drop the readings just after the gap, so for the length of the
 * gap those are kept too. That is an hour at most, and no row is deleted too early.
 *
 * Rejects a name that is no IANA zone with the `RangeError` of `Intl`.
 */
export function wallClockThreshold(cutoff: EpochMs, timeZone: string): EpochMs {
  if (timeZone === 'UTC') return cutoff
  const readingAt = wallClock(timeZone)
  const offsetAt = (instant: EpochMs): number => readingAt(Math.floor(instant)) - Math.floor(instant)
  if (Math.abs(cutoff) > CALENDAR_MS) return cutoff - REACH_MS

  return thresholdAmong(transitions(offsetAt, cutoff - REACH_MS, cutoff + REACH_MS), cutoff, offsetAt(cutoff))
}

/** Transitions further away from the cutoff than `REACH_MS` change nothing. */
function thresholdAmong(changes: readonly Transition[], cutoff: EpochMs, offset: number): EpochMs {
  let threshold = cutoff + offset
  for (const { at, before, after } of changes) {
    if (at > cutoff) threshold = Math.min(threshold, at + after)
    else if (cutoff + before < at + after) threshold = Math.min(threshold, cutoff + before)
  }
  return threshold
}

/**
 * The latest cutoff that keeps a time stored without a zone, given as if its reading were UTC: the inverse of `wallClockThreshold`. Where the clocks changed that is not
 * always the instant of the reading.
 */
export function lastCutoffIn(timeZone: string): (reading: EpochMs) => EpochMs {
  if (timeZone === 'UTC') return (reading) => reading
  const readingAt = wallClock(timeZone)
  const offsetAt = (instant: EpochMs): number => readingAt(instant) - instant
  // Looking for changes takes a millisecond, and all readings of a day have the same ones.
  const known = new Map<number, { readonly first: number; readonly changes: readonly Transition[] }>()
  const around = (day: number): { readonly first: number; readonly changes: readonly Transition[] } => {
    const [from, to] = [day * DAY - 2 * REACH_MS, (day + 1) * DAY + 2 * REACH_MS]
    return { first: offsetAt(from), changes: transitions(offsetAt, from, to) }
  }
  return (reading) => {
    if (!(Math.abs(reading) <= CALENDAR_MS - 2 * REACH_MS)) return reading + REACH_MS
    const day = Math.floor(reading / DAY)
    const found = known.get(day) ?? around(day)
    if (known.size >= MOST_REMEMBERED) known.clear()
    known.set(day, found)
    const { first, changes } = found
    if (changes.length === 0) return reading - first
    const keeps = (cutoff: EpochMs): boolean => {
      const offset = changes.findLast(({ at }) => at <= cutoff)?.after ?? first
      return thresholdAmong(changes, cutoff, offset) <= reading
    }
    let [low, high] = [Math.floor(reading) - REACH_MS, Math.floor(reading) + REACH_MS]
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (keeps(middle)) low = middle
      else high = middle
    }
    return low
  }
}

/**
 * The upper counterpart of `wallClockThreshold`: a time stored without a zone may lie before `until` exactly if its reading, taken as UTC milliseconds, is
 * smaller than this.
 *
 * A reading that occurs twice counts as before `until` if either of its instants is. Readings that never occurred count as before it if it lies less than the
 * length of the gap after the change.
 */
export function wallClockCeiling(until: EpochMs, timeZone: string): EpochMs {
  if (timeZone === 'UTC') return until
  const readingAt = wallClock(timeZone)
  const offsetAt = (instant: EpochMs): number => readingAt(Math.floor(instant)) - Math.floor(instant)
  if (!(Math.abs(until) <= CALENDAR_MS)) return until + REACH_MS

  let ceiling = until + offsetAt(until)
  for (const { at, before } of transitions(offsetAt, until - REACH_MS, until)) if (at <= until) ceiling = Math.max(ceiling, at + before)
  return ceiling
}

/** What the clocks of a zone show at an instant, given as if the reading were UTC. */
export function wallClock(timeZone: string): (instant: EpochMs) => EpochMs {
  if (timeZone === 'UTC') return (instant) => instant
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    era: 'short',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  return (instant) => {
    const second = Math.floor(instant / 1000) * 1000
    const shown = new Map(format.formatToParts(second).map(({ type, value }) => [type, value]))
    const part = (name: Intl.DateTimeFormatPartTypes): number => Number(shown.get(name))
    const year = shown.get('era')?.startsWith('B') ? 1 - part('year') : part('year')
    const reading = new Date(0)
    reading.setUTCFullYear(year, part('month') - 1, part('day'))
    reading.setUTCHours(part('hour'), part('minute'), part('second'))
    return reading.getTime() + instant - second
  }
}

const STEP_MS = 15 * MINUTE
const MOST_REMEMBERED = 1_000

/** The instant at which a zone's clocks show a reading, given as if it were UTC; of two, always the same one. */
export function wallInstant(timeZone: string): (reading: EpochMs) => EpochMs {
  if (timeZone === 'UTC') return (reading) => reading
  const readingAt = wallClock(timeZone)
  // Looking up an offset takes microseconds, and all readings of a quarter of an hour share it.
  const offsets = new Map<number, number>()
  return (reading) => {
    if (!(Math.abs(reading) <= CALENDAR_MS)) return reading
    const step = Math.floor(reading / STEP_MS)
    let offset = offsets.get(step)
    if (offset === undefined) {
      const begin = step * STEP_MS
      const near = begin - (readingAt(begin) - begin)
      offset = readingAt(near) - near
      if (offsets.size >= MOST_REMEMBERED) offsets.clear()
      offsets.set(step, offset)
    }
    return reading - offset
  }
}

/**
 * The instants at which a zone's clocks show a reading, given as if it were UTC: two where they went back, and where they went forward both that it may stand
 * for. One of them is what `wallInstant` gives.
 */
export function wallInstants(timeZone: string): (reading: EpochMs) => readonly EpochMs[] {
  if (timeZone === 'UTC') return (reading) => [reading]
  const wall = wallClock(timeZone)
  const instantAt = wallInstant(timeZone)
  return (reading) => {
    if (!(Math.abs(reading) <= CALENDAR_MS)) return [reading]
    const around = [-DAY, DAY].map((reach) => reading - (wall(reading + reach) - (reading + reach)))
    const shown = around.filter((instant) => wall(instant) === reading)
    return [...new Set([instantAt(reading), ...(shown.length > 0 ? shown : around)])]
  }
}

/** The latest instant at which the clocks of a zone show a reading, given as `wallClock` gives it; `undefined`: they skip it. */
function lastInstantShowing(reading: EpochMs, wall: (instant: EpochMs) => EpochMs): EpochMs | undefined {
  const offsets = [-DAY, DAY].map((reach) => wall(reading + reach) - (reading + reach))
  const instants = offsets.map((offset) => reading - offset).filter((instant) => wall(instant) === reading)
  return instants.length === 0 ? undefined : Math.max(...instants)
}

/** Converts stored readings in a zone to instants, for display: up to an hour off where clocks changed. */
export function instantsIn(timeZone: string): (reading: EpochMs) => EpochMs {
  if (timeZone === 'UTC') return (reading) => reading
  const wall = wallClock(timeZone)
  return (reading) => {
    if (Math.abs(reading) > CALENDAR_MS) return reading
    return lastInstantShowing(reading, wall) ?? reading - (wall(reading) - reading)
  }
}

/** Zones lie between UTC-12 and UTC+14: no change of the clock moves a reading further than 26 hours. */
const REACH_MS = 36 * HOUR

/** The range of `Intl`, reduced by the reach. */
const CALENDAR_MS = 8.64e15 - 2 * DAY

export interface Transition {
  /** The first instant of the new offset. */
  readonly at: EpochMs
  readonly before: number
  readonly after: number
}

/** No zone changes its offset twice within an hour, so checking once an hour finds every change. */
export function transitions(offsetAt: (instant: EpochMs) => number, from: EpochMs, to: EpochMs): Transition[] {
  const found: Transition[] = []
  let before = offsetAt(from)
  for (let look = from + HOUR; look <= to; look += HOUR) {
    const after = offsetAt(look)
    if (after !== before) found.push({ at: firstInstant(offsetAt, after, look - HOUR, look), before, after })
    before = after
  }
  return found
}

function firstInstant(offsetAt: (instant: EpochMs) => number, offset: number, before: EpochMs, from: EpochMs): EpochMs {
  let low = Math.floor(before)
  let high = Math.ceil(from)
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetAt(middle) === offset) high = middle
    else low = middle
  }
  return high
}
