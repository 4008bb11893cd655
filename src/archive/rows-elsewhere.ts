import { createHash, hash } from 'node:crypto'
import type { Database } from '../database/database.ts'
import { DIGEST_BYTES, type StoredRows } from '../database/exporting.ts'
import { doubled } from '../database/exporting/doubled.ts'
import type { Slice, TimeColumn } from '../database/purging.ts'
import { DAY, type EpochMs } from '../time/clock.ts'
import { Digests, viewOf } from './digests.ts'
import { LONGEST_ROW_BYTES, type RowsFile } from './format.ts'
import { lineOf } from './read/file-line.ts'
import { readRows } from './read/read-rows.ts'
import type { Shelf } from './store/store.ts'

/**
 * The most rows of files that one pass over the database looks up. Their digests take 50 bytes each; each pass reads every row that may
 * match.
 */
const MOST_SOUGHT = 250_000
const SLICE_ROWS = 1_000
/**
 * How far past their cutoff the rows of files are looked up. Files may have been written under another DATABASE_TIME_ZONE, which shifts a
 * time without a zone by at most 26 hours. Rows are compared by digest, so a wider search matches no wrong row.
 */
const MARGIN_MS = 2 * DAY

export interface SearchOptions {
  readonly database: Database
  /** Where the files are; they may not be published yet. */
  readonly shelf: Shelf
  readonly column: TimeColumn
  /** The same row may be in several of the files. A row that is in no database then counts as being elsewhere for all files but the first. */
  readonly overlapping: boolean
  /** Rows in these files are elsewhere too. */
  readonly elsewhere?: readonly RowsFile[]
  /**
   * A row is also elsewhere if the database has a changed version of it, by `id` and time: that version will be archived when it is
   * purged.
   */
  readonly changed?: boolean
  readonly stopping: AbortSignal
}

/** For each file, marks the rows that exist elsewhere: in the database, byte for byte as archived, or in an earlier file. */
export async function rowsElsewhere(options: SearchOptions, files: readonly RowsFile[]): Promise<ReadonlyMap<RowsFile, Uint8Array>> {
  const found = new Map<RowsFile, Uint8Array>()
  for (const some of options.overlapping ? [files] : portions(files)) {
    const sought = new Sought(options)
    for (const file of some) await readRows(options.shelf, file, (line) => sought.add(line), options.stopping)
    for (const file of options.elsewhere ?? []) await readRows(options.shelf, file, (line) => sought.markLine(line), options.stopping)
    await markStored(options, some, sought)
    if (options.overlapping) sought.markRepeated()
    let from = 0
    for (const file of some) found.set(file, sought.marks(from, (from += file.rows)))
  }
  return found
}

function* portions(files: readonly RowsFile[]): Generator<readonly RowsFile[]> {
  let portion: RowsFile[] = []
  let rows = 0
  for (const file of files) {
    if (rows + file.rows > MOST_SOUGHT && portion.length > 0) {
      yield portion
      portion = []
      rows = 0
    }
    portion.push(file)
    rows += file.rows
  }
  if (portion.length > 0) yield portion
}

/** By the latest cutoff of these files all their rows had expired, as times were read when the files were written. */
async function markStored({ database, column, stopping }: SearchOptions, files: readonly RowsFile[], sought: Sought): Promise<void> {
  const cutoff = Math.max(...files.map((file) => Date.parse(file.cutoff)))
  const rows = database.exported(column, cutoff + MARGIN_MS, LONGEST_ROW_BYTES)
  let after: Slice | undefined
  while (!stopping.aborted && sought.left > 0) {
    const slice = await rows.next(SLICE_ROWS, after)
    if (slice === undefined) return
    await slice.read(async (batch) => sought.markAll(batch))
    after = slice
  }
}

/** Rows of files, by the SHA-256 of their lines with the line feed. */
class Sought {
  readonly #options: SearchOptions
  readonly #digests = new Digests()
  /** By `id` and time, to find rows that have changed. */
  readonly #named = new Digests()
  /** The digests of the rows, in the order in which they were added. */
  #sums = Buffer.alloc(1_024 * DIGEST_BYTES)
  #marked = new Uint8Array(1_024)
  #count = 0
  #markedCount = 0

  constructor(options: SearchOptions) {
    this.#options = options
  }

  /** How many rows have not been found yet. */
  get left(): number {
    return this.#count - this.#markedCount
  }

  add(line: Buffer): void {
    const place = this.#count++
    if (place === this.#marked.length) this.#grow()
    const sum = this.#sums.subarray(place * DIGEST_BYTES, (place + 1) * DIGEST_BYTES)
    sumOfLine(line).copy(sum)
    this.#digests.add(viewOf(sum), 0, place)
    if (this.#options.changed !== true) return
    const { column, database } = this.#options
    const { at, idOf } = lineOf(line, column.column, database.instantOf)
    const name = idOf(0)
    if (name !== '') this.#named.add(viewOf(sumOfName(name, at[0]!)), 0, place)
  }

  /**
   * Each row of the database marks only one row of the files. So if two rows of files are identical and the database has one, one stays
   * unmarked.
   */
  markAll(batch: StoredRows): void {
    let index = 0
    for (const sum of sumsOf(batch)) {
      const isMarked = this.#mark(this.#digests, sum)
      if (!isMarked && this.#options.changed === true) this.#mark(this.#named, sumOfName(batch.idOf(index), batch.at[index]!))
      index += 1
    }
  }

  markLine(line: Buffer): void {
    this.#mark(this.#digests, sumOfLine(line))
  }

  #mark(digests: Digests, sum: Buffer): boolean {
    const place = digests.find(viewOf(sum), 0, (each) => this.#marked[each] === 0)
    if (place === undefined) return false
    this.#marked[place] = 1
    this.#markedCount += 1
    return true
  }

  markRepeated(): void {
    for (let place = 0; place < this.#count; place += 1) {
      if (this.#marked[place] === 1) continue
      const first = this.#digests.find(viewOf(this.#sums), place * DIGEST_BYTES, (each) => each < place && this.#marked[each] === 0)
      if (first === undefined) continue
      this.#marked[place] = 1
      this.#markedCount += 1
    }
  }

  marks(from: number, to: number): Uint8Array {
    return this.#marked.slice(from, to)
  }

  #grow(): void {
    this.#sums = doubled(this.#sums)
    this.#marked = doubled(this.#marked)
  }
}

function sumOfLine(line: Buffer): Buffer {
  return createHash('sha256').update(line).update('\n').digest()
}

function sumOfName(id: string, at: EpochMs): Buffer {
  return hash('sha256', `${at} ${id}`, 'buffer')
}

function* sumsOf({ count, lines, ends, pieces }: StoredRows): Generator<Buffer> {
  if (pieces !== undefined) {
    const sum = createHash('sha256')
    for (const piece of pieces) sum.update(piece)
    yield sum.digest()
    return
  }
  for (let index = 0, from = 0; index < count; index += 1) {
    const to = ends[index]!
    yield hash('sha256', lines.subarray(from, to), 'buffer')
    from = to
  }
}
