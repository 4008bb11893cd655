import { setImmediate as turn } from 'node:timers/promises'
import { SECOND, type EpochMs } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Result, Session, Transaction, Value } from '../../query.ts'
import { named } from '../names.ts'
import type { Connection, Patience } from './connection.ts'
import type { WriteAheadLog } from './write-ahead-log.ts'

/** How long a short transaction waits for somebody else's lock: a batch is then tried again, smaller. */
const SHORT: Patience = { limitMs: 5 * SECOND }
/** Reading holds nobody up; many who start together and write without a log can keep a reader out for seconds. */
const READING: Patience = { limitMs: 30 * SECOND }

/** Gives the one connection to one task at a time, in the order in which they asked. Who asks again while it is theirs waits for ever. */
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

  /** From getting the write lock to the end of COMMIT of the last transaction. */
  get heldMs(): number {
    return this.#heldMs
  }

  now(): Promise<EpochMs> {
    return Promise.resolve(this.connection.clock.now())
  }

  query<Row>(sql: string, values: readonly Value[] = []): Promise<Result<Row>> {
    return this.read((connection) => connection.run<Row>(sql, values))
  }

  /** Reads that belong together, with nothing of this process between them. They are done again when a lock is in the way. */
  read<T>(work: (connection: Connection) => T): Promise<T> {
    return this.#inTurn(() => this.connection.patiently(() => work(this.connection), READING))
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.patientTransaction(SHORT, work)
  }

  patientTransaction<T>(patience: Patience, work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#inTurn(() => this.#bracket(patience, work))
  }

  /** For what works on the connection itself within a transaction: fails unless that is the open one. */
  mustOwn(tx: Transaction): void {
    if (tx !== this.#tx) throw new Error('not the open transaction of this session')
    mustBeOpen(this.connection)
  }

  /** A file has no connection to lose. */
  reconnected(): Promise<void> {
    return Promise.resolve()
  }

  named(table: string): string {
    return named(table)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  /** Choosing, deleting, committing and moving the log are blocking calls: between them the event loop gets its turn, for whoever asks for health. */
  async #bracket<T>(patience: Patience, work: (tx: Transaction) => Promise<T>): Promise<T> {
    const { connection } = this
    const { clock } = connection
    await turn()
    // A deferred BEGIN would fail at once, without waiting, when a read of ours were to become a write.
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
          if (!open) throw new Error('a query was made on a transaction that is over')
          mustBeOpen(connection)
          resolve(connection.run<Row>(sql, values))
        }),
    })
    try {
      const result = await work(tx)
      await turn()
      mustBeOpen(connection)
      // Without a WAL, a reader can hold COMMIT off; the transaction stays open meanwhile and loses nothing by asking again.
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

/** Some errors, a full disk or RAISE(ROLLBACK), end the transaction in SQLite: what followed would be committed by itself. */
function mustBeOpen({ inTransaction, file }: Connection): void {
  if (!inTransaction)
    throw new DatabaseError(
      'failed',
      `${file}: SQLite has rolled the transaction back; nothing of it was kept. Look for a full disk or a failing drive, then run again`,
    )
}

/** Whatever it says, the first error is the one to tell. */
function rollBack(connection: Connection): void {
  try {
    if (connection.inTransaction) connection.run('ROLLBACK')
  } catch {
    // Closing the connection rolls back what is left.
  }
}
