import { TAGS } from '../stored-rows.ts'
import type { Form } from './stored-rows.ts'

/** One byte becomes `\u001f` at the worst. */
const MOST_ESCAPED = 6
const FIRST_BYTES = 2 ** 14

/**
 * Writes values, which come as UTF-8, as JSON in UTF-8, byte for byte: to make strings of them first, and bytes of those, takes several times
 * as long.
 */
export class JsonWriter {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #length = 0

  /** So many bytes of values, and `more` that are written as they are, will fit. */
  begin(bytes: number, more: number): void {
    this.#length = 0
    const room = MOST_ESCAPED * bytes + more
    if (room > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(Math.max(room, 2 * this.#bytes.length))
  }

  raw(from: Uint8Array, start = 0, end = from.length): void {
    const bytes = this.#bytes
    let length = this.#length
    for (let at = start; at < end; at += 1) bytes[length++] = from[at]!
    this.#length = length
  }

  /** Of the characters that JSON wants escaped, none has more than one byte. */
  text(from: Uint8Array, start: number, end: number): void {
    const bytes = this.#bytes
    let length = this.#length
    bytes[length++] = QUOTE
    for (let at = start; at < end; at += 1) {
      const byte = from[at]!
      if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) bytes[length++] = byte
      else {
        const escape = ESCAPES[byte]!
        for (let each = 0; each < escape.length; each += 1) bytes[length++] = escape[each]!
      }
    }
    bytes[length++] = QUOTE
    this.#length = length
  }

  value(form: Form, from: Uint8Array, start: number, end: number): void {
    switch (form) {
      case 'number':
        // NaN and the infinities are no numbers in JSON.
        if (isDigit(from[start]!) || (from[start] === MINUS && isDigit(from[start + 1]!))) this.raw(from, start, end)
        else this.text(from, start, end)
        break
      case 'truth':
        this.raw(from, start, end)
        break
      case 'text':
        this.text(from, start, end)
        break
      case 'bytes':
        this.raw(BYTES_OPENING)
        this.raw(from, start, end)
        this.raw(BYTES_CLOSING)
    }
  }

  /** What was written since `begin`, as bytes of its own. */
  written(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#length))
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const MINUS = 0x2d
export const BYTES_OPENING = Buffer.from(`{"${TAGS.bytes}":"`)
export const BYTES_CLOSING = Buffer.from('"}')
/** What such a value has besides its own bytes. */
export const MOST_AROUND = BYTES_OPENING.length + BYTES_CLOSING.length

const ESCAPES = Array.from({ length: BACKSLASH + 1 }, (_, byte) => Buffer.from(JSON.stringify(String.fromCharCode(byte)).slice(1, -1)))

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}
