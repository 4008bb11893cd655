import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** How much of what follows a request is read and thrown away, so that its sender still receives the answer. */
const MOST_DISCARDED_BYTES = 128 * 1024

/** How many bytes of empty lines may precede a request, as some clients send them after a body. */
const MOST_LEADING_BYTES = 8
/** No request begins with this, so the parser refuses it. */
const NO_REQUEST = Buffer.from([0])

/**
 * The method that HTTP/2 begins with. The parser waits for the rest of the preface, which is not read from the connection: it is given the rest from here,
 * and then recognises HTTP/2.
 */
const PREFACE = 'PRI '
const END_OF_PREFACE = Buffer.from('SM\r\n\r\n')

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * A connection as the HTTP parser sees it: up to the empty line that ends the first header, and nothing after it. Given everything, the parser would make
 * thousands of pipelined requests of one packet, each with its objects and its answer, before anybody could stop it. Bodies are not needed, because nothing
 * is ever written.
 */
export class SingleRequest extends Duplex {
  readonly connection: Socket
  #leadingBytes = 0
  /** The first letters of the request. */
  #beginning = ''
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

  /** Whether all of its header has arrived. */
  get complete(): boolean {
    return this.#complete
  }

  override _read(): void {
    // Data is pushed as it arrives; it is never more than the parser accepts as a header.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, written: (error?: Error | null) => void): void {
    this.connection.write(chunk, written)
  }

  override _final(ended: () => void): void {
    // Set even if the answer is that there was no header.
    this.#complete = true
    this.connection.end(ended)
  }

  override _destroy(error: Error | null, destroyed: (error: Error | null) => void): void {
    this.connection.destroy()
    destroyed(error)
  }

  #take(chunk: Buffer): void {
    const from = this.#complete ? 0 : this.#beginningIn(chunk)
    const end = this.#complete ? 0 : this.#endOfHeader(chunk, from)
    if (end > from) this.push(chunk.subarray(from, end))
    if (end > from && this.#complete && this.#beginning === PREFACE) this.push(END_OF_PREFACE)
    this.#discardedBytes += chunk.length - end
    if (this.#discardedBytes > MOST_DISCARDED_BYTES) this.connection.destroy()
  }

  /** Where the request begins in a chunk, after the few empty lines that may precede it. */
  #beginningIn(chunk: Buffer): number {
    if (this.#beginning !== '') return 0
    let at = 0
    while (at < chunk.length && (chunk[at] === LINE_FEED || chunk[at] === CARRIAGE_RETURN)) at += 1
    this.#leadingBytes += at
    if (this.#leadingBytes > MOST_LEADING_BYTES) {
      this.#complete = true
      this.push(NO_REQUEST)
    }
    return at
  }

  /** Where the header ends in a chunk, in which it begins or continues at `from`. A lone line feed ends a line here, whether or not the parser agrees. */
  #endOfHeader(chunk: Buffer, from: number): number {
    this.#beginning += chunk.toString('latin1', from, from + PREFACE.length - this.#beginning.length)
    for (let at = from; at < chunk.length; at += 1) {
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
