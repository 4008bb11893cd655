import type BetterSqlite3 from 'better-sqlite3'
import type { Clock } from '../../../time/clock.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Result, Value } from '../../query.ts'
import { databaseError } from '../sqlite-errors.ts'
import type { StoredValue } from '../stored-value.ts'
import type { StoredTime } from '../times.ts'

/** How long SQLite itself waits for a lock. That blocks the event loop, so longer waits are done by `patiently`. */
export const BUSY_TIMEOUT_MS = 20
const RETRY_MS = 5
const MOST_STATEMENTS = 100

export interface Patience {
  readonly limitMs: number
  readonly signal?: AbortSignal
  /** Called each time the lock was not available. */
  readonly waiting?: (waitedMs: number) => void
}

export interface Operation {
  readonly opcode: string
  readonly p4: string | null
}

/** `[the stored time, its row number]`, exact: an integer beyond the safe range is a bigint. Behind them, where rows are spared, what says by which (`Sparing`). */
export type TimeRow = readonly [value: StoredTime, rowid: number | bigint, ...masks: readonly (number | bigint)[]]

/**
 * One open file: caches prepared statements, converts errors, and waits for locks without blocking the event loop. SQLite runs each call to its end;
 * `SqliteSession` makes sure that calls of two tasks do not interleave within a transaction.
 */
export class Connection {
  /** With symbolic links resolved. */
  readonly file: string
  /** The path as it was given. */
  readonly alias: string
  readonly clock: Clock
  readonly #database: BetterSqlite3.Database
  readonly #statements = new Map<string, BetterSqlite3.Statement>()
  #metLock = false
  #directChanges = 0

  constructor(database: BetterSqlite3.Database, file: string, clock: Clock, alias = file) {
    this.alias = alias
    this.#database = database
    this.file = file
    this.clock = clock
  }

  /** Whether another connection's lock was in the way since the last call. */
  takeContention(): boolean {
    const met = this.#metLock
    this.#metLock = false
    return met
  }

  get inTransaction(): boolean {
    return this.#database.inTransaction
  }

  run<Row>(sql: string, values: readonly Value[] = []): Result<Row> {
    return this.#guarded(() => {
      const statement = this.#prepared(sql)
      if (statement === undefined) return this.#script(sql)
      if (!statement.reader) return { rows: [], changed: this.#changed(statement.run(...bound(values)).changes) }
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only the caller knows the shape of a row
      const rows = statement.all(...bound(values)) as Row[]
      return { rows, changed: statement.readonly ? 0 : this.#changed(rows.length) }
    })
  }

  /** The number in the only row and column of the result; 0 if there is none. */
  figure(sql: string, values: readonly Value[] = []): number {
    const row = this.run<Record<string, number | null>>(sql, values).rows[0]
    return (row === undefined ? undefined : Object.values(row)[0]) ?? 0
  }

  /**
   * How many rows triggers, foreign keys and scripts have changed, added or removed on this connection. Only useful for comparison: changes that were
   * rolled back count too.
   */
  indirectChanges(): number {
    return this.figure('SELECT total_changes()') - this.#directChanges
  }

