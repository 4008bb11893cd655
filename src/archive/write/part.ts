import { DIGEST_BYTES, type KnownRows, type StoredRows } from '../../database/exporting.ts'
import type { Slice } from '../../database/purging.ts'
import { Digests, viewOf } from '../digests.ts'
import type { Step } from '../step.ts'
import type { Placed } from './day-files.ts'

export interface PartOptions {
  readonly step: Step
  readonly places: Places
  readonly after: Slice | undefined
  readonly until: Slice
}

/** Rows that were archived and are to be deleted: each is known by its digest. */
export class Part {
  readonly step: Step
  /** The slice after which the part begins; `undefined`: it begins with the first expired row. */
  readonly after: Slice | undefined
  /** The slice with which the part ends, whatever rows have been added or deleted before that since. */
  readonly until: Slice
  readonly rows: number
  /** `spoiled`: something in it has changed, so it must be settled and written again. `closed`: no more rows of it are deleted. */
  state: 'open' | 'spoiled' | 'closed' = 'open'
  readonly #places: Places

  constructor({ step, places, after, until }: PartOptions) {
    this.step = step
    this.after = after
    this.until = until
    this.rows = step.files.reduce((sum, file) => sum + file.rows, 0)
    this.#places = places
    places.number(step.files.map((file) => file.rows))
  }

  /** Those of its rows that are not in `removed`. */
  known(removed: Uint8Array): KnownRows {
    return () => {
      const found = removed.slice()
      return (digests, offset) => {
        const number = this.numberOf(digests, offset, found)
        if (number !== undefined) found[number] = 1
        return number !== undefined
      }
    }
  }

  /** Finds a row by its digest. Returns its number among all rows of the part, if that is not in `removed` yet. */
  numberOf(digests: DataView, offset: number, removed: Uint8Array): number | undefined {
    return this.#places.find(digests, offset, removed)
  }
}

/** The file, and the line in it, to which each row was written. */
export class Places {
  readonly #digests = new Digests()
  #bases: readonly number[] = []

  add({ digests }: StoredRows, { from, to, file, line }: Placed): void {
    const view = viewOf(digests)
    for (let index = from; index < to; index += 1) this.#digests.add(view, index * DIGEST_BYTES, file * FILE + line + index - from)
  }

  /** Numbers the rows of all files consecutively. */
  number(rows: readonly number[]): void {
    let base = 0
    this.#bases = rows.map((count) => (base += count) - count)
  }

  find(digests: DataView, offset: number, removed: Uint8Array): number | undefined {
    const place = this.#digests.find(digests, offset, (each) => removed[this.#numberAt(each)] === 0)
    return place === undefined ? undefined : this.#numberAt(place)
  }

  #numberAt(place: number): number {
    return this.#bases[Math.floor(place / FILE)]! + (place % FILE)
  }
}

/** More rows than a part ever has. */
const FILE = 2 ** 24
