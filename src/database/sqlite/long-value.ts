import { isUtf8 } from 'node:buffer'
import { escapedPieces, wholeCharacters } from '../json-text.ts'
import { TAGS } from '../stored-rows.ts'
import type { Connection } from './connection.ts'

/** Each step reads the value to its end: fewer take more memory, more take longer. */
const STEP_BYTES = 2 ** 23

export interface Cell {
  readonly connection: Connection
  /** Names quoted. */
  readonly table: string
  readonly rowid: string
  readonly column: string
  readonly row: bigint
  readonly bytes: number
  readonly kind: 'text' | 'blob'
}

/** A value that is read piece by piece, whenever it is walked: what changes meanwhile shows in the digest of the row. */
export class LongValue {
  readonly bytes: number
  readonly #cell: Cell

  constructor(cell: Cell) {
    this.bytes = cell.bytes
    this.#cell = cell
  }

  *json(): Generator<Buffer> {
    const { kind } = this.#cell
    if (kind === 'text' && this.#isUtf8()) {
      yield Buffer.from('"')
      for (const piece of this.#characters()) yield* escapedPieces(piece)
      yield Buffer.from('"')
      return
    }
    yield Buffer.from(`{"${kind === 'text' ? TAGS.text : TAGS.bytes}":"`)
    for (const piece of this.#pieces()) yield Buffer.from(piece.toString('hex'))
    yield Buffer.from('"}')
  }

  #isUtf8(): boolean {
    for (const piece of this.#characters()) if (!isUtf8(piece)) return false
    return true
  }

  /** No piece ends within a character. */
  *#characters(): Generator<Buffer> {
    let rest = Buffer.alloc(0)
    for (const piece of this.#pieces()) {
      const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece])
      const end = wholeCharacters(bytes)
      yield bytes.subarray(0, end)
      rest = Buffer.from(bytes.subarray(end))
    }
    if (rest.length > 0) yield rest
  }

  *#pieces(): Generator<Buffer> {
    const { connection, table, rowid, column, row, bytes } = this.#cell
    const sql = `SELECT substr(CAST(${column} AS BLOB), $2, $3) AS piece FROM ${table} WHERE ${rowid} = $1`
    for (let from = 0; from < bytes; from += STEP_BYTES) {
      const piece = connection.run<{ piece: Buffer | null }>(sql, [row, from + 1, STEP_BYTES]).rows[0]?.piece
      if (piece === undefined || piece === null) return
      yield piece
    }
  }
}
