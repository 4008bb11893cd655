import type { Query, Transaction } from '../database/query.ts'
import { readBack } from '../database/read-back.ts'
import { boundedText, storedCount, storedTime } from '../database/stored-values.ts'
import { DAY, type EpochMs } from '../time/clock.ts'
import { positionOf, parsePath, type ArchivePath } from './store/path.ts'
import { DISCARDED } from './tables.ts'

/** For so long a request that was sent may still be carried out, after the process that sent it has died. */
export const LATE_MS = DAY
/** Far more than crashes discard in a day. */
const MOST_READ = 100_000

interface DiscardedRow {
  readonly path: unknown
  readonly noted_at: unknown
}

/**
 * Files of one table that settling has discarded, and that may appear in the bucket all the same, or that the bucket did not let go. Their names are never used
 * again, so they may be removed at any time.
 */
export class DiscardedFiles {
  readonly #table: string
  readonly #source: string

  constructor(named: (table: string) => string, source: string) {
    this.#table = named(DISCARDED)
    this.#source = source
  }

  /** When each was noted. `position`: the highest number that this database has given a file; it has discarded none beyond. */
  async load(query: Query, position: number): Promise<ReadonlyMap<ArchivePath, EpochMs>> {
    const { rows } = await query.query<DiscardedRow & { readonly path: unknown }>(
      `SELECT ${boundedText('path')} AS path, noted_at FROM ${this.#table} WHERE source = $1 ORDER BY noted_at DESC LIMIT ${MOST_READ}`,
      [this.#source],
    )
    const noted = new Map<ArchivePath, EpochMs>()
    for (const row of rows) {
      const path = parsePath(row.path, this.#source)
      if (path !== undefined && positionOf(path) <= position) noted.set(path, storedTime(row.noted_at, `${DISCARDED}.noted_at`))
    }
    return noted
  }

  /** How many files the bucket has not let go. */
  async kept(query: Query): Promise<number> {
    const { rows } = await query.query<{ kept: unknown }>(`SELECT COUNT(*) AS kept FROM ${this.#table} WHERE source = $1 AND kept = 1`, [
      this.#source,
    ])
    return storedCount(Number(rows[0]?.kept), `${DISCARDED}.kept`)
  }

  /** Under the lease, before they are removed. `kept`: the bucket did not let them be removed. */
  async note(tx: Transaction, paths: readonly ArchivePath[], kept: boolean): Promise<void> {
    for (const path of paths) {
      const written = { noted_at: tx.now, kept: kept ? 1 : 0 }
      await tx.query(
        `INSERT INTO ${this.#table} (source, path, noted_at, kept) VALUES ($1, $2, CAST($3 AS bigint), CAST($4 AS bigint))
         ON CONFLICT (source, path) DO UPDATE SET noted_at = excluded.noted_at, kept = excluded.kept`,
        [this.#source, path, written.noted_at, written.kept],
      )
      await readBack(tx, this.#table, { source: this.#source, path }, written)
    }
  }

  /** Under the lease. */
  async forget(tx: Transaction, paths: readonly ArchivePath[]): Promise<void> {
    for (const path of paths) await tx.query(`DELETE FROM ${this.#table} WHERE source = $1 AND path = $2`, [this.#source, path])
  }
}
