import { createHash, hash } from 'node:crypto'
import { SECOND, type EpochMs } from '../../time.ts'
import { hexPieces, jsonPieces, LONG } from '../json-text.ts'
import { TAGS, type StoredColumn, type StoredRow } from '../stored-rows.ts'
import { wallInstant } from '../wall-clock.ts'
import type { Connection } from './connection.ts'
import type { Layout } from './layout.ts'
import { folded, quoted } from './names.ts'
import { EPOCH_UNITS, readText, standing } from './times.ts'

/** For values with a zone, and for text without one. */
type Cutoffs = readonly [cutoff: EpochMs, wallCutoff: EpochMs]

/** A value as the driver hands it over when whole numbers are to be exact: INTEGER is a bigint, REAL a number. */
export type StoredValue = bigint | number | string | Uint8Array | null

/** Columns that are computed hold nothing of their own. `table` as it is spelled. */
export function storedColumns(connection: Connection, table: string): readonly StoredColumn[] {
  return connection
    .run<{ name: string; type: string; pk: number; hidden: number }>('SELECT name, type, pk, hidden FROM pragma_table_xinfo($1)', [table])
    .rows.filter(({ hidden }) => hidden === 0)
    .map(({ name, type, pk }) => ({ name, type, key: pk > 0 }))
}

/** Rows handed over together hold about so many bytes, and one row at least. */
const READ_BYTES = 4 * 2 ** 20

/** Reads rows by their numbers as they are stored, if they have expired. */
export class RowReader {
  readonly columns: readonly StoredColumn[]
  readonly #connection: Connection
  readonly #table: string
  readonly #rowid: string
  readonly #select: string
  readonly #openings: readonly string[]
  readonly #time: number
  readonly #id: number
  readonly #instant: (value: unknown) => EpochMs

  constructor(connection: Connection, table: string, column: string, { rowid, table: named }: Layout, timeZone: string) {
    this.columns = storedColumns(connection, table)
    this.#connection = connection
    this.#table = named
    this.#rowid = rowid
    const list = this.columns.map(({ name }) => `row.${quoted(name)}`).join(', ')
    this.#select = `SELECT row.${rowid}, ${list} FROM json_each($1) AS chosen CROSS JOIN ${named} AS row WHERE row.${rowid} = chosen.value`
    this.#openings = this.columns.map(({ name }, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`)
    this.#time = this.columns.findIndex(({ name }) => folded(name) === folded(column))
    this.#id = this.columns.findIndex(({ name }) => folded(name) === 'id')
    this.#instant = instantOf(timeZone)
  }

