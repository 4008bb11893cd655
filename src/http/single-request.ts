import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** So much is read and thrown away of what follows a request, so that who sends it still hears the answer. */
const MOST_DISCARDED_BYTES = 128 * 1024

/** Of empty lines before a request, which some clients send behind a body: more are no request. */
const MOST_LEADING_BYTES = 8
/** What begins no request, for the parser to refuse. */
const NO_REQUEST = Buffer.from([0])

/** The method that HTTP/2 begins with. The parser waits for the rest, which is not read: it gets it from here, and says what it is. */
const PREFACE = 'PRI '
const END_OF_PREFACE = Buffer.from('SM\r\n\r\n')

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * A connection as the HTTP parser gets it: up to the empty line that ends the first header, and nothing after it. A parser that is given all
 * makes of one packet thousands of pipelined requests, each with its objects and its answer, before anybody can say stop. Bodies are nobody's
 * business here: nothing is written to.
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
    const from = this.#complete ? 0 : this.#beginningIn(chunk)
    const end = this.#complete ? 0 : this.#endOfHeader(chunk, from)
    if (end > from) this.push(chunk.subarray(from, end))
    if (end > from && this.#complete && this.#beginning === PREFACE) this.push(END_OF_PREFACE)
    this.#discardedBytes += chunk.length - end
    if (this.#discardedBytes > MOST_DISCARDED_BYTES) this.connection.destroy()
  }

  /** Behind the empty lines before the request, of which there may be a few. */
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

  /** Where in a chunk the header ends that begins, or goes on, at `from`. A lone line feed counts as the end of a line, whatever the parser thinks of it. */
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
