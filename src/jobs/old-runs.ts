import type { Query, Slice, Slices, Tally, Transaction } from '../database/database.ts'
import { DAY, type EpochMs } from '../time.ts'

/** What is on record of a run is kept this long. */
export const HISTORY_MS = 400 * DAY

interface Place {
  readonly startedAt: EpochMs
  readonly id: number
}

const BEGINNING: Place = { startedAt: 0, id: 0 }

/** Runs that began before the cutoff, oldest first, for the same loop that purges the gateway's tables. */
export function oldRuns(query: Query, table: string, cutoff: EpochMs): Slices {
  return {
    async next(size, after) {
      const from = after instanceof OldRuns ? after.to : BEGINNING
      const { rows } = await query.query<{ started_at: number; id: number }>(
        `SELECT started_at, id FROM ${table} WHERE (started_at, id) > ($1, $2) AND started_at < $3 ORDER BY started_at, id LIMIT $4`,
        [from.startedAt, from.id, cutoff, size],
      )
      const last = rows.at(-1)
      return last === undefined ? undefined : new OldRuns(query, table, cutoff, from, { startedAt: last.started_at, id: last.id })
    },
  }
}

class OldRuns implements Slice {
  readonly to: Place
  readonly #query: Query
  readonly #table: string
  readonly #cutoff: EpochMs
  readonly #from: Place

  constructor(query: Query, table: string, cutoff: EpochMs, from: Place, to: Place) {
    this.#query = query
    this.#table = table
    this.#cutoff = cutoff
    this.#from = from
    this.to = to
  }

  async count(): Promise<number> {
    const { rows } = await this.#query.query<{ n: number }>(`SELECT count(*) AS n FROM ${this.#table} WHERE ${RANGE}`, this.#bounds())
    return rows[0]?.n ?? 0
  }

  async remove(tx: Transaction): Promise<Tally> {
    const { changed } = await tx.query(`DELETE FROM ${this.#table} WHERE ${RANGE}`, this.#bounds())
    return { affected: changed, locked: 0 }
  }

  #bounds(): number[] {
    return [this.#from.startedAt, this.#from.id, this.to.startedAt, this.to.id, this.#cutoff]
  }
}

/** The bounds were read; the cutoff was not. */
const RANGE = '(started_at, id) > ($1, $2) AND (started_at, id) <= ($3, $4) AND started_at < $5'
