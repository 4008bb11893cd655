import { DigestList } from '../../exporting/digest-list.ts'
import type { Connection } from '../connection/connection.ts'
import { rowsVersion } from '../connection/data-version.ts'
import type { Entanglement } from '../purging/entanglement.ts'

/** Row numbers, and the digest of each row. */
export interface NotedDigests {
  readonly rowids: (number | bigint)[]
  readonly digests: DigestList
}

/**
 * Digests of rows that were read, valid until another connection commits: until then a row has not changed and need not be read again to be
 * compared. Rows are deleted in the order in which they were read and noted, so that one index says which comes next; a row that was not
 * noted is read again.
 */
export class ReadDigests {
  readonly #connection: Connection
  readonly #entanglement: Pick<Entanglement, 'found'>
  readonly #rowids: (number | bigint)[] = []
  readonly #digests = new DigestList()
  #next = 0
  /** Whether deleting a row changes no other row. */
  #lasting = false
  #version: string | undefined

  constructor(connection: Connection, entanglement: Pick<Entanglement, 'found'>) {
    this.#connection = connection
    this.#entanglement = entanglement
  }

  /** Call this before rows are read. */
  begin(): void {
    const version = rowsVersion(this.#connection)
    if (version !== this.#version || this.#next === this.#rowids.length) this.#forget()
    this.#version = version
    this.#lasting = !this.#entanglement.found
  }

  note(rowid: bigint, digest: string): void {
    if (!this.#lasting) return
    this.#rowids.push(plain(rowid))
    this.#digests.add(digest)
  }

  /**
   * Call this under the write lock. Returns the digests that are still valid, and the rows that must be read. `rowids` are in the order in
   * which they were read.
   */
  take(rowids: readonly (number | bigint)[]): NotedDigests & { readonly left: readonly (number | bigint)[] } {
    this.begin()
    const known: NotedDigests = { rowids: [], digests: new DigestList() }
    const left: (number | bigint)[] = []
    this.#turnTo(rowids[0])
    const { bytes } = this.#digests
    for (const rowid of rowids) {
      if (this.#rowids[this.#next] !== plain(rowid)) left.push(rowid)
      else {
        known.rowids.push(rowid)
        known.digests.addFrom(bytes, this.#next)
        this.#next += 1
      }
    }
    return { ...known, left }
  }

  /** After a rollback, or if rows were read again, the next row is not the one after the last. */
  #turnTo(rowid: number | bigint | undefined): void {
    if (rowid === undefined || this.#rowids[this.#next] === plain(rowid)) return
    const place = this.#rowids.lastIndexOf(plain(rowid))
    if (place !== -1) this.#next = place
  }

  #forget(): void {
    this.#rowids.length = 0
    this.#digests.clear()
    this.#next = 0
  }
}

/** Row numbers that do not fit into a number are rare, and stay bigint. */
function plain(rowid: number | bigint): number | bigint {
  return typeof rowid === 'bigint' && Number.isSafeInteger(Number(rowid)) ? Number(rowid) : rowid
}
