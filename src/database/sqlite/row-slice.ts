import type { EpochMs } from '../../time.ts'
import { DatabaseError, type Slice, type Tally, type Transaction } from '../database.ts'
import type { SqliteSession } from './session.ts'
import type { Statements } from './statements.ts'
import type { Position } from './walk.ts'

export interface SliceOptions {
  readonly session: SqliteSession
  readonly statements: Statements
  /** For messages. */
  readonly table: string
  readonly rowids: readonly (number | bigint)[]
  readonly cutoff: EpochMs
  /** For text without a zone. */
  readonly wallCutoff: EpochMs
  readonly end: Position
}

/** Rows by their numbers, chosen without a lock: whatever is done to them asks again whether they have expired. */
export class RowSlice implements Slice {
  /** Behind the last row that was looked at for it. */
  readonly end: Position
  readonly #session: SqliteSession
  readonly #statements: Statements
  readonly #table: string
  readonly #size: number
  readonly #values: readonly [list: string, cutoff: EpochMs, wallCutoff: EpochMs]

  constructor({ session, statements, table, rowids, cutoff, wallCutoff, end }: SliceOptions) {
    this.end = end
    this.#session = session
    this.#statements = statements
    this.#table = table
    this.#size = rowids.length
    this.#values = [listOf(rowids), cutoff, wallCutoff]
  }

  async count(): Promise<number> {
    const { rows } = await this.#session.query<{ expired: number }>(this.#statements.count, this.#values)
    return rows[0]?.expired ?? 0
  }

  async remove(tx: Transaction): Promise<Tally> {
    const { changed } = await tx.query(this.#statements.remove, this.#values)
    if (changed < this.#size) await this.#mustBeGone(tx)
    return { affected: changed, locked: 0 }
  }

  /** Fewer may be gone than were chosen: renewed, or deleted by somebody else. But none that has expired may still be there. */
  async #mustBeGone(tx: Transaction): Promise<void> {
    const { rows } = await tx.query<{ expired: number }>(this.#statements.count, this.#values)
    const left = rows[0]?.expired ?? 0
    if (left === 0) return
    throw new DatabaseError(
      'row-refused',
      `${left} expired rows of ${this.#table} are still there after their delete, which reported no error: a trigger of that table ` +
        'swallows it (RAISE(IGNORE)); change the trigger, or disable the job',
    )
  }
}

/** As JSON. Deleting in the order of the table touches each of its pages once. */
function listOf(rowids: readonly (number | bigint)[]): string {
  const sorted = rowids.every((rowid) => typeof rowid === 'number')
    ? Float64Array.from(rowids).toSorted()
    : BigInt64Array.from(rowids, (rowid) => BigInt(rowid)).toSorted()
  return `[${sorted.join(',')}]`
}
