import { TAGS } from '../../exporting.ts'
import { MOST_ESCAPED } from '../../exporting/json-text.ts'
import type { LineBuffer } from '../../exporting/line-buffer.ts'
import { TimeWriter, writeInteger } from './binary-values.ts'
import type { Charset } from './charset.ts'
import type { Form } from './stored-rows.ts'

/**
 * Writes values, which arrive as UTF-8 or in a charset, as JSON in UTF-8, byte for byte: converting them to strings and back takes several times as long.
 */
export class JsonWriter {
  readonly #buffer: LineBuffer
  readonly #charset: Charset | undefined
  readonly #times = new TimeWriter()

  constructor(buffer: LineBuffer, charset?: Charset) {
    this.#buffer = buffer
    this.#charset = charset
  }

  /** Makes room for so many bytes of values, escaped, and `more` bytes that are written as they are. */
  begin(bytes: number, more: number): void {
    this.#buffer.reserve(MOST_ESCAPED * bytes + more)
  }

  raw(from: Uint8Array, start = 0, end = from.length): void {
    const { bytes } = this.#buffer
    let { length } = this.#buffer
    for (let at = start; at < end; at += 1) bytes[length++] = from[at]!
    this.#buffer.length = length
  }

  /** Looks at bytes, because every character that JSON requires to be escaped is a single byte in UTF-8. */
  text(from: Uint8Array, start: number, end: number): void {
    const { bytes } = this.#buffer
    let { length } = this.#buffer
    bytes[length++] = QUOTE
    for (let at = start; at < end; at += 1) {
      const byte = from[at]!
      // First what occurs most: JSON within a text is full of these.
      if (byte === QUOTE || byte === BACKSLASH) {
        bytes[length] = BACKSLASH
        bytes[length + 1] = byte
        length += 2
      } else if (byte >= 0x20) {
        bytes[length] = byte
        length += 1
      } else {
        const escape = ESCAPES[byte]!
        for (let each = 0; each < escape.length; each += 1) bytes[length++] = escape[each]!
      }
    }
    bytes[length++] = QUOTE
    this.#buffer.length = length
  }

  value(form: Form, from: Buffer, start: number, end: number): void {
    switch (form) {
      case 'integer':
        writeInteger(this.#buffer, from, start, end)
        break
      case 'timestamp':
      case 'timestamptz':
        this.raw(QUOTES)
        this.#times.write(this.#buffer, form, from, start)
        this.raw(QUOTES)
        break
      case 'number':
        // JSON has no NaN and no infinities.
        if (isDigit(from[start]!) || (from[start] === MINUS && isDigit(from[start + 1]!))) this.raw(from, start, end)
        else this.text(from, start, end)
        break
      case 'truth':
        this.raw(from, start, end)
        break
      case 'text':
        if (this.#charset === undefined) this.text(from, start, end)
        else this.#converted(this.#charset, from.subarray(start, end))
        break
      case 'bytes':
        this.raw(BYTES_OPENING)
        this.raw(from, start, end)
        this.raw(BYTES_CLOSING)
    }
  }

  #converted(charset: Charset, stored: Buffer): void {
    const text = charset.toUtf8(stored)
    if (text !== undefined) return this.text(text, 0, text.length)
    this.raw(TEXT_OPENING)
    this.#buffer.length += this.#buffer.bytes.write(stored.toString('hex'), this.#buffer.length, 'latin1')
    this.raw(BYTES_CLOSING)
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
export const QUOTES = Buffer.from('"')
const MINUS = 0x2d
export const BYTES_OPENING = Buffer.from(`{"${TAGS.bytes}":"`)
/** Of text that cannot be written as UTF-8. */
export const TEXT_OPENING = Buffer.from(`{"${TAGS.text}":"`)
export const BYTES_CLOSING = Buffer.from('"}')
/** The most that a value takes besides six times its own bytes; an integer or a time has up to eight of its own. */
export const MOST_AROUND = BYTES_OPENING.length + BYTES_CLOSING.length

/** The escapes of control characters. */
const ESCAPES = Array.from({ length: 0x20 }, (_, byte) => Buffer.from(JSON.stringify(String.fromCharCode(byte)).slice(1, -1)))

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}
