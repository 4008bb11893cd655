import { createHash } from 'node:crypto'
import type { EpochMs } from '../../time.ts'
import { TAGS, type StoredRow } from '../stored-rows.ts'
import { LongValue } from './long-value.ts'

/** A value as the driver hands it over when whole numbers are to be exact: INTEGER is a bigint, REAL a number. */
export type StoredValue = bigint | number | string | Uint8Array | null

/** A row that is read while it is walked; its digest is that of what was walked. */
export class LongRow implements StoredRow {
  readonly at: EpochMs
  readonly id: string
  readonly #openings: readonly string[]
  readonly #values: readonly JsonValue[]
  readonly #sum = createHash('sha256')

  constructor({ at, id }: Pick<StoredRow, 'at' | 'id'>, openings: readonly string[], values: readonly JsonValue[]) {
    this.at = at
    this.id = id
    this.#openings = openings
    this.#values = values
  }

  get size(): number {
    return this.#values.reduce((sum: number, value) => sum + (isLong(value) ? value.bytes : 0), 0)
  }

  get line(): Iterable<Uint8Array> {
    return this.#pieces()
  }

  get digest(): string {
    return this.#sum.digest('binary')
  }

  walked(): this {
    for (const _ of this.#pieces());
    return this
  }

  *#pieces(): Generator<Uint8Array> {
    for (const piece of this.#unhashed()) {
      this.#sum.update(piece)
      yield piece
    }
  }

  *#unhashed(): Generator<Uint8Array> {
    for (const [index, value] of this.#values.entries()) {
      yield Buffer.from(this.#openings[index]!)
      if (isLong(value)) yield* value.json()
      else yield Buffer.from(json(value))
    }
    yield Buffer.from('}')
  }
}

/** Text whose bytes are no UTF-8. */
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

/** The shortest text that reads back as the same number, always with a point or an exponent: without one it is a whole number. */
function realJson(value: number): string {
  if (!Number.isFinite(value)) return `{"${TAGS.real}":"${value}"}`
  if (Object.is(value, -0)) return '-0.0'
  const text = String(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
