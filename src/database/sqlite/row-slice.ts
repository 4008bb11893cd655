import type { EpochMs } from '../../time.ts'
import { DatabaseError, type Gone, type Slice, type StoredRows, type Tally, type TellDay, type Transaction } from '../database.ts'
import { DayCounts } from '../day-counts.ts'
import type { TimeRow } from './connection.ts'
import { rowsVersion } from './data-version.ts'
import type { Entanglement } from './entanglement.ts'
import type { SqliteSession } from './session.ts'
import type { RowReader } from './stored-rows.ts'
import { readTime, standing } from './times.ts'
import type { Position, Walk } from './walk.ts'
import { listed } from './listed.ts'

/** Rows that are asked for at once; then as many as were read, and a few more. */
const FIRST_LISTED = 500

export interface SliceOptions {
  readonly session: SqliteSession
  readonly walk: Walk
  /** Reads rows as they are stored. */
  readonly reader: RowReader
  readonly entanglement: Entanglement
  /** For messages. */
  readonly table: string
  /** In the order of their time. */
  readonly rowids: readonly (number | bigint)[]
  /** Of the rows, before the first of them was looked at. */
  readonly version: string
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
    this.#options = options
  }

  count(tell?: TellDay): Promise<number> {
    return this.#options.session.read(() => (tell === undefined ? this.#stillExpired().length : this.#countByDay(tell)))
  }

  async read(take: (rows: StoredRows) => Promise<void>): Promise<void> {
    const { session, reader, cutoff, wallCutoff } = this.#options
    // Of a list that is too long the rest would be taken apart again with each of its pieces.
    let most = FIRST_LISTED
    for (let left = this.#options.rowids; left.length > 0;) {
      const some = left.slice(0, most)
      const { rows, next } = await session.read(() => reader.read(some, [cutoff, wallCutoff]))
      for (const each of rows) await take(each)
      left = left.slice(next)
      most = next === some.length ? 2 * most : next + Math.ceil(next / 8)
    }
  }

  async remove(tx: Transaction, gone?: Gone): Promise<Tally> {
    const { session, rowids, entanglement } = this.#options
    session.mustOwn(tx)
    const together = entanglement.found ? rowids.map((rowid) => [rowid]) : [rowids]
    let affected = 0
    for (const some of together) affected += gone === undefined ? this.#removeJudged(some) : this.#removeRead(some, gone)
    if (entanglement.found || affected < rowids.length) this.#mustBeGone()
    return { affected, locked: 0 }
  }

  /** Under the write lock: what nobody has changed since it was chosen is still what was chosen, and need not be read again. */
  #removeJudged(rowids: readonly (number | bigint)[]): number {
    const { session, reader, version } = this.#options
    const unchanged = rowsVersion(session.connection) === version && !reader.judgesLength
    const expired = unchanged ? rowids : this.#stillExpired(rowids).map(([, rowid]) => rowid)
    const affected = this.#delete(expired)
    if (affected < expired.length) this.#mustBeGone(rowids)
    return affected
  }

  /** Under the write lock a row that is read is the row that is deleted. */
  #removeRead(rowids: readonly (number | bigint)[], gone: Gone): number {
    const { reader, cutoff, wallCutoff } = this.#options
    const { rowids: expired, digests } = reader.digests(rowids, [cutoff, wallCutoff])
    const affected = this.#delete(expired)
    // Rows that are there are deleted, all or, where a trigger swallows some, none of the batch.
    if (affected < expired.length) this.#mustBeGone(rowids)
    else if (affected > 0) gone(digests.bytes)
    return affected
  }

  #delete(unordered: readonly (number | bigint)[]): number {
    const rowids = inTableOrder(unordered)
    const { session, walk } = this.#options
    const { one, bounds, ...many } = walk.removal
    if (many.listedIsSearch && rowids.length > 1) return session.connection.run(many.listed, [listed(rowids), ...bounds]).changed
    return rowids.reduce((sum: number, rowid) => sum + session.connection.run(one, [rowid, ...bounds]).changed, 0)
  }

  /** Judged here and not by a function within the statement: that costs half as much again as the deleting. */
  #stillExpired(rowids = this.#options.rowids): readonly TimeRow[] {
    const { session, walk, reader, cutoff, wallCutoff } = this.#options
    const expired = session.connection
      .timeRows(walk.statements.reread, [listed(inTableOrder(rowids))])
      .filter(([value]) => standing(value, cutoff, wallCutoff) === 'expired')
    const tooLong = reader.tooLong(expired.map(([, rowid]) => rowid))
    return tooLong.size === 0 ? expired : expired.filter(([, rowid]) => !tooLong.has(rowid))
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
  #mustBeGone(rowids = this.#options.rowids): void {
    const left = this.#stillExpired(rowids).length
    if (left === 0) return
    throw new DatabaseError(
      'row-refused',
      `${left} expired ${left === 1 ? 'row' : 'rows'} of ${this.#options.table} are still there after a delete that reported no error: a trigger of that ` +
        'table swallows it (RAISE(IGNORE)) or puts it back; change the trigger, or disable the job',
    )
  }
}

/** So that deleting comes to each page of the table once. */
function inTableOrder(rowids: readonly (number | bigint)[]): readonly (number | bigint)[] {
  // Numbers sort many times faster; a row number that is none is rare.
  if (rowids.every((rowid) => typeof rowid === 'number')) return [...Float64Array.from(rowids).toSorted()]
  return rowids.toSorted((a, b) => (a < b ? -1 : 1))
}
