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

/** So many rows of files are looked for at a time: their digests take 50 bytes each, and all rows that may be they are read for them. */
const MOST_SOUGHT = 250_000
const SLICE_ROWS = 1_000
/**
 * So far beyond their cutoff the rows of files are looked for: another DATABASE_TIME_ZONE than they were written under moves what a time without a zone
 * says by 26 hours at most. Rows are compared, so that looking further takes none for another.
 */
const MARGIN_MS = 2 * DAY

export interface SearchOptions {
  readonly database: Database
  /** Where the files are, which may not be published yet. */
  readonly shelf: Shelf
  readonly column: TimeColumn
  /** The same row may be in several of the files: of rows that are in no database it counts as found in all but the first. */
  readonly overlapping: boolean
  /** A row of these counts as held. */
  readonly elsewhere?: readonly RowsFile[]
  /** A row that was changed since and is there, by its `id` and its time, counts as held: it will be archived as it is by then. */
  readonly changed?: boolean
  readonly stopping: AbortSignal
}

/** Of each file, which of its rows are elsewhere: in the database, byte for byte as they were archived, or in a file before it. */
export async function heldRows(options: SearchOptions, files: readonly RowsFile[]): Promise<ReadonlyMap<RowsFile, Uint8Array>> {
  const held = new Map<RowsFile, Uint8Array>()
  for (const some of options.overlapping ? [files] : portions(files)) {
    const sought = new Sought(options)
    for (const file of some) await readRows(options.shelf, file, (line) => sought.add(line), options.stopping)
    for (const file of options.elsewhere ?? []) await readRows(options.shelf, file, (line) => sought.markLine(line), options.stopping)
    await markStored(options, some, sought)
    if (options.overlapping) sought.markRepeated()
    let from = 0
    for (const file of some) held.set(file, sought.marks(from, (from += file.rows)))
  }
  return held
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

/** What these files hold had expired by the latest of their cutoffs, as times were read when they were written. */
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

/** Rows of files by the SHA-256 of their lines, each with its line feed. */
class Sought {
  readonly #options: SearchOptions
  readonly #digests = new Digests()
  /** By `id` and time, where a row may have changed. */
  readonly #named = new Digests()
  /** In the order in which they were added. */
  #sums = Buffer.alloc(1_024 * DIGEST_BYTES)
  #marked = new Uint8Array(1_024)
  #count = 0
  #markedCount = 0

  constructor(options: SearchOptions) {
    this.#options = options
  }

  /** How many are not found yet. */
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

  /** Each row that is there marks one that is sought, so that of two that are equal in everything one is left where one is there. */
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
