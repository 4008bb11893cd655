import { setImmediate as turn } from 'node:timers/promises'
import type { SparedRows } from '../../../policy/spared.ts'
import type { EpochMs } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Census, Estimate, ExpiredRows, Slice, SparedExpired, TimeColumn } from '../../purging.ts'
import { rowsVersion } from '../connection/data-version.ts'
import type { SqliteSession } from '../connection/session.ts'
import { Cutoff } from '../times.ts'
import { Entanglement } from './entanglement.ts'
import { estimate } from './estimate.ts'
import { JudgedWalks } from './judged-walks.ts'
import { layoutOf } from './layout.ts'
import { daysBetween, keptUntil } from './look-ups.ts'
import { RowSlice } from './row-slice.ts'
import { PLAIN, type SliceKind, type Table, type TableAccess } from './slice-kind.ts'
import { sparedAmongExpired } from './spared-counts.ts'
import { END, type Stretches } from './stretches.ts'
import { survey } from './survey.ts'
import { UnreadableRows } from './unreadable-rows.ts'
import { START, type Path, type Position, type Chunk, type Walk } from './walk.ts'

/** Rows read before the event loop gets a turn. */
const MOST_READ = 10_000
/** If fewer rows than this have not expired, the census scans them too. */
const SMALL_TABLE_ROWS = 100_000

export interface ExpiredOptions {
  readonly session: SqliteSession
  readonly column: TimeColumn
  readonly cutoff: EpochMs
  /** Rows that count as not expired. */
  readonly spared: SparedRows
  readonly timeZone: string
}

/** For a purge without an archive. */
export function expiredRows(options: ExpiredOptions): SqliteExpiredRows {
  return new SqliteExpiredRows(options, () => PLAIN)
}

/**
 * One column can hold several formats of time, so the exact decision is made here, row by row (`Judge`). SQLite's DELETE names the rows by
 * their row numbers, and carries only coarse bounds derived from the cutoff, and what is spared at any time (`removal.ts`). In the write transaction that deletes them, rows need not be
 * read again if `data_version` and the count of changes by triggers on this connection are what they were when the rows were chosen, and no hold was placed since; otherwise,
 * and whenever their length matters, each is read and judged again first (`RowSlice`).
 *
 * Walks the index forwards through every range that can hold an expired row, and takes the rows that have expired. Values that are not times are counted
 * on the way, so that the census need not read them again.
 */
export class SqliteExpiredRows<S extends RowSlice = RowSlice> implements ExpiredRows {
  protected readonly session: SqliteSession
  readonly #column: TimeColumn
  readonly #cutoff: Cutoff
  readonly #spared: SparedRows
  readonly #kindOf: (table: Table) => SliceKind<S>
  #found = new UnreadableRows()
  /** Everything before this position is counted in `#found`. */
  #counted: Position = START
  /** Known from a survey: nothing is to be found there. */
  #stretches: Stretches | undefined
  #known: TableAccess<S> | undefined
  readonly #timeZone: string

  constructor({ session, column, cutoff, spared, timeZone }: ExpiredOptions, kindOf: (table: Table) => SliceKind<S>) {
    this.session = session
    this.#kindOf = kindOf
    this.#column = column
    this.#cutoff = Cutoff.at(cutoff, timeZone)
    this.#spared = spared
    this.#timeZone = timeZone
  }

  /** `until`: see `ExportedRows`. */
  async next(size: number, after: Slice | undefined, until?: Slice): Promise<S | undefined> {
    const { walk, walks, entanglement, kind } = await this.access()
    const version = await this.session.read(rowsVersion)
    const rowids: (number | bigint)[] = []
    const end = until === undefined ? undefined : endOf(until)
    let from = after === undefined ? START : endOf(after)
    let most = size
    for (;;) {
      if (from !== end) from = await this.#past(from)
      const chunk = await this.#read(walk.expired, from, most, end)
      if (chunk === undefined) break
      const taken = rowids.length
      from = this.#take(walk, chunk, from, size, rowids)
      if (rowids.length === size) break
      // If only few of the rows have expired, read more at once.
      const passedOver = chunk.rows.length - (rowids.length - taken)
      most = passedOver > 0 ? Math.min(2 * Math.max(most, 500), MOST_READ) : size - rowids.length
      if (passedOver > 0 || chunk.looked !== undefined) await turn()
    }
    if (rowids.length === 0) return undefined
    return kind.slice({
      session: this.session,
      walk,
      walkSparing: (spared) => walks.sparing(spared),
      lengths: kind.lengths,
      entanglement,
      table: this.#column.table,
      rowids,
      version,
      timeZone: this.#timeZone,
      end: from,
    })
  }

