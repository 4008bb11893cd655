import { DIGEST_BYTES } from '../exporting.ts'
import { LineBuffer } from './line-buffer.ts'

const FIRST_ROOM = 128

/** SHA-256 digests, concatenated. */
export class DigestList {
  readonly #buffer = new LineBuffer(FIRST_ROOM * DIGEST_BYTES)

  get count(): number {
    return this.#buffer.length / DIGEST_BYTES
  }

  /** Valid until a digest is added. */
  get bytes(): Buffer {
    return this.#buffer.bytes.subarray(0, this.#buffer.length)
  }

  /** `digest`: one character per byte. */
  add(digest: string): void {
    const buffer = this.#buffer
    buffer.reserve(DIGEST_BYTES)
    buffer.length += buffer.bytes.write(digest, buffer.length, 'latin1')
  }

  /** Adds the digest at `index` of concatenated ones. */
  addFrom(bytes: Buffer, index: number): void {
    const buffer = this.#buffer
    buffer.reserve(DIGEST_BYTES)
    buffer.length += bytes.copy(buffer.bytes, buffer.length, index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES)
  }

  clear(): void {
    this.#buffer.length = 0
  }
}
