import { DIGEST_BYTES } from '../exporting.ts'
import { doubled } from './doubled.ts'

const FIRST_ROOM = 128

/** SHA-256 digests, concatenated. */
export class DigestList {
  #bytes = Buffer.allocUnsafeSlow(FIRST_ROOM * DIGEST_BYTES)
  #count = 0

  get count(): number {
    return this.#count
  }

  /** Valid until a digest is added. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#count * DIGEST_BYTES)
  }

  /** `digest`: one character per byte. */
  add(digest: string): void {
    // Must come first: it may replace the buffer.
    const at = this.#next()
    this.#bytes.write(digest, at, 'latin1')
  }

  /** Adds the digest at `index` of concatenated ones. */
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
