import { hash } from 'node:crypto'
import type { EpochMs } from '../../time.ts'
import { LONG_BYTES } from '../json-text.ts'
import type { StoredColumn, StoredRow } from '../stored-rows.ts'
import type { Connection } from './connection.ts'
import { instantOf } from './instants.ts'
import type { Layout } from './layout.ts'
import { LongValue } from './long-value.ts'
import { folded, quoted } from './names.ts'
import { ReadDigests, type RowDigests } from './read-digests.ts'
import { isLong, json, LongRow, TextBytes, type JsonValue, type StoredValue } from './row-json.ts'
import { standing } from './times.ts'
import { listed } from './listed.ts'

/** For values with a zone, and for text without one. */
type Cutoffs = readonly [cutoff: EpochMs, wallCutoff: EpochMs]

/** Columns that are computed hold nothing of their own. `table` as it is spelled. */
export function storedColumns(connection: Connection, table: string): readonly StoredColumn[] {
  return connection
    .run<{ name: string; type: string; pk: number; hidden: number }>('SELECT name, type, pk, hidden FROM pragma_table_xinfo($1)', [table])
    .rows.filter(({ hidden }) => hidden === 0)
    .map(({ name, type, pk }) => ({ name, type, key: pk > 0 }))
}

/** Rows handed over together hold about so many bytes, and one row at least: the event loop waits as long. */
const READ_BYTES = 2 ** 20

/** Reads rows by their numbers as they are stored, if they have expired. */
export class RowReader {
  readonly columns: readonly StoredColumn[]
  readonly #connection: Connection
  readonly #table: string
  readonly #rowid: string
  readonly #select: string
  /** Of rows that are long in all, with what is long by itself left out. */
  readonly #selectLong: string
  readonly #digests: ReadDigests
  readonly #openings: readonly string[]
  readonly #time: number
  readonly #id: number
  readonly #instant: (value: unknown) => EpochMs

  constructor(connection: Connection, table: string, column: string, { rowid, table: named }: Layout, timeZone: string) {
    this.columns = storedColumns(connection, table)
    this.#connection = connection
    this.#table = named
    this.#rowid = rowid
    const names = this.columns.map(({ name }) => `row.${quoted(name)}`)
    const size = names.map((name) => `ifnull(octet_length(${name}), 0)`).join(' + ')
    const chosen = `FROM json_each($1) AS chosen CROSS JOIN ${named} AS row WHERE row.${rowid} = chosen.value`
    const short = names.map((name) => `iif(octet_length(${name}) > ${LONG_BYTES}, NULL, ${name})`)
    this.#select = `SELECT ${names.join(', ')}, row.${rowid} ${chosen} AND ${size} <= ${LONG_BYTES}`
    this.#selectLong = `SELECT ${short.join(', ')}, row.${rowid} ${chosen} AND ${size} > ${LONG_BYTES}`
    this.#openings = this.columns.map(({ name }, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`)
    this.#time = this.columns.findIndex(({ name }) => folded(name) === folded(column))
    this.#id = this.columns.findIndex(({ name }) => folded(name) === 'id')
    this.#instant = instantOf(timeZone)
    this.#digests = new ReadDigests(connection, table)
  }

  /** In the given order, as far as it gets; `next`: how many of the numbers that was. */
  read(rowids: readonly (number | bigint)[], cutoffs: Cutoffs): { readonly rows: readonly StoredRow[]; readonly next: number } {
    const rows: StoredRow[] = []
    let bytes = 0
    this.#digests.begin()
    const next = this.#walk(rowids, cutoffs, (rowid, values) => {
      const row = this.#row(values)
      rows.push(row)
      bytes += row.size
      // What is read while it is walked is read again.
      if (!(row instanceof LongRow)) this.#digests.note(rowid, row.digest)
      return bytes < READ_BYTES
    })
    return { rows, next }
  }

  /** Whether the digests of several rows are still true when one of them has been deleted. */
  get lasting(): boolean {
    return this.#digests.lasting
  }

  /** Those that are there and have expired, each with its digest, as they are under the write lock. */
  digests(rowids: readonly (number | bigint)[], cutoffs: Cutoffs): RowDigests {
    const known = this.#digests.take(rowids)
    if (known.left.length > 0)
      this.#walk(known.left, cutoffs, (rowid, values) => {
        known.rowids.push(rowid)
        known.digests.push(this.#digest(values))
        return true
      })
    return known
  }

  /** Until `each` answers false. Answers with how many of the numbers were dealt with. */
  #walk(rowids: readonly (number | bigint)[], cutoffs: Cutoffs, each: (rowid: bigint, values: readonly JsonValue[]) => boolean): number {
    // While a statement is walked, the connection takes no other: what needs a second look is kept for afterwards.
    const doubtful: [rowid: bigint, values: readonly StoredValue[]][] = []
    let next = rowids.length
    let met = 0
    for (const [rowid, values] of this.#connection.rows(this.#select, [listed(rowids)])) {
      met += 1
      if (standing(values[this.#time] ?? null, ...cutoffs) !== 'expired') continue
      if (values.some(isDoubtful)) doubtful.push([rowid, values])
      else if (!each(rowid, values)) {
        next = 1 + rowids.findIndex((number) => BigInt(number) === rowid)
        break
      }
    }
    const long = met < next ? [...this.#connection.rows(this.#selectLong, [listed(rowids.slice(0, next))])] : []
    for (const [rowid, values] of [...doubtful, ...long]) {
      if (standing(values[this.#time] ?? null, ...cutoffs) !== 'expired') continue
      const exact = values.map((value, index) =>
        value === null ? this.#long(rowid, index) : isDoubtful(value) ? this.#exactly(rowid, index, value) : value,
      )
      each(rowid, exact)
    }
    return next
  }

  /** What was left out because it is long. */
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

  /** Bytes that are no UTF-8 come back as U+FFFD; so does U+FFFD itself. */
  #exactly(rowid: bigint, index: number, text: string): JsonValue {
    const column = quoted(this.columns[index]!.name)
    const sql = `SELECT CAST(${column} AS BLOB) AS bytes FROM ${this.#table} WHERE ${this.#rowid} = $1`
    const bytes = this.#connection.run<{ bytes: Uint8Array }>(sql, [rowid]).rows[0]?.bytes
    return bytes === undefined || Buffer.from(text).equals(bytes) ? text : new TextBytes(bytes)
  }

  #row(values: readonly JsonValue[]): StoredRow {
    const time = values[this.#time] ?? null
    const id = values[this.#id]
    const about = {
      at: this.#instant(time),
      id: typeof id === 'bigint' || typeof id === 'number' || typeof id === 'string' ? String(id) : '',
    }
    if (values.some(isLong)) return new LongRow(about, this.#openings, values)
    const line = Buffer.from(this.#line(values))
    return { at: about.at, id: about.id, line, size: line.length, digest: hash('sha256', line, 'binary') }
  }

  #digest(values: readonly JsonValue[]): string {
    return values.some(isLong)
      ? new LongRow({ at: NaN, id: '' }, this.#openings, values).walked().digest
      : hash('sha256', this.#line(values), 'binary')
  }

  #line(values: readonly JsonValue[]): string {
    let line = ''
    for (const [index, value] of values.entries()) line += this.#openings[index]! + json(value)
    return `${line}}`
  }
}

function isDoubtful(value: StoredValue): value is string {
  return typeof value === 'string' && value.includes('\u{FFFD}')
}
