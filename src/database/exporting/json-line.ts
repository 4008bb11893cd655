import { isUtf8 } from 'node:buffer'
import { TAGS } from '../exporting.ts'
import { notRestored } from './archived-columns.ts'
import { LONG_BYTES } from './json-text.ts'

/** A line of `RowLines` with very long values cut out: as one string it would take several times its size in memory. */
export interface CutLine {
  /** JSON, with `null` in place of the values that were cut out. */
  readonly text: string
  /** By column. */
  readonly long: ReadonlyMap<string, LongString>
}

export interface LongString {
  /** The tag of the object that stands for the value; `undefined`: the value is a string. */
  readonly tag: string | undefined
  /** What is between the quotation marks: a view of the line. */
  readonly json: Buffer
}

/** Cuts out long strings that are values of a row. Invalid JSON is left for the parser to report. */
export function cutLine(line: Buffer): CutLine {
  if (line.length <= LONG_BYTES) return { text: line.toString(), long: NONE }
  const long = new Map<string, LongString>()
  const kept: Buffer[] = []
  let from = 0
  let depth = 0
  let column: string | undefined
  let tag: string | undefined
  for (let at = 0; at < line.length;) {
    const byte = line[at]!
    if (byte !== QUOTE) {
      if (byte === OPENING || byte === LIST) depth += 1
      else if (byte === CLOSING || byte === LIST_END) depth -= 1
      if (depth < 2) tag = undefined
      at += 1
      continue
    }
    const end = endOfString(line, at)
    if (end === -1) break
    const isValue = (depth === 1 && column !== undefined) || (depth === 2 && tag !== undefined)
    if (line[end] === COLON) {
      if (depth === 1) column = nameIn(line.subarray(at, end))
      else if (depth === 2) tag = nameIn(line.subarray(at, end))
    } else if (end - at > LONG_BYTES && isValue && column !== undefined && !long.has(column)) {
      long.set(column, { tag: depth === 1 ? undefined : tag, json: line.subarray(at + 1, end - 1) })
      kept.push(line.subarray(from, at), NULL)
      from = end
    }
    at = end
  }
  kept.push(line.subarray(from))
  return { text: Buffer.concat(kept).toString(), long }
}

/** Decodes a string of JSON to UTF-8, or hexadecimal to bytes, in place. */
export function bytesOf({ tag, json }: LongString): Buffer {
  return tag === undefined ? unescaped(json) : fromHexadecimal(json)
}

export function isTagged({ tag }: LongString): boolean {
  return tag === TAGS.bytes || tag === TAGS.text
}

const NONE: ReadonlyMap<string, LongString> = new Map()
const NULL = Buffer.from('null')
const QUOTE = 0x22
const COLON = 0x3a
const LIST = 0x5b
const BACKSLASH = 0x5c
const LIST_END = 0x5d
const OPENING = 0x7b
const CLOSING = 0x7d
const FIRST_PRINTABLE = 0x20
const LETTER_U = 0x75
/** From here on, UTF-8 takes more than one byte. */
const FIRST_WIDE = 0x80

/** The index after the closing quotation mark; -1: there is none. */
function endOfString(line: Buffer, from: number): number {
  for (let end = line.indexOf(QUOTE, from + 1); end !== -1; end = line.indexOf(QUOTE, end + 1)) {
    let backslashes = 0
    while (line[end - 1 - backslashes] === BACKSLASH) backslashes += 1
    if (backslashes % 2 === 0) return end + 1
  }
  return -1
}

/** `undefined`: it is invalid, or too long to be a name. */
function nameIn(json: Buffer): string | undefined {
  if (json.length > LONG_BYTES) return undefined
  try {
    const name: unknown = JSON.parse(json.toString())
    return typeof name === 'string' ? name : undefined
  } catch {
    return undefined
  }
}

const ESCAPED: Readonly<Record<string, string>> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/** Decodes in place: an escape is never shorter than what it stands for. */
function unescaped(json: Buffer): Buffer {
  let length = 0
  for (let at = 0; at < json.length;) {
    const byte = json[at]!
    if (byte < FIRST_PRINTABLE) throw noJson()
    if (byte !== BACKSLASH) {
      json[length++] = byte
      at += 1
      continue
    }
    if (json[at + 1] === LETTER_U) {
      const high = unitAt(json, at)
      if (high < FIRST_WIDE) {
        json[length++] = high
        at += ESCAPE_BYTES
        continue
      }
      const isHigh = high >= 0xd800 && high < 0xdc00
      const text = isHigh ? String.fromCharCode(high, unitAt(json, at + ESCAPE_BYTES)) : String.fromCharCode(high)
      if (!text.isWellFormed()) throw noJson()
      length += json.write(text, length)
      at += isHigh ? 2 * ESCAPE_BYTES : ESCAPE_BYTES
    } else {
      const character = ESCAPED[String.fromCharCode(json[at + 1] ?? 0)]
      if (character === undefined) throw noJson()
      json[length++] = character.charCodeAt(0)
      at += 2
    }
  }
  const bytes = json.subarray(0, length)
  if (!isUtf8(bytes)) throw noJson()
  return bytes
}

/** Of `\u001f`. */
const ESCAPE_BYTES = 6

function unitAt(json: Buffer, at: number): number {
  if (json[at] !== BACKSLASH || json[at + 1] !== LETTER_U) throw noJson()
  let unit = 0
  for (let digit = at + 2; digit < at + ESCAPE_BYTES; digit += 1) unit = unit * 16 + digitOf(json[digit] ?? 0)
  return unit
}

function digitOf(byte: number): number {
  // Capital and small letters differ in one bit.
  const letter = byte | 0x20
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  if (letter >= 0x61 && letter <= 0x66) return letter - 0x61 + 10
  throw noJson()
}

const PIECE = 2 ** 16

function fromHexadecimal(json: Buffer): Buffer {
  let length = 0
  for (let at = 0; at < json.length; at += PIECE) {
    const end = Math.min(at + PIECE, json.length)
    const bytes = Buffer.from(json.toString('latin1', at, end), 'hex')
    if (2 * bytes.length !== end - at) throw noJson()
    length += bytes.copy(json, length)
  }
  return json.subarray(0, length)
}

function noJson(): Error {
  return notRestored('a line of the file has an invalid string')
}
