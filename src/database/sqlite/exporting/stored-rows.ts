import { hash } from 'node:crypto'
import type { EpochMs } from '../../../time/clock.ts'
import type { StoredColumn, StoredRows } from '../../exporting.ts'
import { LONG_BYTES, MOST_ESCAPED } from '../../exporting/json-text.ts'
import { longRow } from '../../exporting/long-row.ts'
import { RowBlock } from '../../exporting/row-block.ts'
import type { TimeColumn } from '../../purging.ts'
import type { Connection } from '../connection/connection.ts'
import { listed } from '../listed.ts'
import { folded, quoted } from '../names.ts'
import type { Lengths } from '../purging/row-slice.ts'
import type { Judge } from '../purging/judge.ts'
import type { Table } from '../purging/slice-kind.ts'
import type { StoredValue } from '../stored-value.ts'
import { instantIn } from '../times.ts'
import { LongValue } from './long-value.ts'
import { ReadDigests, type NotedDigests } from './read-digests.ts'
import { rowStatements, type RowStatements } from './row-statements.ts'
import { isLong, json, plainRow, TextBytes, WalkedRow, type PlainRow, type JsonValue } from './row-json.ts'
import { storedColumns } from './stored-columns.ts'

/** Rows are handed over in blocks of about so many bytes, at least one row; they block the event loop for that long. */
const READ_BYTES = 2 ** 20
/** The most bytes around a value; also the most that a number takes as a whole. */
const AROUND_BYTES = 32
/** The most bytes in UTF-8 of a unit of UTF-16. */
const MOST_UTF8 = 3

export interface ReaderOptions extends Table {
  readonly column: TimeColumn
  /** Rows with longer lines are skipped. */
  readonly longestBytes: number
  readonly timeZone: string
}

/** Reads rows by their numbers, as they are stored, if they have expired. */
export class RowReader implements Lengths {
  readonly columns: readonly StoredColumn[]
  readonly #connection: Connection
  readonly #table: string
  readonly #rowid: string
  readonly #statements: RowStatements
  readonly #longestBytes: number
  /** The line of a row of no more bytes cannot be too long. */
  readonly #surelyFits: number
  readonly #digests: ReadDigests
  readonly #ids: (JsonValue | undefined)[] = []
  readonly #block = new RowBlock((index) => idText(this.#ids[index]))
  readonly #openings: readonly string[]
  readonly #plain: PlainRow | undefined
  readonly #time: number
  readonly #id: number
  readonly #instant: (value: unknown) => EpochMs
  readonly #judge: Judge

  constructor({ connection, column: { table, column }, layout, entanglement, judge, longestBytes, timeZone }: ReaderOptions) {
    const { rowid, table: named } = layout
    this.columns = storedColumns(connection, table, column)
    this.#connection = connection
    this.#table = named
    this.#rowid = rowid
    this.#statements = rowStatements(layout, this.columns, judge.sparing)
    this.#judge = judge
    this.#openings = this.columns.map(({ name }, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`)
    this.#longestBytes = longestBytes
    const around = this.#openings.reduce((sum, opening) => sum + Buffer.byteLength(opening) + AROUND_BYTES, 1)
    this.#surelyFits = (longestBytes - around) / MOST_ESCAPED
    this.#plain = plainRow(this.columns.map(({ name }) => name))
    this.#time = this.columns.findIndex(({ name }) => folded(name) === folded(column))
    this.#id = this.columns.findIndex(({ name }) => folded(name) === 'id')
    this.#instant = instantIn(timeZone)
    this.#digests = new ReadDigests(connection, entanglement)
  }

  /** Reads rows in the given order until the block is full; `next`: how many of the row numbers were processed. */
  read(rowids: readonly (number | bigint)[]): { readonly rows: readonly StoredRows[]; readonly next: number } {
    const block = this.#block
    block.clear()
    this.#ids.length = 0
    const long: StoredRows[] = []
    this.#digests.begin()
    const next = this.#walk(rowids, (rowid, values, inOrder) => {
      const at = this.#instant(values[this.#time] ?? null)
      const id = values[this.#id]
      if (!inOrder && values.some(isLong)) {
        // Its digest is not noted: what is read while it is iterated is read again to be deleted.
        const row = new WalkedRow(this.#openings, values)
        long.push(longRow({ at, id: idText(id), bytes: row.bytes, pieces: row.pieces(), digests: () => row.digest() }))
        return true
      }
      const digest = this.#write(this.#line(values))
      this.#ids.push(id)
      block.add(at, digest)
      if (inOrder) this.#digests.note(rowid, digest)
      return block.bytes < READ_BYTES
    })
    return { rows: block.count > 0 ? [block, ...long] : long, next }
  }