  /** In the given order, as far as it gets; `next`: how many of the numbers that was. */
  read(rowids: readonly (number | bigint)[], cutoffs: Cutoffs): { readonly rows: readonly StoredRow[]; readonly next: number } {
    const rows: StoredRow[] = []
    let bytes = 0
    const stoppedAt = this.#walk(rowids, cutoffs, (_, values) => {
      const row = this.#row(values)
      rows.push(row)
      bytes += row.size
      return bytes < READ_BYTES
    })
    return { rows, next: stoppedAt === undefined ? rowids.length : 1 + rowids.findIndex((rowid) => BigInt(rowid) === stoppedAt) }
  }

  /** The digest of each, by its number. */
  digests(rowids: readonly (number | bigint)[], cutoffs: Cutoffs): Map<bigint, string> {
    const digests = new Map<bigint, string>()
    this.#walk(rowids, cutoffs, (rowid, values) => {
      digests.set(rowid, this.#digest(values))
      return true
    })
    return digests
  }

  /** Until `each` answers false: then with the number of the last row that was met. */
  #walk(
    rowids: readonly (number | bigint)[],
    cutoffs: Cutoffs,
    each: (rowid: bigint, values: readonly JsonValue[]) => boolean,
  ): bigint | undefined {
    // While a statement is walked, the connection takes no other: what needs a second look is kept for afterwards.
    const doubtful: [rowid: bigint, values: readonly StoredValue[]][] = []
    let stoppedAt: bigint | undefined
    for (const [rowid, values] of this.#connection.rows(this.#select, [`[${rowids.join(',')}]`])) {
      if (standing(values[this.#time] ?? null, ...cutoffs) !== 'expired') continue
      if (values.some(isDoubtful)) doubtful.push([rowid, values])
      else if (!each(rowid, values)) {
        stoppedAt = rowid
        break
      }
    }
    for (const [rowid, values] of doubtful)
      each(
        rowid,
        values.map((value, index) => (isDoubtful(value) ? this.#exactly(rowid, index, value) : value)),
      )
    return stoppedAt
  }

  /** Bytes that are no UTF-8 come back as U+FFFD; so does U+FFFD itself. */
  #exactly(rowid: bigint, index: number, text: string): JsonValue {
    const column = quoted(this.columns[index]!.name)
    const sql = `SELECT CAST(${column} AS BLOB) AS bytes FROM ${this.#table} WHERE ${this.#rowid} = $1`
    const bytes = this.#connection.run<{ bytes: Uint8Array }>(sql, [rowid]).rows[0]?.bytes
    return bytes === undefined || Buffer.from(text).equals(bytes) ? text : new TextBytes(bytes)
  }

  #row(values: readonly JsonValue[]): StoredRow {
    const long = values.some(isLong)
    const time = values[this.#time] ?? null
    const id = values[this.#id]
    const line = long ? this.#pieces(values) : this.#line(values)
    return {
      at: this.#instant(time),
      id: typeof id === 'bigint' || typeof id === 'number' || typeof id === 'string' ? String(id) : '',
      line,
      size: typeof line === 'string' ? line.length : values.reduce((sum: number, value) => sum + lengthOf(value), 0),
      digest: this.#digest(values, long),
    }
  }

  #digest(values: readonly JsonValue[], long = values.some(isLong)): string {
    if (!long) return hash('sha256', this.#line(values), 'base64')
    const sum = createHash('sha256')
    for (const piece of this.#pieces(values)) sum.update(piece)
    return sum.digest('base64')
  }

  #line(values: readonly JsonValue[]): string {
    let line = ''
    for (const [index, value] of values.entries()) line += this.#openings[index]! + json(value)
    return `${line}}`
  }

  *#pieces(values: readonly JsonValue[]): Generator<string> {
    for (const [index, value] of values.entries()) {
      yield this.#openings[index]!
      if (!isLong(value)) yield json(value)
      else if (typeof value === 'string') yield* jsonPieces(value)
      else {
        yield `{"${value instanceof TextBytes ? TAGS.text : TAGS.bytes}":`
        yield* hexPieces(value instanceof TextBytes ? value.bytes : value)
        yield '}'
      }
    }
    yield '}'
  }
}

/** Text whose bytes are no UTF-8. */
class TextBytes {
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

type JsonValue = StoredValue | TextBytes

function isLong(value: JsonValue): value is string | Uint8Array | TextBytes {
  return lengthOf(value) > LONG
}

function lengthOf(value: JsonValue): number {
  return typeof value === 'string' || value instanceof Uint8Array ? value.length : value instanceof TextBytes ? value.bytes.length : 0
}

function isDoubtful(value: StoredValue): value is string {
  return typeof value === 'string' && value.includes('\u{FFFD}')
}

function json(value: JsonValue): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') return realJson(value)
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

/** NaN: it is no time. */
export function instantOf(timeZone: string): (value: unknown) => EpochMs {
  const instantAt = wallInstant(timeZone)
  return (value) => {
    if (typeof value === 'string') {
      const time = readText(value)
      if (time === undefined) return NaN
      return time.zoned ? time.instant : instantAt(time.instant)
    }
    if (typeof value !== 'number' && typeof value !== 'bigint') return NaN
    const unit = EPOCH_UNITS.find(({ from, below }) => value >= from && value < below)
    return unit === undefined ? NaN : Math.floor((Number(value) * SECOND) / Number(unit.at(SECOND)))
  }
}
