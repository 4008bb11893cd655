const FIRST_BYTES = 2 ** 17

/** A buffer that grows and is reused. */
export class LineBuffer {
  bytes: Buffer
  length = 0

  constructor(firstBytes = FIRST_BYTES) {
    this.bytes = Buffer.allocUnsafeSlow(firstBytes)
  }

  /** Makes room for so many more bytes. */
  reserve(more: number): void {
    const wanted = this.length + more
    if (wanted <= this.bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.bytes.length))
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
  }
}
