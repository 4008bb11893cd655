import { plural } from '../../../number-text.ts'
import type { SparedRows } from '../../../policy/spared.ts'
import type { EpochMs } from '../../../time/clock.ts'
import { DayCounts } from '../../../time/day-counts.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Slice, Tally } from '../../purging.ts'
import type { Transaction } from '../../query.ts'
import type { TimeRow } from '../connection/connection.ts'
import { rowsVersion } from '../connection/data-version.ts'
import type { SqliteSession } from '../connection/session.ts'
import { listed } from '../listed.ts'
import { readTime } from '../times.ts'
import type { Entanglement } from './entanglement.ts'
import type { Position, Walk } from './walk.ts'

/** Finds rows whose exported line would be too long. */
export interface Lengths {
  /** Those of these rows that are too long. */
  tooLong(rowids: readonly (number | bigint)[]): ReadonlySet<number | bigint>
}

export interface SliceOptions {
  readonly session: SqliteSession
  /** By which the rows were chosen. */
  readonly walk: Walk
  /** The same that also leaves these rows out; `walk` itself if it does so anyway. */
  readonly walkSparing: (spared: SparedRows) => Walk
  /** `undefined`: there is no limit. */
  readonly lengths: Lengths | undefined
  readonly entanglement: Entanglement
  /** For messages. */
  readonly table: string
  /** In the order of their time. */
  readonly rowids: readonly (number | bigint)[]
  /** `rowsVersion` before the first of the rows was read. */
  readonly version: string
  readonly timeZone: string
  /** After the last row that was read for it. */
  readonly end: Position
}

/** Rows by number, chosen without a lock. Before a row is counted or deleted it is judged again, or known not to have changed. */
export class RowSlice implements Slice {
  readonly end: Position
  protected readonly options: SliceOptions

  constructor(options: SliceOptions) {
    this.end = options.end
    this.options = options
  }

  get firstRow(): number | bigint {
    return this.options.rowids[0]!
  }

  name(): string {
    return `rowid ${this.firstRow}`
  }

  count(): Promise<number> {
    return this.options.session.read(() => this.stillExpired().length)
  }

  countByDay(): Promise<ReadonlyMap<EpochMs, number>> {
    return this.options.session.read(() => this.#byDay())
  }

  async remove(tx: Transaction, spared: SparedRows): Promise<Tally> {
    const walk = this.options.walkSparing(spared)
    return this.withCascaded(() => ({ affected: this.removeEach(tx, walk, (rowids) => this.#removeJudged(walk, rowids)), locked: 0 }))
  }

  /** Adds to a tally how many rows foreign keys have deleted or changed along. What triggers did meanwhile cannot be told apart, and is counted too. */
  protected withCascaded<T extends Tally>(remove: () => T): T {
    const { session, entanglement } = this.options
    const before = session.connection.indirectChanges()
    const tally = remove()
    return entanglement.takesAlong ? { ...tally, cascaded: session.connection.indirectChanges() - before } : tally
  }

  /**
   * `remove` returns how many rows it deleted. If deleting one row can affect another, they are passed to it one at a time. `staying`: rows
   * that it leaves.
   */
  protected removeEach(
    tx: Transaction,
    walk: Walk,
    remove: (rowids: readonly (number | bigint)[]) => number,
    staying: ReadonlySet<bigint> = NONE,
  ): number {
    const { session, rowids, entanglement } = this.options
    session.mustOwn(tx)
    const together = entanglement.found ? rowids.map((rowid) => [rowid]) : [rowids]
    let affected = 0
    for (const some of together) affected += remove(some)
    if (entanglement.found || affected + staying.size < rowids.length) this.#mustBeDeleted(walk, rowids, staying)
    return affected
  }

  /** Under the write lock: if the version is unchanged and no hold was placed since the rows were chosen, they need not be read again. */
  #removeJudged(walk: Walk, rowids: readonly (number | bigint)[]): number {
    const { session, lengths, version } = this.options
    const unchanged = walk === this.options.walk && rowsVersion(session.connection) === version && lengths === undefined
    return this.removeAll(walk, unchanged ? rowids : this.stillExpired(walk, rowids).map(([, rowid]) => rowid), rowids)
  }

  /** Deletes rows that were judged under the write lock. If fewer were deleted, a trigger may have swallowed some: throws if one of `chosen` is still expired, other than those that are `staying`. */
  protected removeAll(
    walk: Walk,
    judged: readonly (number | bigint)[],
    chosen: readonly (number | bigint)[],
    staying: ReadonlySet<bigint> = NONE,
  ): number {
    const affected = this.#delete(walk, judged)
    if (affected < judged.length) this.#mustBeDeleted(walk, chosen, staying)
    return affected
  }

  #delete({ removal }: Walk, unordered: readonly (number | bigint)[]): number {
    const rowids = inTableOrder(unordered)
    const { session } = this.options
    const { one, bounds, ...many } = removal
    if (many.listedIsSearch && rowids.length > 1) return session.connection.run(many.listed, [listed(rowids), ...bounds]).changed
    return rowids.reduce((sum: number, rowid) => sum + session.connection.run(one, [rowid, ...bounds]).changed, 0)
  }

  /** Judged here and not by a function inside the statement, which would add half the cost of the deletion. */
  protected stillExpired(walk = this.options.walk, rowids = this.options.rowids): readonly TimeRow[] {
    const { session, lengths } = this.options
    const expired = walk.reread(session.connection, inTableOrder(rowids)).filter((row) => walk.judge.mayGo(row))
    if (lengths === undefined) return expired
    const tooLong = lengths.tooLong(expired.map(([, rowid]) => rowid))
    return expired.filter(([, rowid]) => !tooLong.has(rowid))
  }

  #byDay(): ReadonlyMap<EpochMs, number> {
    const days = new DayCounts(this.options.timeZone)
    for (const [value] of this.stillExpired()) {
      const time = readTime(value)
      if (time === undefined) continue
      if (time.zoned) days.addInstant(time.instant, 1)
      else days.addReading(time.instant, 1)
    }
    return days.days
  }

  /** Fewer rows may have been deleted than were chosen, if others were renewed or deleted since, or spared. But none that has expired may still be there. */
  #mustBeDeleted(walk: Walk, rowids: readonly (number | bigint)[], staying: ReadonlySet<bigint>): void {
    const left = this.stillExpired(walk, rowids).filter(([, rowid]) => !staying.has(BigInt(rowid))).length
    if (left === 0) return
    throw new DatabaseError(
      'row-refused',
      `${left} expired ${plural(left, 'row')} of ${this.options.table} remained after a DELETE without an error: a trigger on the table prevents the ` +
        'deletion (RAISE(IGNORE)) or inserts the rows again. The batch was rolled back. Change the trigger, or disable the job.',
    )
  }
}

const NONE: ReadonlySet<bigint> = new Set()

/** In this order each page of the table is visited only once. */
function inTableOrder(rowids: readonly (number | bigint)[]): readonly (number | bigint)[] {
  // Numbers sort many times faster than bigints, and row numbers that need a bigint are rare.
  if (rowids.every((rowid) => typeof rowid === 'number')) return [...Float64Array.from(rowids).toSorted()]
  return rowids.toSorted((a, b) => (a < b ? -1 : 1))
}
