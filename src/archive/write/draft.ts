import type { ExportedRows } from '../../database/exporting.ts'
import type { Slice } from '../../database/purging.ts'
import type { Link } from '../format.ts'
import type { Step } from '../step.ts'
import type { DayFiles } from './day-files.ts'
import { Part, Places } from './part.ts'

/** A part is no larger, so that what a crash leaves to be settled stays small. */
export const MOST_ROWS = 50_000
const MOST_BYTES = 64 * 2 ** 20
/** Rows read at a time: as many as make so many bytes, by those before, and no more than so many times as many. */
const READ_BYTES = 16 * 2 ** 20
const FIRST_READ_ROWS = 16
const READ_GROWTH = 8
const MOST_READ_ROWS = 20_000

/** How many rows are read at a time; what one part has shown serves the next. */
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

/** Rows that were copied to files under temporary names. They are of no account until they become the pending part. */
export class Draft {
  readonly places = new Places()
  /** The files' numbers begin behind it. */
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

  /** Whether more rows may follow; where there are fewer than a part takes, they were the last. */
  get full(): boolean {
    return this.#rows >= this.#mostRows || this.#bytes >= MOST_BYTES
  }

  /** The slice it ends with: the next part begins behind it. */
  get last(): Slice | undefined {
    return this.#last
  }

  /** Copies the rows behind `after`, until it is full, none is left, or it is not wanted any more. They are durable then, without their manifests. */
  async copy(rows: ExportedRows, after: Slice | undefined): Promise<void> {
    this.#after = after
    this.#last = after
    while (!this.full && !this.#givenUp && !this.#stopping.aborted) {
      const slice = await rows.next(Math.min(this.#size.rows, this.#mostRows - this.#rows), this.#last)
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
    }
    if (!this.#givenUp && !this.#stopping.aborted) await this.#files.end()
  }

  /** Ends `copy` with the slice that it is at. */
  giveUp(): void {
    this.#givenUp = true
  }

  /** Complete and durable when it resolves, as what follows `head` in the chain. */
  finish(head: Link | null): Promise<{ readonly step: Step; readonly position: number }> {
    return this.#files.finish(head, [])
  }

  /** What it is once it is the step in hand. */
  part(step: Step): Part {
    if (this.#last === undefined) throw new TypeError('a part of which no row was copied')
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
