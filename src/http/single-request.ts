import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** So much is read and thrown away of what follows a request, so that who sends it still hears the answer. */
const MOST_DISCARDED_BYTES = 128 * 1024

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * A connection as the HTTP parser gets it: up to the empty line that ends the first header, and nothing after it. A parser that is given all
 * makes of one packet thousands of pipelined requests, each with its objects and its answer, before anybody can say stop. Bodies are nobody's
 * business here: nothing is written to.
 */
export class SingleRequest extends Duplex {
  readonly connection: Socket
  #lineIsEmpty = false
  #complete = false
  #discardedBytes = 0

  constructor(connection: Socket, first: Buffer) {
    super({ allowHalfOpen: true })
    this.connection = connection
    this.#take(first)
    connection.on('data', (chunk: Buffer) => this.#take(chunk))
    connection.on('close', () => this.destroy())
  }

  /** Whether all of its header has come. */
  get complete(): boolean {
    return this.#complete
  }

  override _read(): void {
    // What comes is pushed, and is no more than the parser takes for a header.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, written: (error?: Error | null) => void): void {
    this.connection.write(chunk, written)
  }

  override _final(ended: () => void): void {
    // Also where the answer is that there was no header.
    this.#complete = true
    this.connection.end(ended)
  }

  override _destroy(error: Error | null, destroyed: (error: Error | null) => void): void {
    this.connection.destroy()
    destroyed(error)
  }

  #take(chunk: Buffer): void {
    const end = this.#complete ? 0 : this.#endOfHeader(chunk)
    if (end > 0) this.push(chunk.subarray(0, end))
    this.#discardedBytes += chunk.length - end
    if (this.#discardedBytes > MOST_DISCARDED_BYTES) this.connection.destroy()
  }

  /** How much of a chunk belongs to the header. A lone line feed counts as the end of a line, whatever the parser thinks of it. */
  #endOfHeader(chunk: Buffer): number {
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at]
      if (byte === LINE_FEED && this.#lineIsEmpty) {
        this.#complete = true
        return at + 1
      }
      if (byte !== CARRIAGE_RETURN) this.#lineIsEmpty = byte === LINE_FEED
    }
    return chunk.length
  }
}
