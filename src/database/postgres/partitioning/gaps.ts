import { counted } from '../../../number-text.ts'
import { DAY, type EpochMs } from '../../../time/clock.ts'
import type { TimeType } from '../times.ts'
import { dayOf, midnight } from './days.ts'
import type { BoundTime, Edge, Part } from './tree.ts'

/** A stretch of the column's readings, the end excluded. */
export interface Stretch {
  readonly from: BoundTime
  readonly to: BoundTime
}

interface Taken {
  readonly from: Edge
  readonly to: Edge
}

/**
 * What no partition takes between the beginning of a reading's day and a midnight, the earliest first, from bound to bound and cut at each midnight. The partitions may be of any width and begin
 * at any time: only their bounds count. A gap of less than a millisecond is none.
 */
export function gapsBetween(parts: readonly Part[], from: EpochMs, to: EpochMs, type: TimeType): readonly Stretch[] {
  const gaps: Stretch[] = []
  let at = midnight(dayOf(from), type)
  for (const taken of rangesOf(parts)) {
    if (at.reading >= to) break
    const until = taken.from === undefined ? -Infinity : taken.from.reading
    if (until > at.reading) gaps.push(...byDay({ from: at, to: until < to ? taken.from! : midnight(to, type) }, type))
    if (taken.to === undefined) return gaps
    if (taken.to.reading > at.reading) at = taken.to
  }
  return at.reading < to ? [...gaps, ...byDay({ from: at, to: midnight(to, type) }, type)] : gaps
}

/** The end of the last partition; `undefined`: there is none. `Infinity`: it has no end. */
export function lastEnd(parts: readonly Part[]): EpochMs | undefined {
  const ends = rangesOf(parts).map(({ to }) => to?.reading ?? Infinity)
  return ends.length === 0 ? undefined : Math.max(...ends)
}

/** The first midnight that is not before it. */
export function nextMidnight(reading: EpochMs): EpochMs {
  return Math.ceil(reading / DAY) * DAY
}

/** In the order of where they begin. */
function rangesOf(parts: readonly Part[]): readonly Taken[] {
  return parts
    .flatMap(({ bound }) => (bound.kind === 'range' ? [bound] : []))
    .toSorted((a, b) => (a.from?.reading ?? -Infinity) - (b.from?.reading ?? -Infinity))
}

function byDay({ from, to }: Stretch, type: TimeType): readonly Stretch[] {
  const stretches: Stretch[] = []
  for (let at = from; at.reading < to.reading;) {
    const next = dayOf(at.reading) + DAY
    const end = next < to.reading ? midnight(next, type) : to
    stretches.push({ from: at, to: end })
    at = end
  }
  return stretches
}

const MOST_NAMED = 3

/** `2026-12-01, 2026-12-02`: as the column reads them. */
export function daysText(stretches: readonly Stretch[]): string {
  const days = [...new Set(stretches.map(({ from }) => from.text.slice(0, 'YYYY-MM-DD'.length)))]
  const more = days.length - MOST_NAMED
  return more > 0 ? `${days.slice(0, MOST_NAMED).join(', ')} and ${counted(more, 'more day')}` : days.join(', ')
}
