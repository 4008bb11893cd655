import type { StoredRow } from '../database/database.ts'
import type { Step } from './state.ts'

/** Rows that were archived and are to be deleted: each is known by its digest. */
export class Part {
  readonly step: Step
  readonly rows: number
  /** Something in it is not as it was: it must be settled and written again. */
  spoiled = false
  readonly #places: Places

  constructor(step: Step, places: Places) {
    this.step = step
    this.rows = step.files.reduce((sum, file) => sum + file.rows, 0)
    this.#places = places
    places.number(step.files.map((file) => file.rows))
  }

  /** The number, among all rows of the part, of one with this digest that is not in `removed` yet. */
  numberOf(digest: string, removed: Uint8Array): number | undefined {
    return this.#places.find(digest, (number) => removed[number] === 0)
  }
}

/** In which file, and at which line of it, a row was written. */
export class Places {
  /** Rows that are equal in everything have one digest; that takes a table without a key. */
  readonly #places = new Map<string, number | number[]>()
  #bases: readonly number[] = []

  add({ digest }: StoredRow, file: number, line: number): void {
    const place = file * FILE + line
    const known = this.#places.get(digest)
    if (known === undefined) this.#places.set(digest, place)
    else this.#places.set(digest, typeof known === 'number' ? [known, place] : [...known, place])
  }

  /** Numbers run through all files, one after the other. */
  number(rows: readonly number[]): void {
    let base = 0
    this.#bases = rows.map((count) => (base += count) - count)
  }

  find(digest: string, fits: (number: number) => boolean): number | undefined {
    const known = this.#places.get(digest)
    if (known === undefined) return undefined
    if (typeof known !== 'number') return known.map((place) => this.#numberAt(place)).find(fits)
    const number = this.#numberAt(known)
    return fits(number) ? number : undefined
  }

  #numberAt(place: number): number {
    return this.#bases[Math.floor(place / FILE)]! + (place % FILE)
  }
}

/** More rows than a part ever has. */
const FILE = 2 ** 24
