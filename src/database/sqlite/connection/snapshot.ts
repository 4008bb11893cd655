import BetterSqlite3 from 'better-sqlite3'

/**
 * A read transaction on a second connection, which is opened when it is first needed. It reads nothing that is used: while it is held, later writes stay in
 * the write-ahead log.
 */
export class Snapshot {
  readonly #file: string
  #database: BetterSqlite3.Database | undefined
  #held: AbortController | undefined

  constructor(file: string) {
    this.#file = file
  }

  get held(): boolean {
    return this.#held !== undefined
  }

  /** Aborts when the snapshot is released. */
  get released(): AbortSignal | undefined {
    return this.#held?.signal
  }

  /** Returns false if a lock is in the way. A snapshot only makes things faster, so callers go on without it. */
  take(): boolean {
    try {
      this.#database ??= new BetterSqlite3(this.#file, { readonly: true, fileMustExist: true, timeout: 0 })
      this.#database.exec('BEGIN; SELECT 1 FROM main.sqlite_schema LIMIT 1')
      this.#held = new AbortController()
      return true
    } catch (error) {
      if (!(error instanceof BetterSqlite3.SqliteError)) throw error
      this.#end()
      return false
    }
  }

  release(): void {
    this.#held?.abort()
    this.#held = undefined
    this.#end()
  }

  close(): void {
    this.release()
    this.#database?.close()
    this.#database = undefined
  }

  #end(): void {
    if (this.#database?.inTransaction === true) this.#database.exec('ROLLBACK')
  }
}
