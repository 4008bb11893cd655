import type { SparedRows } from '../policy/spared.ts'
import type { EpochMs } from '../time/clock.ts'

export interface Searchable {
  /**
   * The rows of a table that name somebody. Changes nothing, takes no lock that the gateway could meet, and needs memory that does not grow with the number of rows. Rows of
   * partitions that were taken out of the table and not dropped yet are among them.
   */
  matching(sought: Sought): Promise<Found>
  /** Tables beside these and beside our own, by name; partitions belong to their tables. */
  otherTables(known: readonly string[]): Promise<readonly string[]>
}

export interface Sought {
  readonly table: string
  /** A row is found if one of them holds exactly this text; the table may lack some of them. */
  readonly columns: readonly string[]
  readonly text: string
  /** The column that dates the rows. */
  readonly time: string
  /** Rows are told apart by which of these keep them. */
  readonly spared: SparedRows
  /** How many rows are named, at most. */
  readonly mostNamed: number
  readonly stopping: AbortSignal
}

export type Found =
  | { readonly kind: 'absent' }
  /** The table is there and was not searched. `reason`: a clause. */
  | { readonly kind: 'unsearchable'; readonly reason: string }
  | FoundRows

export interface FoundRows {
  readonly kind: 'found'
  /** Those columns of `columns` that the table has. */
  readonly columns: readonly string[]
  /** In no order; none without rows. */
  readonly groups: readonly FoundGroup[]
  /** Some of the rows: the first `mostNamed`, as the engine reads them. */
  readonly named: readonly NamedRow[]
  /** Why no row of the table is dated, so that no run deletes any: a clause; `undefined`: they are. */
  readonly undatable: string | undefined
}

/** The rows that the same ones of `spared` keep. */
export interface FoundGroup {
  /** Places in `spared`. */
  readonly spared: readonly number[]
  readonly rows: number
  /** Rows whose time is NULL: they never expire. */
  readonly undated: number
  /** Rows whose time cannot be read, or is endless: they never expire either. */
  readonly unreadable: number
  /** The time of the earliest and of the latest of the others; `undefined`: there are no others. See `NamedRow`. */
  readonly times: { readonly first: EpochMs; readonly last: EpochMs } | undefined
}

export interface NamedRow {
  /** Its `id`, no longer than `LONGEST_ID`; `undefined`: the table has none. */
  readonly id: string | undefined
  /**
   * The latest cutoff before which it has not expired: the instant that its time means. Where that can be read as two instants, it is the one that keeps the row longer.
   * `undefined`: it has no time, or none that can be read.
   */
  readonly at: EpochMs | undefined
  readonly spared: readonly number[]
}

/** In characters. */
export const LONGEST_ID = 200