  /** The rows of a query for a time and its rowid. Reads numbers, which are several times faster than bigints and nearly always enough. */
  timeRows(sql: string, values: readonly (Value | Uint8Array)[]): TimeRow[] {
    return this.#guarded(() => {
      const read = (key: string, exact: boolean): TimeRow[] => {
        const statement = this.#kept(key, () => this.#database.prepare(sql).raw(true).safeIntegers(exact))
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
        return statement.all(...bound(values)) as TimeRow[]
      }
      const rows = read(`times ${sql}`, false)
      return rows.some(([value, rowid]) => isRounded(value) || isRounded(rowid)) ? read(`exact times ${sql}`, true) : rows
    })
  }

  /**
   * Calls `each` with row after row until it returns false. The last column is the row number; `values` are the others, as stored. No other statement may
   * run until this returns.
   */
  rows(sql: string, values: readonly Value[], each: (rowid: bigint, values: StoredValue[]) => boolean): void {
    const statement = this.#guarded(() => this.#kept(`rows ${sql}`, () => this.#database.prepare(sql).raw(true).safeIntegers(true)))
    this.#guarded(() => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
      for (const row of statement.iterate(...bound(values)) as Iterable<StoredValue[]>) {
        const rowid = row.pop()
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
        if (!each(rowid as bigint, row)) return
      }
    })
  }

  /** Binds each value by its own type: a bigint as INTEGER, a number as REAL. Returns how many rows were found or changed. */
  exactly(sql: string, values: readonly (bigint | number | string | Uint8Array | null)[]): number {
    return this.#guarded(() => {
      const statement = this.#kept(sql, () => this.#database.prepare(sql))
      const named = Object.fromEntries(values.map((value, index) => [index + 1, value]))
      return statement.reader ? statement.all(named).length : this.#changed(statement.run(named).changes)
    })
  }

  /**
   * What a statement is compiled to. Compiled each time: unlike others, such a statement does not notice that the schema has changed since, and reads
   * memory that is no longer its own.
   */
  compiled(sql: string): readonly Operation[] {
    return this.#guarded(() => {
      // Only a statement that is carried out makes SQLite read a changed schema.
      this.figure('SELECT count(*) FROM main.sqlite_schema')
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- SQLite's own columns
      return this.#database.prepare(`EXPLAIN ${sql}`).all() as Operation[]
    })
  }

  /** For several statements at once, and for pragmas that must be stepped to their end. */
  execute(sql: string): void {
    this.#guarded(() => this.#database.exec(sql))
  }

  /** Repeats `attempt`, which must be safe to repeat, while another connection's lock is in its way. */
  async patiently<T>(attempt: () => T, { limitMs, signal, waiting }: Patience): Promise<T> {
    const began = this.clock.monotonicMs()
    for (;;) {
      try {
        return attempt()
      } catch (error) {
        if (!(error instanceof DatabaseError) || error.kind !== 'busy') throw error
        const waitedMs = this.clock.monotonicMs() - began
        if (waitedMs >= limitMs || signal?.aborted === true) throw givenUp(this.file, waitedMs, error)
        waiting?.(waitedMs)
      }
      await this.clock.sleep(RETRY_MS, signal)
    }
  }

  close(): void {
    this.#statements.clear()
    this.#database.close()
  }

  #changed(rows: number): number {
    this.#directChanges += rows
    return rows
  }

  #guarded<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw this.#converted(error)
    }
  }

  #converted(error: unknown): unknown {
    const converted = databaseError(error, this.file)
    if (converted instanceof DatabaseError && converted.kind === 'busy') this.#metLock = true
    return converted
  }

  /** `undefined`: the text is not exactly one statement. */
  #prepared(sql: string): BetterSqlite3.Statement | undefined {
    try {
      return this.#kept(sql, () => this.#database.prepare(sql))
    } catch (error) {
      if (error instanceof RangeError) return undefined
      throw error
    }
  }

  /** Evicts the least recently used. */
  #kept(key: string, prepare: () => BetterSqlite3.Statement): BetterSqlite3.Statement {
    const statement = this.#statements.get(key) ?? prepare()
    this.#statements.delete(key)
    this.#statements.set(key, statement)
    if (this.#statements.size > MOST_STATEMENTS) this.#statements.delete(this.#statements.keys().next().value!)
    return statement
  }

  #script(sql: string): Result<never> {
    this.#database.exec(sql)
    this.#statements.clear()
    return { rows: [], changed: 0 }
  }
}

/** `$1` is the parameter named `1`. Integers are bound as bigint: the driver binds every number as REAL, which a TEXT column would store as `5.0`. */
function bound(values: readonly (Value | Uint8Array)[]): [] | [Record<string, Value | Uint8Array>] {
  if (values.length === 0) return []
  const named: Record<string, Value | Uint8Array> = {}
  for (const [index, value] of values.entries()) {
    named[index + 1] = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value
  }
  return [named]
}

function isRounded(value: StoredTime): boolean {
  return typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)
}

function givenUp(file: string, waitedMs: number, cause: DatabaseError): DatabaseError {
  return new DatabaseError(
    'busy',
    `${file}: another process has held the lock for ${durationText(waitedMs)}. Nothing was changed. If this persists, find the process that keeps a transaction open.`,
    { cause },
  )
}
