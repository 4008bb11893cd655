import { DigestList } from '../../exporting/digest-list.ts'
import type { Connection } from '../connection/connection.ts'
import { rowsVersion } from '../connection/data-version.ts'
import type { Entanglement } from '../purging/entanglement.ts'

/** Rows by their numbers, and the digest of each. */
export interface NotedDigests {
  readonly rowids: (number | bigint)[]
  readonly digests: DigestList
}

/**
 * Digests of rows that were read, for as long as nobody else has committed since: then a row is what it was, and need not be read again to be
 * compared. Rows are deleted in the order in which they were read and noted, so that one place in the list says which comes next; one that was not noted is read
 * again.
 */
export class ReadDigests {
  readonly #connection: Connection
  readonly #entanglement: Pick<Entanglement, 'found'>
  readonly #rowids: (number | bigint)[] = []
  readonly #digests = new DigestList()
  #next = 0
  /** Whether no row is changed by another one's deletion. */
  #lasting = false
  #version: string | undefined

  constructor(connection: Connection, entanglement: Pick<Entanglement, 'found'>) {
    this.#connection = connection
    this.#entanglement = entanglement
  }

  /** Before rows are read. */
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

  /** Under the write lock: what is still known, and which rows are left to be read. `rowids` in the order in which they were read. */
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

  /** Where a batch was rolled back, or rows were read again, it is not where the last one ended. */
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

/** A row number that a number does not hold is rare. */
function plain(rowid: number | bigint): number | bigint {
  return typeof rowid === 'bigint' && Number.isSafeInteger(Number(rowid)) ? Number(rowid) : rowid
}
