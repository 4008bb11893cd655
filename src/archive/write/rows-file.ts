import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib'
import type { RowLines } from '../../database/exporting.ts'
import { messageOf } from '../../errors.ts'
import { formatTime, type EpochMs } from '../../time/clock.ts'
import { archiveFailed } from '../damage.ts'
import { LONGEST, LONGEST_ROW, LONGEST_ROW_BYTES, type Place, type RowsFile } from '../format.ts'

/** Level 1 takes half the time of level 3, and a quarter more space; the purge waits for it. */
const LEVEL = 1
/** Lines are handed to the compressor in chunks. */
const CHUNK_BYTES = 1024 * 2 ** 10
const FIRST_CHUNK_BYTES = 8 * 2 ** 10
const LINE_FEED_BYTES = 1
/** The most bytes that may wait for the compressor, which runs in another thread. */
const WAITING_BYTES = 4 * 2 ** 20

export type Written = Omit<RowsFile, 'path' | 'day' | 'cutoff' | 'retention'>

/** Writes rows to one file, compressed, in a single frame that every zstd reader can read. */
export class RowsWriter {
  readonly #open: () => Promise<FileHandle>
  readonly #path: string
  #sink: Sink | undefined
  readonly #rowsHash = createHash('sha256')
  readonly #fileHash = createHash('sha256')
  readonly #fileMd5 = createHash('md5')
  #chunk: Buffer = Buffer.allocUnsafeSlow(FIRST_CHUNK_BYTES)
  /** Chunks that the compressor is done with, to be reused. */
  readonly #free: Buffer[] = []
  #length = 0
  #rows = 0
  #bytes = 0
  #fileBytes = 0
  #first: { at: EpochMs; id: string } | undefined
  #last: { at: EpochMs; id: string } | undefined

  /** `open` creates the file once there is enough to write: a day of few rows costs no compressor until it ends. */
  constructor(open: () => Promise<FileHandle>, path: string) {
    this.#open = open
    this.#path = path
  }

  /** Whether its file and compressor exist. */
  get started(): boolean {
    return this.#sink !== undefined
  }

  get rows(): number {
    return this.#rows
  }

  /** Adds rows `from` up to, not including, `to`. Returns a promise if the caller has to wait before adding more. */
  add({ at, idOf, lines, ends, pieces }: RowLines, from: number, to: number): Promise<void> | undefined {
    let [first, last] = [from, from]
    for (let index = from + 1; index < to; index += 1) {
      if (at[index]! < at[first]!) first = index
      if (at[index]! >= at[last]!) last = index
    }
    if (this.#first === undefined || at[first]! < this.#first.at) this.#first = { at: at[first]!, id: beginningOf(idOf(first)) }
    if (this.#last === undefined || at[last]! >= this.#last.at) this.#last = { at: at[last]!, id: beginningOf(idOf(last)) }
    this.#rows += to - from
    if (pieces !== undefined) return this.#addPieces(pieces)
    const bytes = lines.subarray(from === 0 ? 0 : ends[from - 1]!, ends[to - 1])
    if (!this.#fits(bytes.length)) return this.#addPiece(bytes)
    this.#put(bytes)
    return undefined
  }

  async #addPieces(pieces: Iterable<Uint8Array>): Promise<void> {
    let bytes = 0
    for (const piece of pieces) {
      bytes += piece.length
      // No reader would accept it.
      if (bytes > LONGEST_ROW_BYTES + LINE_FEED_BYTES) throw archiveFailed(`${this.#path}: got a row of more than ${LONGEST_ROW}`)
      await this.#addPiece(piece)
    }
  }

  async #addPiece(piece: Uint8Array): Promise<void> {
    if (!this.#fits(piece.length)) await this.#flush()
    if (this.#fits(piece.length)) this.#put(piece)
    else await this.#write(Buffer.from(piece))
  }

  /** Whether so many bytes fit into the chunk, which grows up to a bound. */
  #fits(bytes: number): boolean {
    const wanted = this.#length + bytes
    if (wanted > CHUNK_BYTES) return false
    if (wanted > this.#chunk.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, Math.max(wanted, 4 * this.#chunk.length)))
      this.#chunk.copy(larger, 0, 0, this.#length)
      this.#chunk = larger
    }
    return true
  }

  #put(bytes: Uint8Array): void {
    this.#chunk.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** Durable when it resolves. */
  async finish(): Promise<Written> {
    await this.#flush()
    const { handle, compress, piped } = this.#sink ?? (await this.#start())
    try {
      compress.end()
      await piped
      await handle.sync()
    } catch (error) {
      throw this.#failed(error)
    } finally {
      await handle.close()
    }
    return {
      rows: this.#rows,
      bytes: this.#bytes,
      rowsSha256: this.#rowsHash.digest('hex'),
      fileBytes: this.#fileBytes,
      fileSha256: this.#fileHash.digest('hex'),
      fileMd5: this.#fileMd5.digest('hex'),
      first: placeOf(this.#first),
      last: placeOf(this.#last),
    }
  }

  /** Closes the file, whose content is of no use. */
  async abandon(): Promise<void> {
    if (this.#sink === undefined) return
    const { handle, compress, piped } = this.#sink
    compress.destroy()
    await piped.catch(() => undefined)
    await handle.close()
  }

  async #flush(): Promise<void> {
    if (this.#length === 0) return
    const chunk = this.#chunk
    const filled = chunk.subarray(0, this.#length)
    this.#chunk = this.#free.pop() ?? Buffer.allocUnsafeSlow(chunk.length)
    this.#length = 0
    await this.#write(filled, () => void (chunk.length === CHUNK_BYTES && this.#free.push(chunk)))
  }

  async #write(chunk: Buffer, compressed: () => void = () => {}): Promise<void> {
    this.#bytes += chunk.length
    this.#rowsHash.update(chunk)
    const { compress, piped } = this.#sink ?? (await this.#start())
    try {
      compress.write(chunk, compressed)
      if (compress.writableLength > WAITING_BYTES) await Promise.race([drained(compress), piped])
    } catch (error) {
      throw this.#failed(error)
    }
  }

  async #start(): Promise<Sink> {
    const handle = await this.#open()
    const compress = createZstdCompress({
      chunkSize: CHUNK_BYTES,
      params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
    })
    const piped = pipeline(compress, async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        this.#fileHash.update(chunk)
        this.#fileMd5.update(chunk)
        this.#fileBytes += chunk.length
        await writeAll(handle, chunk)
      }
    })
    // Reported by the next write or by `finish`; until then an unhandled rejection must not end the process.
    piped.catch(() => undefined)
    return (this.#sink = { handle, compress, piped })
  }

  #failed(error: unknown): Error {
    return archiveFailed(`${this.#path} cannot be written: ${messageOf(error)}`, error)
  }
}

interface Sink {
  readonly handle: FileHandle
  readonly compress: ZstdCompress
  readonly piped: Promise<void>
}

function drained(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => void stream.once('drain', resolve))
}

/** A write may be partial, for example on a disk that has just become full. */
async function writeAll(handle: FileHandle, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at)).bytesWritten
}

/** Copies it: a substring would keep the whole string in memory. */
function beginningOf(id: string): string {
  return id.length <= LONGEST.id ? id : Buffer.from(id.slice(0, LONGEST.id)).toString()
}

function placeOf(place: { at: EpochMs; id: string } | undefined): Place {
  return { time: formatTime(place?.at ?? NaN), id: place?.id ?? '' }
}
