import type { EpochMs } from '../../time.ts'
import { DatabaseError, type Slice, type Tally, type TellDay, type Transaction } from '../database.ts'
import { DayCounts } from '../day-counts.ts'
import type { TimeRow } from './connection.ts'
import { dataVersion } from './data-version.ts'
import type { SqliteSession } from './session.ts'
import { readTime, standing } from './times.ts'
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
  readonly timeZone: string
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

  count(tell?: TellDay): Promise<number> {
    return this.#options.session.read(() => (tell === undefined ? this.#stillExpired().length : this.#countByDay(tell)))
  }

  async remove(tx: Transaction): Promise<Tally> {
    const { session, walk, rowids, version } = this.#options
    const { statements, removesListed } = walk
    session.mustOwn(tx)
    // Under the write lock: what nobody has changed since it was chosen is still what was chosen, and need not be read again.
    const unchanged = dataVersion(session.connection) === version
    const expired = unchanged ? rowids : this.#stillExpired().map(([, rowid]) => rowid)
    const affected = removesListed
      ? session.connection.run(statements.removeListed, [listed(expired)]).changed
      : session.connection.each(
          statements.removeOne,
          expired.map((rowid) => [rowid]),
        )
    if (affected < expired.length) this.#mustBeGone()
    return { affected, locked: 0 }
  }

  /** Judged here and not by a function within the statement: that costs half as much again as the deleting. */
  #stillExpired(): readonly TimeRow[] {
    const { session, walk, rowids, cutoff, wallCutoff } = this.#options
    return session.connection
      .timeRows(walk.statements.reread, [listed(rowids)])
      .filter(([value]) => standing(value, cutoff, wallCutoff) === 'expired')
  }

  #countByDay(tell: TellDay): number {
    const days = new DayCounts(this.#options.timeZone)
    for (const [value] of this.#stillExpired()) {
      const time = readTime(value)
      if (time === undefined) continue
      if (time.zoned) days.addInstant(time.instant, 1)
      else days.addReading(time.instant, 1)
    }
    return days.tellAll(tell)
  }

  /** Fewer may be gone than were chosen, if others were renewed or deleted since. But none that has expired may still be there. */
  #mustBeGone(): void {
    const left = this.#stillExpired().length
    if (left === 0) return
    throw new DatabaseError(
      'row-refused',
      `${left} expired ${left === 1 ? 'row' : 'rows'} of ${this.#options.table} are still there after a delete that reported no error: a trigger of that ` +
        'table swallows it (RAISE(IGNORE)); change the trigger, or disable the job',
    )
  }
}

function listed(rowids: readonly (number | bigint)[]): string {
  return `[${rowids.join(',')}]`
}

/** So that deleting comes to each page of the table once. */
function inTableOrder(rowids: readonly (number | bigint)[]): readonly (number | bigint)[] {
  // Numbers sort many times faster; a row number that is none is rare.
  if (rowids.every((rowid) => typeof rowid === 'number')) return [...Float64Array.from(rowids).toSorted()]
  return rowids.toSorted((a, b) => (a < b ? -1 : 1))
}
