import { hash } from 'node:crypto'
import type { EpochMs } from '../../../time/clock.ts'
import type { StoredRows } from '../../exporting.ts'
import { escapedPieces, LONG_BYTES } from '../../exporting/json-text.ts'
import { longRow } from '../../exporting/long-row.ts'
import { LineBuffer } from '../../exporting/line-buffer.ts'
import { RowBlock } from '../../exporting/row-block.ts'
import { integerText, readingIn } from './binary-values.ts'
import type { Charset } from './charset.ts'
import { BYTES_CLOSING, BYTES_OPENING, JsonWriter, MOST_AROUND, QUOTES, TEXT_OPENING } from './json-writer.ts'
import type { RecordColumn, RowRecord } from './stored-rows.ts'

export interface CopyOptions {
  readonly record: RowRecord
  /** Its time column. */
  readonly time: string
  /** The instant of what the clocks of the zone show, given as if it were UTC. */
  readonly instantAt: (reading: EpochMs) => EpochMs
  readonly take: (rows: StoredRows) => Promise<void>
}

/** Reads the binary form of COPY, whose rows are a bytea (the record), as it arrives. */
export class CopyReader {
  readonly #take: (rows: StoredRows) => Promise<void>
  readonly #columns: readonly RecordColumn[]
  readonly #charset: Charset | undefined
  readonly #time: number
  readonly #instantAt: (reading: EpochMs) => EpochMs
  readonly #openings: readonly Buffer[]
  /** The most bytes of a line besides its values. */
  readonly #around: number
  readonly #id: number
  readonly #records: Buffer[] = []
  readonly #block = new RowBlock((index) => this.#idOf(this.#records[index]!))
  readonly #writer: JsonWriter
  /** What is left of earlier pieces: too short to contain the length of the row. */
  #rest: Buffer = Buffer.alloc(0)
  /** A row that has arrived in part, in a buffer of its full length. */
  #partial: { readonly bytes: Buffer; filled: number } | undefined
  #begun = false

  constructor({ record: { columns, charset }, time, instantAt, take }: CopyOptions) {
    this.#take = take
    this.#columns = columns
    this.#charset = charset
    this.#writer = new JsonWriter(this.#block.buffer, charset)
    this.#time = columns.findIndex(({ name }) => name === time)
    const zoned = columns[this.#time]?.form === 'timestamptz'
    this.#instantAt = zoned ? (reading) => reading : instantAt
    this.#openings = columns.map(({ name }, index) => Buffer.from(`${index === 0 ? '{' : ','}${JSON.stringify(name)}:`))
    this.#around = this.#openings.reduce((sum, opening) => sum + opening.length + MOST_AROUND, CLOSING.length)
    this.#id = columns.findIndex(({ name, form }) => name === 'id' && form !== 'timestamp' && form !== 'timestamptz')
  }

  /** Hands over the rows that are complete with this piece. */
  async read(piece: Buffer): Promise<void> {
    let bytes = piece
    if (this.#partial !== undefined) {
      const { bytes: row, filled } = this.#partial
      const taken = piece.copy(row, filled)
      this.#partial.filled += taken
      if (this.#partial.filled < row.length) return
      this.#partial = undefined
      bytes = piece.subarray(taken)
      await this.#row(row, 0, row.length)
    }
    if (this.#rest.length > 0) bytes = Buffer.concat([this.#rest, bytes])
    this.#rest = bytes.subarray(await this.#rows(bytes))
    await this.#handOver()
  }

  /** Returns the offset up to which it got. */
  async #rows(bytes: Buffer): Promise<number> {
    let at = 0
    if (!this.#begun && bytes.length >= HEADER_BYTES) {
      this.#begun = true
      at = HEADER_BYTES
    }
    // The last two bytes are -1, which means that no row follows.
    while (this.#begun && bytes.length - at >= ROW_HEAD_BYTES) {
      const length = ROW_HEAD_BYTES + bytes.readInt32BE(at + ROW_HEAD_BYTES - 4)
      if (bytes.length - at < length) {
        const row = Buffer.allocUnsafe(length)
        this.#partial = { bytes: row, filled: bytes.copy(row, 0, at) }
        return bytes.length
      }
      const long = this.#row(bytes, at, at + length)
      if (long !== undefined) await long
      at += length
    }
    return at
  }

  /** Returns a promise only for a long row, so that the usual path stays synchronous. */
  #row(bytes: Buffer, from: number, to: number): Promise<void> | undefined {
    const record = bytes.subarray(from + ROW_HEAD_BYTES, to)
    if (record.length > LONG_BYTES) return this.#longRow(record)
    this.#line(record)
    this.#records.push(record)
    this.#block.add(this.#instantOf(record), hash('sha256', record, 'binary'))
    return undefined
  }

  async #longRow(record: Buffer): Promise<void> {
    await this.#handOver()
    const at = this.#instantOf(record)
    const digests = Buffer.from(hash('sha256', record, 'binary'), 'latin1')
    await this.#take(longRow({ at, id: this.#idOf(record), bytes: record.length, pieces: this.#pieces(record), digests: () => digests }))
  }

