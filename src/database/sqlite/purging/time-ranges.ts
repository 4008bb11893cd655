import type { Spared } from '../../../policy/spared.ts'
import type { EpochMs } from '../../../time/clock.ts'
import { Cutoff, type StoredTime } from '../times.ts'

/** Times from one up to, but not including, another. A time that can be read as two instants is in the range if either reading allows it. */
export interface TimeRange extends Pick<Spared, 'from' | 'until'> {
  has(time: StoredTime): boolean
  /** Whether a time is before the range (-1), in it (0) or after it (1). */
  side(time: StoredTime): -1 | 0 | 1
}

/** Ranges in one zone. Where a range begins and ends on the clocks of the zone is looked up when it is first needed, once, because that takes a millisecond. */
export class TimeRanges {
  readonly #timeZone: string
  readonly #from = new Map<EpochMs, Cutoff>()
  readonly #until = new Map<EpochMs, Cutoff>()

  constructor(timeZone: string) {
    this.#timeZone = timeZone
  }

  /** `undefined`: without an end on either side, so that a time that cannot be read is in it, too. */
  of({ from, until }: Pick<Spared, 'from' | 'until'>): TimeRange | undefined {
    if (from === undefined && until === undefined) return undefined
    const begun = (time: StoredTime): boolean => from === undefined || this.#beginning(from).judge(time) === 'kept'
    const over = (time: StoredTime): boolean => until !== undefined && this.#end(until).judge(time) !== 'expired'
    return {
      from,
      until,
      has: (time) => begun(time) && !over(time),
      side: (time) => (begun(time) ? (over(time) ? 1 : 0) : -1),
    }
  }

  #beginning(from: EpochMs): Cutoff {
    const known = this.#from.get(from) ?? Cutoff.at(from, this.#timeZone)
    this.#from.set(from, known)
    return known
  }

  #end(until: EpochMs): Cutoff {
    const known = this.#until.get(until) ?? Cutoff.before(until, this.#timeZone)
    this.#until.set(until, known)
    return known
  }
}
