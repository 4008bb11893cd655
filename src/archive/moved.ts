import type { Database } from '../database/database.ts'
import type { Query, Transaction } from '../database/query.ts'
import { readBack } from '../database/read-back.ts'
import { boundedText, storedTime } from '../database/stored-values.ts'
import { MaintenanceError } from '../errors.ts'
import type { EpochMs } from '../time/clock.ts'
import { minuteText } from '../time/time-text.ts'
import { locationProblem } from './archive-location.ts'
import type { ArchiveRecord } from './state.ts'
import type { Store } from './store/store.ts'
import { PLACES } from './tables.ts'

/** Where `archive copy --switch` has moved the archive of a table. Only sentences come from it: the archive is where the newest link of its chain lies. */
export class PlaceRecord {
  readonly #table: string
  readonly #source: string

  constructor(named: (table: string) => string, source: string) {
    this.#table = named(PLACES)
    this.#source = source
  }

  /** In the transaction that makes a link the newest which lies at that place alone. */
  async note(tx: Transaction, place: string): Promise<void> {
    const written = { place, moved_at: tx.now }
    await tx.query(
      `INSERT INTO ${this.#table} (source, place, moved_at) VALUES ($1, $2, CAST($3 AS bigint))
       ON CONFLICT (source) DO UPDATE SET place = excluded.place, moved_at = excluded.moved_at`,
      [this.#source, written.place, written.moved_at],
    )
    await readBack(tx, this.#table, { source: this.#source }, written)
  }

  /** `undefined`: it was never moved, or what is noted is no place. */
  async load(query: Query): Promise<{ readonly place: string; readonly movedAt: EpochMs } | undefined> {
    const { rows } = await query.query<{ place: unknown; moved_at: unknown }>(
      `SELECT ${boundedText('place')} AS place, moved_at FROM ${this.#table} WHERE source = $1`,
      [this.#source],
    )
    const { place, moved_at: movedAt } = rows[0] ?? {}
    if (typeof place !== 'string' || place === '' || locationProblem(place) !== undefined) return undefined
    return { place, movedAt: storedTime(movedAt, `${PLACES}.moved_at`) }
  }
}

interface Configured {
  readonly database: Database
  /** At the place that the settings name. */
  readonly store: Store
  readonly record: ArchiveRecord
}

/**
 * What to say where the newest link is not at the place that the settings name, because the archive was moved from there. `undefined`: it is there, or whatever is
 * wrong has another cause.
 */
export async function movedAway({ database, store, record }: Configured): Promise<string | undefined> {
  if (!(await database.tablesAmong([PLACES])).has(PLACES)) return undefined
  const moved = await new PlaceRecord((name) => database.named(name), store.table).load(database)
  if (moved === undefined || moved.place === store.root) return undefined
  const { head } = await record.load(database)
  if (head === null || (await store.exists(head.manifest))) return undefined
  return (
    `the archive was moved to ${moved.place} at ${minuteText(moved.movedAt)} UTC, and ARCHIVE_DIRECTORY is still ${store.root}, where nothing was added since. ` +
    `Set ARCHIVE_DIRECTORY=${moved.place} (archive.directory), and start the worker anew`
  )
}

/** Rejects if it was moved away. */
export async function mustBeHere(configured: Configured, consequence: string): Promise<void> {
  const sentence = await movedAway(configured)
  if (sentence !== undefined) throw new MaintenanceError('ARCHIVE_FAILED', `${sentence}. ${consequence}`)
}