  async #handOver(): Promise<void> {
    if (this.#block.count > 0) await this.#take(this.#block)
    this.#block.clear()
    this.#records.length = 0
  }

  /** The record: a count, then for each column its type, its length (-1 is NULL) and its bytes. */
  #line(record: Buffer): void {
    const writer = this.#writer
    writer.begin(record.length, this.#around)
    let from = 4
    for (let index = 0; index < this.#openings.length; index += 1) {
      const length = record.readInt32BE(from + 4)
      from += 8
      writer.raw(this.#openings[index]!)
      if (length === -1) writer.raw(NULL)
      else writer.value(this.#columns[index]!.form, record, from, (from += length))
    }
    writer.raw(CLOSING)
  }

  *#pieces(record: Buffer): Generator<Uint8Array> {
    const buffer = new LineBuffer()
    const writer = new JsonWriter(buffer, this.#charset)
    let from = 4
    for (const [index, opening] of this.#openings.entries()) {
      const length = record.readInt32BE(from + 4)
      const value = record.subarray(from + 8, from + 8 + Math.max(length, 0))
      from += 8 + value.length
      const { form } = this.#columns[index]!
      yield opening
      if (length === -1) yield NULL
      else if (length <= LONG_BYTES || form === 'number' || form === 'truth') {
        buffer.length = 0
        writer.begin(length, MOST_AROUND)
        writer.value(form, value, 0, length)
        yield buffer.bytes.subarray(0, buffer.length)
      } else if (form === 'text') yield* this.#textPieces(value)
      else {
        yield BYTES_OPENING
        yield* escapedPieces(value)
        yield BYTES_CLOSING
      }
    }
    yield END
  }

  *#textPieces(stored: Buffer): Generator<Uint8Array> {
    const text = this.#charset === undefined ? stored : this.#charset.toUtf8(stored)
    if (text === undefined) {
      yield TEXT_OPENING
      for (let from = 0; from < stored.length; from += PIECE) yield Buffer.from(stored.toString('hex', from, from + PIECE))
      yield BYTES_CLOSING
    } else {
      yield QUOTES
      yield* escapedPieces(text)
      yield QUOTES
    }
  }

  #instantOf(record: Buffer): EpochMs {
    return this.#instantAt(readingIn(this.#valueIn(record, this.#time)!, 0))
  }

  #idOf(record: Buffer): string {
    const value = this.#id === -1 ? undefined : this.#valueIn(record, this.#id)
    if (value === undefined) return ''
    if (this.#columns[this.#id]!.form === 'integer') return integerText(value, 0, value.length)
    return (this.#charset?.toUtf8(value) ?? value).toString()
  }

  /** `undefined`: it is NULL. */
  #valueIn(record: Buffer, column: number): Buffer | undefined {
    let from = 4
    for (let index = 0; ; index += 1) {
      const length = record.readInt32BE(from + 4)
      from += 8
      if (index === column) return length === -1 ? undefined : record.subarray(from, from + length)
      from += Math.max(length, 0)
    }
  }
}

const NULL = Buffer.from('null')
const CLOSING = Buffer.from('}')
const END = Buffer.from('}\n')
const HEADER_BYTES = 19
/** The number of fields, and the length of the record. */
const ROW_HEAD_BYTES = 2 + 4
/** How many bytes are converted to hexadecimal at a time. */
const PIECE = 2 ** 16
