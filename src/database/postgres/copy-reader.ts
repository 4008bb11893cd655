import { hash } from 'node:crypto'
import { escapedPieces, LONG_BYTES } from '../json-text.ts'
import { TAGS, type StoredRow } from '../stored-rows.ts'
import type { Form, RecordColumn } from './stored-rows.ts'

/** Reads the binary form of COPY, whose rows are a float8 (the instant) and a bytea (the record), as it arrives. */
export class CopyReader {
  readonly #columns: readonly RecordColumn[]
  readonly #openings: readonly string[]
  readonly #id: number
  /** What is left of the pieces before, less than a row. */
  #rest: Buffer = Buffer.alloc(0)
  /** A row that is longer than what comes at once: its place, filled as it comes. */
  #long: { readonly bytes: Buffer; filled: number } | undefined
  #begun = false

  constructor(columns: readonly RecordColumn[]) {
    this.#columns = columns
    this.#openings = columns.map(({ name }, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`)
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
      rows.push(this.#row(bytes.subarray(at, at + length)))
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
    rows.push(this.#row(bytes))
    return piece.subarray(taken)
  }

  #row(row: Buffer): StoredRow {
    const record = row.subarray(ROW_HEAD_BYTES)
    const at = row.readDoubleBE(6)
    const digest = hash('sha256', record, 'base64')
    const values = this.#values(record)
    const id = this.#id === -1 ? '' : (values[this.#id]?.toString() ?? '')
    return { at, id, line: record.length > LONG_BYTES ? this.#pieces(values) : this.#line(values), size: record.length, digest }
  }

  /** A count, then for each column its type, its length (-1 is NULL) and its bytes. */
  #values(record: Buffer): (Buffer | undefined)[] {
    let from = 4
    return this.#columns.map(() => {
      const length = record.readInt32BE(from + 4)
      from += 8
      if (length === -1) return undefined
      from += length
      return record.subarray(from - length, from)
    })
  }

  #line(values: readonly (Buffer | undefined)[]): string {
    let line = ''
    for (const [index, value] of values.entries()) {
      line += this.#openings[index]!
      line += value === undefined ? 'null' : json(this.#columns[index]!.form, value.toString())
    }
    return `${line}}`
  }

  *#pieces(values: readonly (Buffer | undefined)[]): Generator<string> {
    for (const [index, value] of values.entries()) {
      const { form } = this.#columns[index]!
      yield this.#openings[index]!
      if (value === undefined) yield 'null'
      else if (value.length <= LONG_BYTES || form === 'number' || form === 'truth') yield json(form, value.toString())
      else {
        yield form === 'text' ? '"' : `{"${TAGS.bytes}":"`
        yield* escapedPieces(value)
        yield form === 'text' ? '"' : '"}'
      }
    }
    yield '}'
  }
}

const HEADER_BYTES = 19
/** A count, a length and eight bytes of the instant, and the length of the record. */
const ROW_HEAD_BYTES = 2 + 4 + 8 + 4

function json(form: Form, text: string): string {
  switch (form) {
    case 'number':
      // NaN and the infinities are no numbers in JSON.
      return /^-?\d/.test(text) ? text : JSON.stringify(text)
    case 'truth':
      return text
    case 'text':
      return JSON.stringify(text)
    case 'bytes':
      return `{"${TAGS.bytes}":"${text}"}`
  }
}
