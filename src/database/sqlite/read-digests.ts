import type { Connection } from './connection.ts'
import { dataVersion } from './data-version.ts'

/** Rows by their numbers, and of each its digest, a character a byte. */
export interface RowDigests {
  readonly rowids: (number | bigint)[]
  readonly digests: string[]
}

/**
 * Digests of rows that were read, for as long as nobody else has committed since: then a row is what it was, and need not be read again to be
 * compared.
 */
export class ReadDigests {
  readonly #connection: Connection
  /** Whether no row is changed by another one's deletion, as a trigger or a reference to the table can do. */
  readonly lasting: boolean
  readonly #digests = new Map<number | bigint, string>()
  #version: number | undefined

  constructor(connection: Connection, table: string) {
    this.#connection = connection
    this.lasting = connection.figure(ACTS_ON_ITSELF, [table]) === 0
  }

  /** Before rows are read. */
  begin(): void {
    const version = dataVersion(this.#connection)
    if (version !== this.#version) this.#digests.clear()
    this.#version = version
  }

  note(rowid: bigint, digest: string): void {
    if (this.lasting) this.#digests.set(keyOf(rowid), digest)
  }

  /** Under the write lock: what is still known, of each once, and which rows are left to be read. */
  take(rowids: readonly (number | bigint)[]): RowDigests & { readonly left: readonly (number | bigint)[] } {
    this.begin()
    const known: RowDigests = { rowids: [], digests: [] }
    if (this.#digests.size === 0) return { ...known, left: rowids }
    const left: (number | bigint)[] = []
    for (const rowid of rowids) {
      const key = keyOf(rowid)
      const digest = this.#digests.get(key)
      if (digest === undefined) left.push(rowid)
      else {
        known.rowids.push(rowid)
        known.digests.push(digest)
        this.#digests.delete(key)
      }
    }
    return { ...known, left }
  }
}

/** Numbers are looked up faster than bigints, and a row number that is none is rare. */
function keyOf(rowid: number | bigint): number | bigint {
  return typeof rowid === 'bigint' && Number.isSafeInteger(Number(rowid)) ? Number(rowid) : rowid
}

const ACTS_ON_ITSELF = `SELECT (SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = $1 COLLATE NOCASE)
  + (SELECT count(*) FROM sqlite_schema AS s CROSS JOIN pragma_foreign_key_list(s.name) AS f WHERE s.type = 'table' AND f."table" = $1 COLLATE NOCASE)`
