import type { EpochMs } from '../../time/clock.ts'
import type { StoredRows } from '../exporting.ts'
import { DigestList } from './digest-list.ts'
import { doubled } from './doubled.ts'

const FIRST_ROWS = 128
const FIRST_BYTES = 2 ** 17

/** A buffer that grows and is reused. */
export class LineBuffer {
  bytes = Buffer.allocUnsafeSlow(FIRST_BYTES)
  length = 0

  /** Makes room for so many more bytes. */
  reserve(more: number): void {
    const wanted = this.length + more
    if (wanted <= this.bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.bytes.length))
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
  }
}

/**
 * Short rows, collected to be handed over together: an object for each row and a buffer for each value would take longer than everything
 * else.
 */
export class RowBlock implements StoredRows {
  readonly buffer = new LineBuffer()
  readonly idOf: (index: number) => string
  #at = new Float64Array(FIRST_ROWS)
  #ends = new Float64Array(FIRST_ROWS)
  readonly #digests = new DigestList()

  constructor(idOf: (index: number) => string) {
    this.idOf = idOf
  }

  get count(): number {
    return this.#digests.count
  }

  get bytes(): number {
    return this.buffer.length
  }

  get at(): Float64Array {
    return this.#at
  }

  get ends(): Float64Array {
    return this.#ends
  }

  get lines(): Buffer {
    return this.buffer.bytes
  }

  get digests(): Buffer {
    return this.#digests.bytes
  }

  /** Adds a row whose line has been written to the buffer. `digest`: one character per byte. */
  add(at: EpochMs, digest: string): void {
    const { buffer, count } = this
    if (count === this.#at.length) this.#grow()
    buffer.reserve(1)
    buffer.bytes[buffer.length++] = LINE_FEED
    this.#digests.add(digest)
    this.#at[count] = at
    this.#ends[count] = buffer.length
  }

  clear(): void {
    this.#digests.clear()
    this.buffer.length = 0
  }

  #grow(): void {
    this.#at = doubled(this.#at)
    this.#ends = doubled(this.#ends)
  }
}

const LINE_FEED = 0x0a