  /** The digests of the rows that exist and have expired. Call this under the write lock. */
  digests(rowids: readonly (number | bigint)[]): NotedDigests {
    const known = this.#digests.take(rowids)
    if (known.left.length > 0)
      this.#walk(known.left, (rowid, values) => {
        known.rowids.push(rowid)
        known.digests.add(this.#digest(values))
        return true
      })
    return known
  }

  /** The rows whose lines are too long. A row that is too long by its size alone is not read. */
  tooLong(rowids: readonly (number | bigint)[]): ReadonlySet<number | bigint> {
    if (rowids.length === 0) return NONE
    const sizes = this.#connection.timeRows(this.#statements.sizes, [listed(rowids), Math.max(0, Math.floor(this.#surelyFits))])
    const most = this.#longestBytes
    const found = sizes.filter(([bytes, rowid]) => Number(bytes) > most || this.#lineBytes(BigInt(rowid)) > most)
    // The statements return row numbers as number or as bigint, so both are in the set.
    return new Set(found.flatMap(([, rowid]) => [rowid, BigInt(rowid)]))
  }

  /** The first letters of its `id`, for people; empty if the table has none. */
  idOf(rowid: number | bigint): string {
    const id = this.columns[this.#id]
    if (id === undefined) return ''
    const sql = `SELECT substr(CAST(${quoted(id.name)} AS TEXT), 1, ${MOST_SHOWN}) AS id FROM ${this.#table} WHERE ${this.#rowid} = $1`
    return this.#connection.run<{ id: string | null }>(sql, [rowid]).rows[0]?.id ?? ''
  }

  /** Ends when `each` returns false; `inOrder`: the row comes in the order of `rowids`. Returns how many of them were processed. */
  #walk(rowids: readonly (number | bigint)[], each: (rowid: bigint, values: readonly JsonValue[], inOrder: boolean) => boolean): number {
    // While a statement is iterated, the connection takes no other one. So rows that need a second look, such as long ones, are kept for
    // afterwards.
    const doubtful: [rowid: bigint, values: readonly StoredValue[]][] = []
    const tooLong = this.#surelyFits < LONG_BYTES ? this.tooLong(rowids) : NONE
    let next = rowids.length
    let met = 0
    this.#connection.rows(this.#statements.rows, [listed(rowids), ...this.#statements.masked], (rowid, values) => {
      met += 1
      if (!this.#mayGo(values) || tooLong.has(rowid)) return true
      if (values.some(isDoubtful)) doubtful.push([rowid, values])
      else if (!each(rowid, values, true)) {
        next = 1 + rowids.findIndex((number) => BigInt(number) === rowid)
        return false
      }
      return true
    })
    if (met < next)
      this.#connection.rows(this.#statements.longRows, [listed(rowids.slice(0, next)), ...this.#statements.masked], (...row) => {
        if (this.#mayGo(row[1])) doubtful.push(row)
        return true
      })
    const longAfterAll = this.tooLong(doubtful.map(([rowid]) => rowid))
    for (const [rowid, values] of doubtful) if (!longAfterAll.has(rowid)) each(rowid, this.#exactValues(rowid, values), false)
    return next
  }

  /** Takes the masks off the row. */
  #mayGo(values: StoredValue[]): boolean {
    return this.#judge.mayGoBy(values[this.#time] ?? null, values.splice(this.columns.length), 0)
  }

  #exactValues(rowid: bigint, values: readonly StoredValue[]): readonly JsonValue[] {
    return values.map((value, index) =>
      value === null ? this.#long(rowid, index) : isDoubtful(value) ? this.#exactly(rowid, index, value) : value,
    )
  }

  /** By writing the line; nearly always the row's size is enough to decide. */
  #lineBytes(rowid: bigint): number {
    const { rows, longRows, masked } = this.#statements
    let found: readonly StoredValue[] = []
    for (const sql of [rows, longRows])
      this.#connection.rows(sql, [listed([rowid]), ...masked], (_, values) => (found = values.slice(0, this.columns.length)).length === 0)
    let bytes = -1
    for (const piece of new WalkedRow(this.#openings, this.#exactValues(rowid, found)).pieces()) bytes += piece.length
    return bytes
  }

  /** A value that was left out because it is long. */
  #long(row: bigint, index: number): LongValue | null {
    const column = quoted(this.columns[index]!.name)
    const sql = `SELECT typeof(${column}) AS kind, octet_length(${column}) AS bytes FROM ${this.#table} WHERE ${this.#rowid} = $1`
    const found = this.#connection.run<{ kind: 'text' | 'blob' | 'null'; bytes: number }>(sql, [row]).rows[0]
    if (found === undefined || found.kind === 'null') return null
    return new LongValue({
      connection: this.#connection,
      table: this.#table,
      rowid: this.#rowid,
      column,
      row,
      bytes: found.bytes,
      kind: found.kind,
    })
  }

  /** The driver returns U+FFFD for bytes that are not valid UTF-8, and for U+FFFD itself. */
  #exactly(rowid: bigint, index: number, text: string): JsonValue {
    const column = quoted(this.columns[index]!.name)
    const sql = `SELECT CAST(${column} AS BLOB) AS bytes FROM ${this.#table} WHERE ${this.#rowid} = $1`
    const bytes = this.#connection.run<{ bytes: Uint8Array }>(sql, [rowid]).rows[0]?.bytes
    return bytes === undefined || Buffer.from(text).equals(bytes) ? text : new TextBytes(bytes)
  }

  /** Returns the digest of what it wrote. */
  #write(line: string): string {
    const { buffer } = this.#block
    buffer.reserve(MOST_UTF8 * line.length)
    const from = buffer.length
    buffer.length += buffer.bytes.write(line, from, 'utf8')
    return hash('sha256', buffer.bytes.subarray(from, buffer.length), 'binary')
  }

  #digest(values: readonly JsonValue[]): string {
    if (!values.some(isLong)) return hash('sha256', this.#line(values), 'binary')
    const row = new WalkedRow(this.#openings, values)
    for (const _ of row.pieces());
    return row.digest().toString('latin1')
  }

  #line(values: readonly JsonValue[]): string {
    const row = this.#plain?.holding(values)
    if (row !== undefined) return JSON.stringify(row)
    let line = ''
    for (const [index, value] of values.entries()) line += this.#openings[index]! + json(value)
    return `${line}}`
  }
}

const NONE: ReadonlySet<number | bigint> = new Set()
const MOST_SHOWN = 64

function idText(id: JsonValue | undefined): string {
  return typeof id === 'bigint' || typeof id === 'number' || typeof id === 'string' ? String(id) : ''
}

function isDoubtful(value: StoredValue): value is string {
  return typeof value === 'string' && value.includes('\u{FFFD}')
}
