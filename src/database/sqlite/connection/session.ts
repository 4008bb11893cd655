import { setImmediate as turn } from 'node:timers/promises'
import { SECOND, type EpochMs } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Result, Session, Transaction, Value } from '../../query.ts'
import { named } from '../names.ts'
import { raiseNumbers } from '../numbers.ts'
import type { Connection, Patience } from './connection.ts'
import type { WriteAheadLog } from './write-ahead-log.ts'

/** How long a short transaction waits for another connection's lock. After that a batch is retried with fewer rows. */
const SHORT: Patience = { limitMs: 5 * SECOND }
/** Longer, because a read blocks nobody, and without a WAL many writers that start together can keep a reader out for seconds. */
const READING: Patience = { limitMs: 30 * SECOND }

/** Gives the one connection to one task at a time, first come, first served. Not re-entrant: a call from inside the work of another deadlocks. */
export class SqliteSession implements Session {
  readonly connection: Connection
  readonly #log: WriteAheadLog
  #last: Promise<unknown> = Promise.resolve()
  #heldMs = 0
  #tx: Transaction | undefined

  constructor(connection: Connection, log: WriteAheadLog) {
    this.connection = connection
    this.#log = log
  }

  /** How long the last transaction held the write lock, until the end of COMMIT. */
  get heldMs(): number {
    return this.#heldMs
  }

  now(): Promise<EpochMs> {
    return Promise.resolve(this.connection.clock.now())
  }

  query<Row>(sql: string, values: readonly Value[] = []): Promise<Result<Row>> {
    return this.read((connection) => connection.run<Row>(sql, values))
  }

  /** Runs reads that belong together, without other work of this process in between. Repeats them if a lock is in the way. */
  read<T>(work: (connection: Connection) => T): Promise<T> {
    return this.#inTurn(() => this.connection.patiently(() => work(this.connection), READING))
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.patientTransaction(SHORT, work)
  }

  patientTransaction<T>(patience: Patience, work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#inTurn(() => this.#bracket(patience, work))
  }

  /** For work on the connection itself inside a transaction: throws unless `tx` is the open one. */
  mustOwn(tx: Transaction): void {
    if (tx !== this.#tx) throw new Error('not the open transaction of this session')
    mustBeOpen(this.connection)
  }

  /** A file has no connection to lose. */
  reconnected(): Promise<void> {
    return Promise.resolve()
  }

  raiseNumbers(tx: Transaction, table: string, above: number): Promise<void> {
    this.mustOwn(tx)
    raiseNumbers(this.connection, table, above)
    return Promise.resolve()
  }

  named(table: string): string {
    return named(table)
  }

  /** Files are in UTF-8 or UTF-16. */
  storable(text: string): Promise<string> {
    return Promise.resolve(text)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  /** Choosing, deleting, committing and checkpointing are blocking calls. Between them the event loop gets a turn, so that health checks are answered. */
  async #bracket<T>(patience: Patience, work: (tx: Transaction) => Promise<T>): Promise<T> {
    const { connection } = this
    const { clock } = connection
    await turn()
    // With a deferred BEGIN, the upgrade from a read to a write can fail at once, without waiting for the lock.
    await connection.patiently(() => {
      this.#log.beginning()
      connection.run('BEGIN IMMEDIATE')
    }, patience)
    const begun = clock.monotonicMs()
    let open = true
    const tx: Transaction = (this.#tx = {
      now: clock.now(),
      query: <Row>(sql: string, values: readonly Value[] = []) =>
        new Promise<Result<Row>>((resolve) => {
          if (!open) throw new Error('a query was sent after its transaction had ended')
          mustBeOpen(connection)
          resolve(connection.run<Row>(sql, values))
        }),
    })
    try {
      const result = await work(tx)
      await turn()
      mustBeOpen(connection)
      // Without a WAL a reader can delay COMMIT. The transaction stays open, and COMMIT can be repeated safely.
      await connection.patiently(() => {
        connection.run('COMMIT')
        this.#heldMs = clock.monotonicMs() - begun
        this.#log.committed()
      }, patience)
      return result
    } catch (error) {
      rollBack(connection)
      this.#heldMs = clock.monotonicMs() - begun
      throw error
    } finally {
      open = false
      this.#tx = undefined
      await turn()
    }
  }
}

/** Some errors, such as a full disk or RAISE(ROLLBACK), end the transaction inside SQLite. Later statements would then be committed one by one. */
function mustBeOpen({ inTransaction, file }: Connection): void {
  if (!inTransaction)
    throw new DatabaseError(
      'failed',
      `${file}: SQLite rolled the transaction back. Nothing of it was kept. Check for a full disk or a failing drive, then run again.`,
    )
}

/** Ignores its own failure: the error that led here is the one to report. */
function rollBack(connection: Connection): void {
  try {
    if (connection.inTransaction) connection.run('ROLLBACK')
  } catch {
    // Closing the connection rolls back what is left.
  }
}
