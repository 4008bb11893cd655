import type { Query, Transaction } from '../database/query.ts'
import { readBack } from '../database/read-back.ts'
import { boundedText, storedCount } from '../database/stored-values.ts'
import type { Hold } from '../policy/holds.ts'
import { parsePath, type ArchivePath } from './store/path.ts'
import { HELD_FILES } from './tables.ts'

/** Reads the holds in force on rows of the table. Rejects if one of them cannot be understood. Handed in, because their table is the business of `runs/`. */
export type ReadHolds = (query: Query) => Promise<readonly Hold[]>

/** How many rows of a file a hold keeps. */
export interface Counted {
  readonly hold: number
  readonly path: ArchivePath
  readonly rows: number
}

/** How many rows of each file each hold keeps, as far as that is known. Neither a file nor a hold changes, so each pair is counted once. */
export class HeldFiles {
  readonly #table: string
  readonly #source: string
  readonly #rows = new Map<ArchivePath, Map<number, number>>()

  constructor(named: (table: string) => string, source: string) {
    this.#table = named(HELD_FILES)
    this.#source = source
  }

  /** Reads what is known of these holds. */
  async load(query: Query, holds: readonly Hold[]): Promise<void> {
    this.#rows.clear()
    for (const { id } of holds) {
      const { rows } = await query.query<{ path: unknown; rows: unknown }>(
        `SELECT ${boundedText('path')} AS path, "rows" FROM ${this.#table} WHERE hold = CAST($1 AS bigint)`,
        [id],
      )
      for (const row of rows) {
        const path = parsePath(row.path, this.#source)
        if (path !== undefined) this.#remember({ hold: id, path, rows: storedCount(row.rows, `${HELD_FILES}.rows`) })
      }
    }
  }

  /** `undefined`: nobody has counted them. */
  rowsOf({ id }: Hold, path: ArchivePath): number | undefined {
    return this.#rows.get(path)?.get(id)
  }

  /** Those of these holds that are known to keep rows of the file. */
  keeping(holds: readonly Hold[], path: ArchivePath): readonly Hold[] {
    return holds.filter((hold) => (this.rowsOf(hold, path) ?? 0) > 0)
  }

  /** The files of which something is known. */
  paths(): readonly ArchivePath[] {
    return [...this.#rows.keys()]
  }

  /** Under the lease. */
  async note(tx: Transaction, counted: readonly Counted[]): Promise<void> {
    for (const { hold, path, rows } of counted) {
      await tx.query(
        `INSERT INTO ${this.#table} (hold, path, "rows") VALUES (CAST($1 AS bigint), $2, CAST($3 AS bigint))
         ON CONFLICT (hold, path) DO UPDATE SET "rows" = excluded."rows"`,
        [hold, path, rows],
      )
      await readBack(tx, this.#table, { hold, path }, { rows })
    }
    for (const each of counted) this.#remember(each)
  }

  /** Under the lease: forgets files that are gone. */
  async forget(tx: Transaction, paths: readonly ArchivePath[]): Promise<void> {
    for (const path of paths) await tx.query(`DELETE FROM ${this.#table} WHERE path = $1`, [path])
    for (const path of paths) this.#rows.delete(path)
  }

  /** Under the lease: forgets holds that are not in force. `holds`: the table of holds. */
  async forgetReleased(tx: Transaction, holds: string): Promise<void> {
    await tx.query(`DELETE FROM ${this.#table} WHERE hold NOT IN (SELECT id FROM ${holds} WHERE released_at IS NULL)`)
  }

  #remember({ hold, path, rows }: Counted): void {
    const known = this.#rows.get(path) ?? new Map<number, number>()
    known.set(hold, rows)
    this.#rows.set(path, known)
  }
}
