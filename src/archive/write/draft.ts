import type { ExportedSlices } from '../../database/exporting.ts'
import type { Slice } from '../../database/purging.ts'
import type { Link } from '../format.ts'
import type { Stretch } from '../late-rows.ts'
import type { Step } from '../step.ts'
import type { DayFiles } from './day-files.ts'
import { Part, Places } from './part.ts'

/** No part is larger, so that a crash leaves little to settle. */
export const MOST_ROWS = 50_000
/** Of its rows, before they are compressed; the last row may go beyond. */
export const MOST_PART_BYTES = 64 * 2 ** 20
/** How many bytes are read at a time. The number of rows follows from the size of the rows before, and grows no faster than READ_GROWTH. */
const READ_BYTES = 16 * 2 ** 20
const FIRST_READ_ROWS = 16
const READ_GROWTH = 8
const MOST_READ_ROWS = 20_000

/** How many rows are read at a time. A part starts with what the part before it has found out. */
export interface ReadSize {
  rows: number
}

export function firstReadSize(): ReadSize {
  return { rows: FIRST_READ_ROWS }
}

export interface DraftOptions {
  readonly files: DayFiles
  readonly position: number
  readonly mostRows: number
  readonly size: ReadSize
  readonly stopping: AbortSignal
}

/** Rows that are copied to files in the spool. They do not count until they become the pending part. */
export class Draft {
  readonly places = new Places()
  /** The last file number before its own. */
  readonly position: number
  readonly #files: DayFiles
  readonly #mostRows: number
  readonly #size: ReadSize
  readonly #stopping: AbortSignal
  #after: Slice | undefined
  #last: Slice | undefined
  #rows = 0
  #bytes = 0
  #givenUp = false

  constructor({ files, position, mostRows, size, stopping }: DraftOptions) {
    this.#files = files
    this.position = position
    this.#mostRows = mostRows
    this.#size = size
    this.#stopping = stopping
  }

  get rows(): number {
    return this.#rows
  }

  /** Whether more rows may follow. If a draft ends without being full, its rows were the last. */
  get full(): boolean {
    return this.#rows >= this.#mostRows || this.#bytes >= MOST_PART_BYTES
  }

  /** The slice that it ends with. The next part begins after it. */
  get last(): Slice | undefined {
    return this.#last
  }

  /**
   * Copies the rows of a stretch, until the draft is full, no row is left, or it is given up. The rows are durable then, without their
   * manifests. `between` is called between two reads.
   */
  async copy(rows: ExportedSlices, { after, until }: Stretch, between?: () => Promise<void>): Promise<void> {
    this.#after = after
    this.#last = after
    while (!this.full && !this.#givenUp && !this.#stopping.aborted) {
      const slice = await rows.next(Math.min(this.#size.rows, this.#mostRows - this.#rows), this.#last, until)
      if (slice === undefined) break
      await slice.read(async (batch) => {
        for (let from = 0; from < batch.count;) {
          const placed = await this.#files.add(batch, from)
          this.places.add(batch, placed)
          from = placed.to
        }
        this.#rows += batch.count
        this.#bytes += batch.bytes
      })
      this.#last = slice
      this.#learn()
      await between?.()
    }
    if (!this.#givenUp && !this.#stopping.aborted) await this.#files.end()
  }

  /** Makes `copy` end after the current slice. */
  giveUp(): void {
    this.#givenUp = true
  }

  /** When it resolves, everything is complete and durable, as the successor of `head` in the chain. */
  finish(head: Link | null): Promise<{ readonly step: Step; readonly position: number }> {
    return this.#files.finish(head, [])
  }

  /** The part that the draft has become, once `step` is the pending step. */
  part(step: Step): Part {
    if (this.#last === undefined) throw new TypeError('a part without a copied row')
    return new Part({ step, places: this.places, after: this.#after, until: this.#last })
  }

  abandon(): Promise<void> {
    return this.#files.abandon()
  }

  #learn(): void {
    const { rows } = this.#size
    const affordable = this.#rows === 0 ? rows : Math.floor((READ_BYTES * this.#rows) / this.#bytes)
    this.#size.rows = Math.max(1, Math.min(rows * READ_GROWTH, affordable, MOST_READ_ROWS))
  }
}
