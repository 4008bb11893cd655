import { DIGEST_BYTES } from '../exporting.ts'
import { doubled } from './doubled.ts'

const FIRST_ROOM = 128

/** SHA-256 sums side by side. */
export class DigestList {
  #bytes = Buffer.allocUnsafeSlow(FIRST_ROOM * DIGEST_BYTES)
  #count = 0

  get count(): number {
    return this.#count
  }

  /** Good until the next one is added. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#count * DIGEST_BYTES)
  }

  /** A character a byte. */
  add(digest: string): void {
    // It may be another buffer then.
    const at = this.#next()
    this.#bytes.write(digest, at, 'latin1')
  }

  /** The one that stands there among others. */
  addFrom(bytes: Buffer, index: number): void {
    const from = index * DIGEST_BYTES
    const at = this.#next()
    bytes.copy(this.#bytes, at, from, from + DIGEST_BYTES)
  }

  clear(): void {
    this.#count = 0
  }

  #next(): number {
    const at = this.#count * DIGEST_BYTES
    if (at === this.#bytes.length) this.#bytes = doubled(this.#bytes)
    this.#count += 1
    return at
  }
}
