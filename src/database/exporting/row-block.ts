import type { EpochMs } from '../../time/clock.ts'
import type { StoredRows } from '../exporting.ts'
import { DigestList } from './digest-list.ts'
import { LineBuffer } from './line-buffer.ts'

/**
 * Short rows, collected to be handed over together: an object for each row and a buffer for each value would take longer than everything
 * else.
 */
export class RowBlock implements StoredRows {
  readonly buffer = new LineBuffer()
  readonly idOf: (index: number) => string
  readonly at: EpochMs[] = []
  readonly ends: number[] = []
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

  get lines(): Buffer {
    return this.buffer.bytes
  }

  get digests(): Buffer {
    return this.#digests.bytes
  }

  /** Adds a row whose line has been written to the buffer. `digest`: one character per byte. */
  add(at: EpochMs, digest: string): void {
    const { buffer } = this
    buffer.reserve(1)
    buffer.bytes[buffer.length++] = LINE_FEED
    this.#digests.add(digest)
    this.at.push(at)
    this.ends.push(buffer.length)
  }

  clear(): void {
    this.#digests.clear()
    this.at.length = 0
    this.ends.length = 0
    this.buffer.length = 0
  }
}

const LINE_FEED = 0x0a
