import { DIGEST_BYTES } from '../database/exporting.ts'
import { doubled } from '../database/exporting/doubled.ts'

const WORDS = DIGEST_BYTES / 4
const FIRST_ROOM = 1_024

/**
 * Maps digests of rows to their places. The digests are kept in one array, in hash chains by their first 16 bits: as string keys of a Map
 * they would take most of the time and memory that a part of the archive needs.
 */
export class Digests {
  #count = 0
  #words = new Int32Array(FIRST_ROOM * WORDS)
  #places = new Float64Array(FIRST_ROOM)
  /** For each row: the row before it in its chain, or -1. */
  #before = new Int32Array(FIRST_ROOM)
  /** For each chain: its last row, or -1. */
  #last = new Int32Array(2 ** 16).fill(-1)

  add(digests: DataView, offset: number, place: number): void {
    if (this.#count === this.#places.length) this.#grow()
    const row = this.#count++
    for (let word = 0; word < WORDS; word += 1) this.#words[row * WORDS + word] = digests.getInt32(offset + word * 4)
    this.#places[row] = place
    const chain = this.#words[row * WORDS]! >>> 16
    this.#before[row] = this.#last[chain]!
    this.#last[chain] = row
  }

  /**
   * The place of a row with this digest that `fits` accepts. Several rows share a digest only if they are equal in every column, which
   * takes a table without a key.
   */
  find(digests: DataView, offset: number, fits: (place: number) => boolean): number | undefined {
    for (let row = this.#last[chainOf(digests, offset)]!; row !== -1; row = this.#before[row]!) {
      if (this.#equals(row, digests, offset) && fits(this.#places[row]!)) return this.#places[row]
    }
    return undefined
  }

  #equals(row: number, digests: DataView, offset: number): boolean {
    for (let word = 0; word < WORDS; word += 1) if (this.#words[row * WORDS + word] !== digests.getInt32(offset + word * 4)) return false
    return true
  }

  #grow(): void {
    this.#words = doubled(this.#words)
    this.#places = doubled(this.#places)
    this.#before = doubled(this.#before)
  }
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function chainOf(digests: DataView, offset: number): number {
  return digests.getUint16(offset)
}
