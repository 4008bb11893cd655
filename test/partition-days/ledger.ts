import { DAY, type EpochMs } from '../../src/time/clock.ts'

/** A row that the gateway was told is written. */
export interface Row {
  readonly id: number
  readonly at: EpochMs
  /** Whether the rule keeps it longer. */
  readonly ruled: boolean
}

export interface Terms {
  readonly retentionDays: number
  readonly ruleDays: number
}

/** What was written and has not been seen to be gone. */
export class Ledger {
  readonly #terms: Terms
  #rows: readonly Row[] = []
  #written = 0

  constructor(terms: Terms) {
    this.#terms = terms
  }

  get written(): number {
    return this.#written
  }

  get left(): number {
    return this.#rows.length
  }

  add(rows: readonly Row[]): void {
    this.#written += rows.length
    this.#rows = [...this.#rows, ...rows]
  }

  /**
   * What is wrong with these numbers, which the table has after a run, a sentence each: a run between these two moments has to take each row that had expired
   * before it began, and no row that had not when it ended. Rows that are gone are forgotten.
   */
  faults(ids: readonly number[], began: EpochMs, ended: EpochMs): readonly string[] {
    const there = new Set(ids)
    const keptMs = ({ ruled }: Row): number => (ruled ? this.#terms.ruleDays : this.#terms.retentionDays) * DAY
    const late = this.#rows.filter((row) => row.at < began - keptMs(row) && there.has(row.id))
    const lost = this.#rows.filter((row) => row.at >= ended - keptMs(row) && !there.has(row.id))
    const known = new Set(this.#rows.map(({ id }) => id))
    const strange = ids.filter((id) => !known.has(id))
    this.#rows = this.#rows.filter(({ id }) => there.has(id))
    return [
      ...(there.size < ids.length ? [`${ids.length - there.size} numbers are there twice`] : []),
      ...(late.length > 0 ? [`${late.length} rows have expired and are there, the earliest of ${iso(late)}`] : []),
      ...(lost.length > 0 ? [`${lost.length} rows have not expired and are gone, the earliest of ${iso(lost)}`] : []),
      ...(strange.length > 0 ? [`${strange.length} rows are there that nobody wrote, or that were gone before`] : []),
    ]
  }
}

function iso(rows: readonly Row[]): string {
  return new Date(Math.min(...rows.map(({ at }) => at))).toISOString()
}
