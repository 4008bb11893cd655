import { DAY, MINUTE, type EpochMs } from './clock.ts'
import { instantsIn } from './zones.ts'

/** Offsets of zones, and the moments at which they change, are multiples of this. */
const STEP_MS = 15 * MINUTE

/** Counts rows by UTC day; times without a zone are read in the given one. */
export class DayCounts {
  readonly #days = new Map<EpochMs, number>()
  readonly #instantOf: (reading: EpochMs) => EpochMs
  readonly #instants = new Map<EpochMs, EpochMs>()

  constructor(timeZone: string) {
    this.#instantOf = instantsIn(timeZone)
  }

  addInstant(instant: EpochMs, rows: number): void {
    const day = Math.floor(instant / DAY) * DAY
    this.#days.set(day, (this.#days.get(day) ?? 0) + rows)
  }

  /** A reading of the clock, as if it were UTC. */
  addReading(reading: EpochMs, rows: number): void {
    const step = Math.floor(reading / STEP_MS) * STEP_MS
    let instant = this.#instants.get(step)
    if (instant === undefined) this.#instants.set(step, (instant = this.#instantOf(step)))
    this.addInstant(instant, rows)
  }

  /** Rows by the beginning of their UTC day. */
  get days(): ReadonlyMap<EpochMs, number> {
    return this.#days
  }
}
