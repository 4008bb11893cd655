import { hash } from 'node:crypto'
import { escapedPieces, LONG_BYTES } from '../json-text.ts'
import type { StoredRow } from '../stored-rows.ts'
import { BYTES_CLOSING, BYTES_OPENING, JsonWriter, MOST_AROUND } from './json-writer.ts'
import type { RecordColumn } from './stored-rows.ts'

/** Reads the binary form of COPY, whose rows are a float8 (the instant) and a bytea (the record), as it arrives. */
export class CopyReader {
  readonly #columns: readonly RecordColumn[]
  readonly #openings: readonly Buffer[]
  /** What a line has at most, besides its values. */
  readonly #around: number
  readonly #writer = new JsonWriter()
  readonly #id: number
  /** What is left of the pieces before, less than a row. */
  #rest: Buffer = Buffer.alloc(0)
  /** A row that is longer than what comes at once: its place, filled as it comes. */
  #long: { readonly bytes: Buffer; filled: number } | undefined
  #begun = false

  constructor(columns: readonly RecordColumn[]) {
    this.#columns = columns
    this.#openings = columns.map(({ name }, index) => Buffer.from(`${index === 0 ? '{' : ','}${JSON.stringify(name)}:`))
    this.#around = this.#openings.reduce((sum, opening) => sum + opening.length + MOST_AROUND, 0)
    this.#id = columns.findIndex(({ name }) => name === 'id')
  }

  /** The rows that are complete with this piece. */
  read(piece: Buffer): StoredRow[] {
    const rows: StoredRow[] = []
    let bytes = this.#filled(piece, rows)
    if (this.#rest.length > 0) bytes = Buffer.concat([this.#rest, bytes])
    let at = 0
    if (!this.#begun && bytes.length >= HEADER_BYTES) {
      this.#begun = true
      at = HEADER_BYTES
    }
    while (this.#begun) {
      // The last two bytes are -1: no further row.
      if (bytes.length - at < ROW_HEAD_BYTES) break
      const length = ROW_HEAD_BYTES + bytes.readInt32BE(at + ROW_HEAD_BYTES - 4)
      if (bytes.length - at < length) {
        if (length > LONG_BYTES) {
          const long = Buffer.allocUnsafe(length)
          this.#long = { bytes: long, filled: bytes.copy(long, 0, at) }
          at = bytes.length
        }
        break
      }
      rows.push(this.#row(bytes, at, at + length))
      at += length
    }
    this.#rest = bytes.subarray(at)
    return rows
  }

  /** What of the piece is behind the long row that it belongs to. */
  #filled(piece: Buffer, rows: StoredRow[]): Buffer {
    if (this.#long === undefined) return piece
    const { bytes, filled } = this.#long
    const taken = piece.copy(bytes, filled)
    this.#long.filled += taken
    if (this.#long.filled < bytes.length) return piece.subarray(taken)
    this.#long = undefined
    rows.push(this.#row(bytes, 0, bytes.length))
    return piece.subarray(taken)
  }

  #row(bytes: Buffer, from: number, to: number): StoredRow {
    const record = bytes.subarray(from + ROW_HEAD_BYTES, to)
    const at = bytes.readDoubleBE(from + 6)
    const digest = hash('sha256', record, 'binary')
    const line = record.length > LONG_BYTES ? this.#pieces(record) : this.#line(record)
    return { at, id: this.#idOf(record), line, size: record.length, digest }
  }

  /** The record: a count, then for each column its type, its length (-1 is NULL) and its bytes. */
  #line(record: Buffer): Buffer {
    const writer = this.#writer
    writer.begin(record.length, this.#around)
    let from = 4
    for (const [index, opening] of this.#openings.entries()) {
      const length = record.readInt32BE(from + 4)
      from += 8
      writer.raw(opening)
      if (length === -1) writer.raw(NULL)
      else writer.value(this.#columns[index]!.form, record, from, (from += length))
    }
    writer.raw(CLOSING)
    return writer.written()
  }

  *#pieces(record: Buffer): Generator<Uint8Array> {
    let from = 4
    for (const [index, opening] of this.#openings.entries()) {
      const length = record.readInt32BE(from + 4)
      const value = record.subarray(from + 8, from + 8 + Math.max(length, 0))
      from += 8 + value.length
      const { form } = this.#columns[index]!
      yield opening
      if (length === -1) yield NULL
      else if (length <= LONG_BYTES || form === 'number' || form === 'truth') {
        this.#writer.begin(length, MOST_AROUND)
        this.#writer.value(form, value, 0, length)
        yield this.#writer.written()
      } else {
        yield form === 'text' ? QUOTE : BYTES_OPENING
        yield* escapedPieces(value)
        yield form === 'text' ? QUOTE : BYTES_CLOSING
      }
    }
    yield CLOSING
  }

  #idOf(record: Buffer): string {
    if (this.#id === -1) return ''
    let from = 4
    for (let index = 0; ; index += 1) {
      const length = record.readInt32BE(from + 4)
      from += 8
      if (index === this.#id) return length === -1 ? '' : record.toString('utf8', from, from + length)
      from += Math.max(length, 0)
    }
  }
}

const NULL = Buffer.from('null')
const QUOTE = Buffer.from('"')
const CLOSING = Buffer.from('}')
const HEADER_BYTES = 19
/** A count, a length and eight bytes of the instant, and the length of the record. */
const ROW_HEAD_BYTES = 2 + 4 + 8 + 4
