import type { SparedRows } from '../../../policy/spared.ts'
import {
  DIGEST_BYTES,
  type DigestedTally,
  type ExportedRows,
  type ExportedSlice,
  type KnownRows,
  type StoredRows,
  type TooLarge,
} from '../../exporting.ts'
import { DigestList } from '../../exporting/digest-list.ts'
import type { Transaction } from '../../query.ts'
import { RowSlice, type SliceOptions } from '../purging/row-slice.ts'
import { SqliteExpiredRows, type ExpiredOptions } from '../purging/slices.ts'
import type { Walk } from '../purging/walk.ts'
import type { NotedDigests } from './read-digests.ts'
import { RowReader } from './stored-rows.ts'

/** How many rows are checked for their length before other events are handled. */
const MOST_JUDGED = 1_000
/** How many of the rows that are too large are named. */
const MOST_TOLD = 3
/** How many rows the first query lists; the next ones list as many as were read, and a few more. */
const FIRST_LISTED = 500

/** Expired rows whose lines are no longer than `longestBytes`. */
export class SqliteExportedRows extends SqliteExpiredRows<ExportedRowSlice> implements ExportedRows {
  #reader: RowReader | undefined

  constructor(options: ExpiredOptions, longestBytes: number) {
    super(options, (table) => {
      const { column, timeZone } = options
      const reader = new RowReader({ ...table, column, longestBytes, timeZone })
      this.#reader = reader
      return { lengths: reader, slice: (parts) => new ExportedRowSlice(reader, parts) }
    })
  }

  async tooLarge(among = Infinity): Promise<TooLarge> {
    const found: (number | bigint)[] = []
    for await (const rowids of this.expiredAmong(among, MOST_JUDGED)) {
      const tooLong = await this.session.read(() => this.#reader!.tooLong(rowids))
      for (const rowid of rowids) if (tooLong.has(rowid)) found.push(rowid)
    }
    return { rows: found.length, ids: await this.session.read(() => found.slice(0, MOST_TOLD).map((rowid) => this.#reader!.idOf(rowid))) }
  }
}

class ExportedRowSlice extends RowSlice implements ExportedSlice {
  readonly #reader: RowReader

  constructor(reader: RowReader, options: SliceOptions) {
    super(options)
    this.#reader = reader
  }

  async read(take: (rows: StoredRows) => Promise<void>): Promise<void> {
    const { session } = this.options
    // If the list were much longer than what is read, its rest would be parsed again with each query.
    let most = FIRST_LISTED
    for (let left = this.options.rowids; left.length > 0;) {
      const some = left.slice(0, most)
      const { rows, next } = await session.read(() => this.#reader.read(some))
      for (const each of rows) await take(each)
      left = left.slice(next)
      most = next === some.length ? 2 * most : next + Math.ceil(next / 8)
    }
  }

  /** Under the write lock, the row that is read is the row that is deleted. */
  async removeRead(tx: Transaction, spared: SparedRows, known: KnownRows): Promise<DigestedTally> {
    const walk = this.options.walkSparing(spared)
    const isKnown = known()
    const gone: Uint8Array[] = []
    const staying = new Set<bigint>()
    const remove = (rowids: readonly (number | bigint)[]): number => {
      // The reader, and what it has noted, know only what was spared when the rows were chosen.
      const judged = walk === this.options.walk ? rowids : this.#notSpared(walk, rowids)
      const { rowids: expired, digests } = knownAmong(this.#reader.digests(judged), isKnown, staying)
      const count = this.removeAll(walk, expired, rowids, staying)
      // Either all rows that exist are deleted or, if a trigger swallows some, none of the batch.
      if (count === expired.length && count > 0) gone.push(digests.bytes)
      return count
    }
    const tally = this.withCascaded(() => ({ affected: this.removeEach(tx, walk, remove, staying), locked: 0 }))
    return { ...tally, digests: gone.length === 1 ? gone[0]! : Buffer.concat(gone), unknown: staying.size }
  }

  /** In the order in which they were read. */
  #notSpared(walk: Walk, rowids: readonly (number | bigint)[]): readonly (number | bigint)[] {
    const expired = new Set(this.stillExpired(walk, rowids).map(([, rowid]) => BigInt(rowid)))
    return rowids.filter((rowid) => expired.has(BigInt(rowid)))
  }
}

/** Adds the others to `staying`. */
function knownAmong(all: NotedDigests, isKnown: ReturnType<KnownRows>, staying: Set<bigint>): NotedDigests {
  const { bytes } = all.digests
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const areKnown = all.rowids.map((_, index) => isKnown(view, index * DIGEST_BYTES))
  if (!areKnown.includes(false)) return all
  const found: NotedDigests = { rowids: [], digests: new DigestList() }
  for (const [index, rowid] of all.rowids.entries()) {
    if (areKnown[index] === true) {
      found.rowids.push(rowid)
      found.digests.addFrom(bytes, index)
    } else staying.add(BigInt(rowid))
  }
  return found
}
