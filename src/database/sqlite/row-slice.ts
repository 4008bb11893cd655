import type { EpochMs } from '../../time.ts'
import { DatabaseError, type Slice, type Tally, type Transaction } from '../database.ts'
import { dataVersion } from './data-version.ts'
import type { SqliteSession } from './session.ts'
import type { Position, Walk } from './walk.ts'

export interface SliceOptions {
  readonly session: SqliteSession
  readonly walk: Walk
  /** For messages. */
  readonly table: string
  readonly rowids: readonly (number | bigint)[]
  /** Of the data, before the first of them was looked at. */
  readonly version: number
  readonly cutoff: EpochMs
  /** For text without a zone. */
  readonly wallCutoff: EpochMs
  /** Behind the last row that was looked at for it. */
  readonly end: Position
}

/** Rows by their numbers, chosen without a lock: whatever is done to one asks again whether it has expired. */
export class RowSlice implements Slice {
  readonly end: Position
  readonly #options: SliceOptions

  constructor(options: SliceOptions) {
    this.end = options.end
    this.#options = { ...options, rowids: inTableOrder(options.rowids) }
  }

  count(): Promise<number> {
    return this.#options.session.read(() => this.#count())
  }

  async remove(tx: Transaction): Promise<Tally> {
    const { session, walk, rowids, cutoff, wallCutoff, version } = this.#options
    const { statements, removesListed } = walk
    session.mustOwn(tx)
    // Under the write lock: what nobody has changed since it was chosen is still what was chosen, and need not be read again.
    const unchanged = dataVersion(session.connection) === version
    const affected = removesListed
      ? session.connection.run(
          unchanged ? statements.removeUnchanged : statements.removeListed,
          unchanged ? [this.#list()] : this.#listed(),
        ).changed
      : session.connection.each(
          statements.removeOne,
          rowids.map((rowid) => [rowid, cutoff, wallCutoff]),
        )
    if (affected < rowids.length) this.#mustBeGone()
    return { affected, locked: 0 }
  }

  #listed(): readonly [rowids: string, cutoff: EpochMs, wallCutoff: EpochMs] {
    const { cutoff, wallCutoff } = this.#options
    return [this.#list(), cutoff, wallCutoff]
  }

  #list(): string {
    return `[${this.#options.rowids.join(',')}]`
  }

  #count(): number {
    const { session, walk } = this.#options
    return session.connection.figure(walk.statements.count, this.#listed())
  }

  /** Fewer may be gone than were chosen, if others were renewed or deleted since. But none that has expired may still be there. */
  #mustBeGone(): void {
    const left = this.#count()
    if (left === 0) return
    throw new DatabaseError(
      'row-refused',
      `${left} expired ${left === 1 ? 'row' : 'rows'} of ${this.#options.table} are still there after a delete that reported no error: a trigger of that ` +
        'table swallows it (RAISE(IGNORE)); change the trigger, or disable the job',
    )
  }
}

/** So that deleting comes to each page of the table once. */
function inTableOrder(rowids: readonly (number | bigint)[]): readonly (number | bigint)[] {
  // Numbers sort many times faster; a row number that is none is rare.
  if (rowids.every((rowid) => typeof rowid === 'number')) return [...Float64Array.from(rowids).toSorted()]
  return rowids.toSorted((a, b) => (a < b ? -1 : 1))
}
