import { setImmediate as turn } from 'node:timers/promises'
import type { EpochMs } from '../../time.ts'
import { DatabaseError, type Census, type Estimate, type ExpiredRows, type Slice, type TimeColumn, type TooLarge } from '../database.ts'
import { wallClockThreshold } from '../wall-clock.ts'
import { rowsVersion } from './data-version.ts'
import { Entanglement } from './entanglement.ts'
import { estimate } from './estimate.ts'
import { Findings } from './findings.ts'
import { layoutOf } from './layout.ts'
import { boundAt, daysBetween, keptUntil } from './look-ups.ts'
import { RowSlice } from './row-slice.ts'
import { RowReader } from './stored-rows.ts'
import type { SqliteSession } from './session.ts'
import { standing } from './times.ts'
import { START, walkOf, type Path, type Position, type Stretch, type Walk } from './walk.ts'

/** Rows read before the event loop gets its turn. */
const MOST_READ = 10_000
/** Where fewer rows than this are to be kept, the census reads them too. */
const SMALL_TABLE_ROWS = 100_000

/** Rows whose lengths are looked at before the event loop gets its turn. */
const MOST_JUDGED = 1_000
/** Of the rows that are too large, so many are told by their names. */
const MOST_TOLD = 3

/** How the rows of a table are reached. */
interface Ways {
  readonly walk: Walk
  readonly reader: RowReader
  readonly entanglement: Entanglement
}

export interface ExpiredOptions {
  readonly session: SqliteSession
  readonly column: TimeColumn
  readonly cutoff: EpochMs
  /** See `Purgeable.expired`. */
  readonly longestBytes: number | undefined
  readonly timeZone: string
}

/**
 * Walks the index forwards through every stretch where an expired row can lie, and takes the rows that have expired. What it passes over
 * because it is no time is counted on the way, so that a run reads no row twice.
 */
export class SqliteExpiredRows implements ExpiredRows {
  readonly #session: SqliteSession
  readonly #column: TimeColumn
  readonly #cutoff: EpochMs
  readonly #wallCutoff: EpochMs
  readonly #found = new Findings()
  /** From the start to here, without a gap, everything is in `#found`. */
  #counted: Position = START
  #known: Ways | undefined
  readonly #timeZone: string

  readonly #longestBytes: number | undefined

  constructor({ session, column, cutoff, longestBytes, timeZone }: ExpiredOptions) {
    this.#session = session
    this.#column = column
    // A cutoff between two milliseconds is moved to where it keeps more.
    this.#cutoff = Math.floor(cutoff)
    this.#timeZone = timeZone
    this.#longestBytes = longestBytes
    this.#wallCutoff = wallClockThreshold(this.#cutoff, timeZone)
  }

  async next(size: number, after: Slice | undefined): Promise<Slice | undefined> {
    const ways = await this.#ways()
    const { walk } = ways
    const version = await this.#session.read(rowsVersion)
    const rowids: (number | bigint)[] = []
    let from = after instanceof RowSlice ? after.end : START
    let most = size
    for (;;) {
      const stretch = await this.#read(walk.expired, from, most)
      if (stretch === undefined) break
      const taken = rowids.length
      from = this.#take(stretch, from, size, rowids)
      if (rowids.length === size) break
      // Where few of the rows have expired, more are looked at together.
      const passedOver = stretch.rows.length - (rowids.length - taken)
      most = passedOver > 0 ? Math.min(2 * Math.max(most, 500), MOST_READ) : size - rowids.length
      if (passedOver > 0) await turn()
    }
    if (rowids.length === 0) return undefined
    return new RowSlice({
      session: this.#session,
      ...ways,
      table: this.#column.table,
      rowids,
      version,
      cutoff: this.#cutoff,
      wallCutoff: this.#wallCutoff,
      timeZone: this.#timeZone,
      end: from,
    })
  }

