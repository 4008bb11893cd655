import { createHash } from 'node:crypto'
import { TAGS } from '../../exporting.ts'
import type { StoredValue } from '../stored-value.ts'
import { LongValue } from './long-value.ts'

/** A row that is read while it is iterated; its digest is that of what was iterated. */
export class WalkedRow {
  readonly #openings: readonly string[]
  readonly #values: readonly JsonValue[]
  readonly #sum = createHash('sha256')

  constructor(openings: readonly string[], values: readonly JsonValue[]) {
    this.#openings = openings
    this.#values = values
  }

  get bytes(): number {
    return this.#values.reduce((sum: number, value) => sum + (isLong(value) ? value.bytes : 0), 0)
  }

  *pieces(): Generator<Uint8Array> {
    for (const piece of this.#line()) {
      this.#sum.update(piece)
      yield piece
    }
    yield LINE_FEED
  }

  /** The digest of what was iterated. Call it once. */
  digest(): Buffer {
    return this.#sum.digest()
  }

  *#line(): Generator<Uint8Array> {
    for (const [index, value] of this.#values.entries()) {
      yield Buffer.from(this.#openings[index]!)
      if (isLong(value)) yield* value.json()
      else yield Buffer.from(json(value))
    }
    yield Buffer.from('}')
  }
}

const LINE_FEED = Buffer.from('\n')

/** Text that is not valid UTF-8. */
export class TextBytes {
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

export type JsonValue = StoredValue | TextBytes | LongValue

export function isLong(value: JsonValue): value is LongValue {
  return value instanceof LongValue
}

export function json(value: JsonValue): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') return realJson(value)
  if (value instanceof LongValue) return Buffer.concat([...value.json()]).toString()
  return value instanceof TextBytes ? `{"${TAGS.text}":"${hex(value.bytes)}"}` : `{"${TAGS.bytes}":"${hex(value)}"}`
}

/** The shortest text that parses to the same number, always with a point or an exponent: without one it would be an integer. */
function realJson(value: number): string {
  if (!Number.isFinite(value)) return `{"${TAGS.real}":"${value}"}`
  if (Object.is(value, -0)) return '-0.0'
  const text = String(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

/** Rows of text, NULL and numbers that JavaScript writes as SQLite does: JSON.stringify makes a whole line of one in half the time. */
export interface PlainRow {
  /** The row, valid until the next call; `undefined`: it has other values, which takes `json`. */
  holding(values: readonly JsonValue[]): object | undefined
}

/** `undefined`: with such column names an object would not keep their order, or would not be written as it is. */
export function plainRow(names: readonly string[]): PlainRow | undefined {
  if (names.some((name) => /^\d+$/.test(name) || name === 'toJSON' || name === '__proto__')) return undefined
  const row: Record<string, string | number | null> = Object.fromEntries(names.map((name) => [name, null]))
  return {
    holding(values) {
      for (let index = 0; index < names.length; index += 1) {
        const value = values[index]!
        if (value === null || typeof value === 'string') row[names[index]!] = value
        else {
          const number = typeof value === 'bigint' ? Number(value) : NaN
          if (!Number.isSafeInteger(number)) return undefined
          row[names[index]!] = number
        }
      }
      return row
    },
  }
}