  async survey(spared: SparedRows): Promise<SparedExpired> {
    if (spared.length === 0 && this.#spared.length === 0) return { each: [], together: 0 }
    const surveying = (await this.access()).walks.surveying(spared)
    const { kept, stretches, unreadable } = await survey(this.session, surveying, spared.length)
    this.#stretches = stretches
    this.#found = unreadable
    this.#counted = END
    return kept
  }

  async sparedBy(spared: SparedRows): Promise<SparedExpired> {
    return sparedAmongExpired(this.session, (await this.access()).walks, spared)
  }

  async estimate(since?: EpochMs): Promise<Estimate> {
    return estimate({ session: this.session, walk: await this.#walked(), timeZone: this.#timeZone, since })
  }

  async census(thorough: boolean): Promise<Census> {
    const walk = await this.#walked()
    for (;;) {
      const chunk = await this.#read(walk.expired, this.#counted, MOST_READ)
      if (chunk === undefined) break
      this.#take(walk, chunk, this.#counted, Infinity, [])
      await turn()
    }
    const found = new UnreadableRows()
    for (const path of [walk.strange, ...(thorough || (await this.#isSmall(walk)) ? [walk.kept] : [])]) await this.#search(path, found)
    const { unreadable, shapes, undated } = this.#found.with(found)
    return { undated: walk.indexed ? await this.#undated(walk) : undated, unreadable, shapes }
  }

  async keptUntil(until: EpochMs, most: number): Promise<number> {
    const walk = await this.#walked()
    return this.session.read((connection) => keptUntil(connection, walk, this.#cutoff, Cutoff.at(until, this.#timeZone), most))
  }

  async daysSince(from: EpochMs, most: number): Promise<number> {
    const walk = await this.#walked()
    return this.session.read((connection) => daysBetween(connection, walk, from, this.#cutoff.instant, most))
  }

  /** Yields, chunk by chunk, the expired rows among the `most` earliest ones. */
  protected async *expiredAmong(most: number, size: number): AsyncGenerator<readonly (number | bigint)[]> {
    const { walk } = await this.access()
    let looked = 0
    for (let from = START; looked < most;) {
      from = await this.#past(from)
      const chunk = await this.#read(walk.expired, from, Math.min(size, most - looked))
      if (chunk === undefined) return
      yield chunk.rows.flatMap((row) => (walk.judge.mayGo(row) ? [row[1]] : []))
      looked += chunk.rows.length
      from = chunk.end
      await turn()
    }
  }

  /** Adds the expired rows of a chunk until there are `size`, and returns the position reached. */
  #take({ judge }: Walk, chunk: Chunk, from: Position, size: number, rowids: (number | bigint)[]): Position {
    const counts = from === this.#counted
    let end = chunk.end
    for (const [index, row] of chunk.rows.entries()) {
      const [value, rowid] = row
      const verdict = judge.verdict(row)
      if (verdict === 'expired') rowids.push(rowid)
      else if (counts && (verdict === 'undated' || verdict === 'unreadable')) this.#found.add(value)
      if (rowids.length === size && index < chunk.rows.length - 1) {
        end = { range: from.range, row }
        break
      }
    }
    if (counts) this.#counted = end
    return end
  }

  async #search(path: Path, found: UnreadableRows): Promise<void> {
    let from = START
    for (;;) {
      const chunk = await this.#read(path, from, MOST_READ)
      if (chunk === undefined) return
      for (const [value] of chunk.rows) {
        if (this.#cutoff.judge(value) === 'unreadable') found.add(value)
      }
      from = chunk.end
      await turn()
    }
  }

  #read(path: Path, from: Position, size: number, until?: Position): Promise<Chunk | undefined> {
    return this.session.read((connection) => path.read(connection, from, size, until))
  }

  async #past(from: Position): Promise<Position> {
    const stretches = this.#stretches
    return stretches === undefined ? from : this.session.read((connection) => stretches.past(connection, from))
  }

  #isSmall(walk: Walk): Promise<boolean> {
    return this.session.read((connection) => walk.kept.atMost(connection, SMALL_TABLE_ROWS) < SMALL_TABLE_ROWS)
  }

  async #undated({ statements: { undated } }: Walk): Promise<number> {
    return undated === undefined ? 0 : this.session.read((connection) => connection.figure(undated))
  }

  async #walked(): Promise<Walk> {
    return (await this.access()).walk
  }

  protected async access(): Promise<TableAccess<S>> {
    this.#known ??= await this.session.read((connection) => {
      const layout = layoutOf(connection, this.#column)
      if (layout === undefined)
        throw new DatabaseError(
          'failed',
          `${connection.file}: table ${this.#column.table} has disappeared since the run began. Rows deleted before that stay deleted. Restore the table, then run again.`,
        )
      const entanglement = new Entanglement(connection, this.#column, layout)
      const walks = new JudgedWalks({
        connection,
        column: this.#column,
        layout,
        cutoff: this.#cutoff,
        spared: this.#spared,
        timeZone: this.#timeZone,
      })
      const { first: walk } = walks
      return { walk, walks, entanglement, kind: this.#kindOf({ connection, layout, entanglement, judge: walk.judge }) }
    })
    return this.#known
  }
}

function endOf(slice: Slice): Position {
  if (slice instanceof RowSlice) return slice.end
  throw new TypeError('a slice of another engine')
}
