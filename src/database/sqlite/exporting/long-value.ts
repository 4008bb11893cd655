import { isUtf8 } from 'node:buffer'
import { TAGS } from '../../exporting.ts'
import { escapedPieces } from '../../exporting/json-text.ts'
import type { Connection } from '../connection/connection.ts'

export interface Cell {
  readonly connection: Connection
  /** The names are quoted. */
  readonly table: string
  readonly rowid: string
  readonly column: string
  readonly row: bigint
  readonly bytes: number
  readonly kind: 'text' | 'blob'
}

/** How many bytes are converted to hexadecimal at a time. */
const PIECE = 2 ** 16

/**
 * A value that is read each time it is iterated; if it has changed meanwhile, the digest of the row shows it. It is read as a whole,
 * because SQLite would read from its beginning for each part. Rows longer than the caller can handle are never iterated.
 */
export class LongValue {
  readonly bytes: number
  readonly #cell: Cell

  constructor(cell: Cell) {
    this.bytes = cell.bytes
    this.#cell = cell
  }

  *json(): Generator<Buffer> {
    const { kind } = this.#cell
    const bytes = this.#read()
    if (kind === 'text' && isUtf8(bytes)) {
      yield QUOTE
      yield* escapedPieces(bytes)
      yield QUOTE
      return
    }
    yield Buffer.from(`{"${kind === 'text' ? TAGS.text : TAGS.bytes}":"`)
    for (let from = 0; from < bytes.length; from += PIECE) yield Buffer.from(bytes.toString('hex', from, from + PIECE))
    yield Buffer.from('"}')
  }

  #read(): Buffer {
    const { connection, table, rowid, column, row, bytes } = this.#cell
    // Only with the same length: a value that has grown since may be too long to handle.
    const sql = `SELECT CAST(${column} AS BLOB) AS bytes FROM ${table} WHERE ${rowid} = $1 AND octet_length(${column}) = $2`
    return connection.run<{ bytes: Buffer | null }>(sql, [row, bytes]).rows[0]?.bytes ?? NOTHING
  }
}

const QUOTE = Buffer.from('"')
const NOTHING = Buffer.alloc(0)
