import type { Connection } from './connection.ts'
import { dataVersion } from './data-version.ts'

/**
 * Digests of rows that were read, for as long as nobody else has committed since: then a row is what it was, and need not be read again to be
 * compared.
 */
export class ReadDigests {
  readonly #connection: Connection
  /** Whether no row is changed by another one's deletion, as a trigger or a reference of the table to itself can do. */
  readonly lasting: boolean
  readonly #digests = new Map<bigint, string>()
  #version: number | undefined

  constructor(connection: Connection, table: string) {
    this.#connection = connection
    this.lasting = connection.figure(CHANGES_ITSELF, [table]) === 0
  }

  /** Before rows are read. */
  begin(): void {
    const version = dataVersion(this.#connection)
    if (version !== this.#version) this.#digests.clear()
    this.#version = version
  }

  note(rowid: bigint, digest: string): void {
    if (this.lasting) this.#digests.set(rowid, digest)
  }

  /** Under the write lock: what is still known, of each once. */
  take(rowids: readonly (number | bigint)[]): Map<bigint, string> {
    this.begin()
    const known = new Map<bigint, string>()
    for (const rowid of rowids) {
      const row = BigInt(rowid)
      const digest = this.#digests.get(row)
      if (digest === undefined) continue
      known.set(row, digest)
      this.#digests.delete(row)
    }
    return known
  }
}

const CHANGES_ITSELF = `SELECT (SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = $1 COLLATE NOCASE)
  + (SELECT count(*) FROM pragma_foreign_key_list($1) WHERE "table" = $1 COLLATE NOCASE)`