  async estimate(): Promise<Estimate> {
    const [cutoff, wallCutoff] = [this.#cutoff, this.#wallCutoff]
    return estimate({ session: this.#session, walk: await this.#walked(), cutoff, wallCutoff, timeZone: this.#timeZone })
  }

  async census(thorough: boolean): Promise<Census> {
    const walk = await this.#walked()
    for (;;) {
      const stretch = await this.#read(walk.expired, this.#counted, MOST_READ)
      if (stretch === undefined) break
      this.#take(stretch, this.#counted, Infinity, [])
      await turn()
    }
    const found = new Findings()
    for (const path of [walk.strange, ...(thorough || (await this.#isSmall(walk)) ? [walk.kept] : [])]) await this.#search(path, found)
    const { unreadable, shapes, undated } = this.#found.with(found)
    return { undated: walk.indexed ? await this.#undated(walk) : undated, unreadable, shapes }
  }

  async keptUntil(until: EpochMs, most: number): Promise<number> {
    const walk = await this.#walked()
    const cutoff = { instant: this.#cutoff, reading: this.#wallCutoff }
    return this.#session.read((connection) => keptUntil(connection, walk, cutoff, boundAt(until, this.#timeZone), most))
  }

  async daysSince(from: EpochMs, most: number): Promise<number> {
    const walk = await this.#walked()
    return this.#session.read((connection) => daysBetween(connection, walk, from, this.#cutoff, most))
  }

  async tooLarge(among = Infinity): Promise<TooLarge> {
    const { walk, reader } = await this.#ways()
    if (!reader.judgesLength) return { rows: 0, ids: [] }
    const found: (number | bigint)[] = []
    let looked = 0
    for (let from = START; looked < among;) {
      const stretch = await this.#read(walk.expired, from, Math.min(MOST_JUDGED, among - looked))
      if (stretch === undefined) break
      const expired = stretch.rows.filter(([value]) => standing(value, this.#cutoff, this.#wallCutoff) === 'expired')
      const tooLong = await this.#session.read(() => reader.tooLong(expired.map(([, rowid]) => rowid)))
      for (const [, rowid] of expired) if (tooLong.has(rowid)) found.push(rowid)
      looked += stretch.rows.length
      from = stretch.end
      await turn()
    }
    return { rows: found.length, ids: await this.#session.read(() => found.slice(0, MOST_TOLD).map((rowid) => reader.idOf(rowid))) }
  }

  /** Adds the expired rows of a stretch until there are `size`, and answers with where that was. */
  #take(stretch: Stretch, from: Position, size: number, rowids: (number | bigint)[]): Position {
    const counts = from === this.#counted
    let end = stretch.end
    for (const [index, row] of stretch.rows.entries()) {
      const [value, rowid] = row
      const stands = standing(value, this.#cutoff, this.#wallCutoff)
      if (stands === 'expired') rowids.push(rowid)
      else if (counts && stands !== 'kept') this.#found.add(value)
      if (rowids.length === size && index < stretch.rows.length - 1) {
        end = { range: from.range, row }
        break
      }
    }
    if (counts) this.#counted = end
    return end
  }

  async #search(path: Path, found: Findings): Promise<void> {
    let from = START
    for (;;) {
      const stretch = await this.#read(path, from, MOST_READ)
      if (stretch === undefined) return
      for (const [value] of stretch.rows) {
        if (standing(value, this.#cutoff, this.#wallCutoff) === 'unreadable') found.add(value)
      }
      from = stretch.end
      await turn()
    }
  }

  #read(path: Path, from: Position, size: number): Promise<Stretch | undefined> {
    return this.#session.read((connection) => path.read(connection, from, size))
  }

  #isSmall(walk: Walk): Promise<boolean> {
    return this.#session.read((connection) => walk.kept.atMost(connection, SMALL_TABLE_ROWS) < SMALL_TABLE_ROWS)
  }

  async #undated({ statements: { undated } }: Walk): Promise<number> {
    return undated === undefined ? 0 : this.#session.read((connection) => connection.figure(undated))
  }

  async #walked(): Promise<Walk> {
    return (await this.#ways()).walk
  }

  async #ways(): Promise<Ways> {
    this.#known ??= await this.#session.read((connection) => {
      const layout = layoutOf(connection, this.#column)
      if (layout === undefined)
        throw new DatabaseError(
          'failed',
          `${connection.file}: the table ${this.#column.table} is gone since the run began; what is deleted by then stays deleted. Run again once it is back`,
        )
      const entanglement = new Entanglement(connection, this.#column, layout)
      const reader = new RowReader({
        connection,
        column: this.#column,
        layout,
        entanglement,
        longestBytes: this.#longestBytes,
        timeZone: this.#timeZone,
      })
      return { walk: walkOf(connection, layout, this.#cutoff), reader, entanglement }
    })
    return this.#known
  }
}
