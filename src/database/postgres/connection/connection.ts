import { SECOND } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import type { DatabaseListener } from '../../database.ts'
import type { Query, Result, Transaction, Value } from '../../query.ts'
import { EQ } from '../exact.ts'
import { databaseError, stateOf } from '../postgres-errors.ts'
import { connectPatiently, tellingOnce, type FailedTry, type Target } from './connect.ts'
import type { Driver, DriverResult } from './driver.ts'

export interface TransactionStyle {
  /** Statements without values; the last returns the time as `now`. */
  readonly begin: string
  /** How long one statement may take before the link is held for dead; 0: as long as it likes. */
  readonly answerMs: number
  /** Whether it is for writing. */
  readonly writes: boolean
  /** Whether to look, before the end, if somebody waits for us. */
  readonly watched: boolean
}

/** Reads with COPY, in a transaction that begins with `settings`. Rejects with what `take` rejects with. */
export type Copy = (settings: string, sql: string, take: (chunk: Buffer) => Promise<void>) => Promise<void>

/** What the last watched transaction met. */
export interface LastHold {
  readonly heldMs: number
  /** Somebody waited for a lock of ours, or we for one of theirs. */
  readonly contended: boolean
}

/** Outside a transaction no server-side timeout is set: it would stay behind in a pooled session. */
const STANDING = { answerMs: 60 * SECOND, writes: true } as const
/** A transaction shorter than this made nobody wait. */
const WORTH_A_LOOK_MS = 2
const GOODBYE_MS = SECOND

/** One dedicated connection, used by one at a time; after a loss it is dead until `reconnected`. */
export class Connection implements Query {
  readonly #target: Target
  readonly #listener: DatabaseListener
  readonly #reconnectTimeoutMs: number
  #driver: Driver | undefined
  #lostAtMs = 0
  /** Why there is no connection, as far as it is known by now. */
  #because = ''
  #closed = false
  #last: LastHold = { heldMs: 0, contended: false }
  #turn: Promise<unknown> = Promise.resolve()
  #transactions = 0

  constructor(target: Target, listener: DatabaseListener, driver: Driver, reconnectTimeoutMs = Infinity) {
    this.#target = target
    this.#listener = listener
    this.#reconnectTimeoutMs = reconnectTimeoutMs
    this.#use(driver)
  }

  get last(): LastHold {
    return this.#last
  }

  /** How many watched transactions have begun: the others write nothing while a purge is paced. */
  get transactions(): number {
    return this.#transactions
  }

  /** The server process that the handshake named. */
  processId(): number | undefined {
    return this.#driver?.processId()
  }

  query<Row = Record<string, unknown>>(sql: string, values?: readonly Value[]): Promise<Result<Row>> {
    return this.#exclusively(async (driver) => resultOf(await this.#run<Row>(driver, sql, values, STANDING)))
  }

  /** Statements without values, outside a transaction of ours, for as long as they take. */
  async statement(sql: string): Promise<void> {
    await this.#exclusively((driver) => this.#run(driver, sql, undefined, { ...STANDING, answerMs: 0 }))
  }

  transaction<T>(style: TransactionStyle, work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#exclusively(async (driver) => {
      const { clock } = this.#target
      const startedMs = clock.monotonicMs()
      let metLock = false
      let waitedFor = false
      let open = true
      const run = async <Row>(sql: string, values?: readonly Value[]): Promise<readonly DriverResult<Row>[]> => {
        if (!open) throw new Error('a statement came after the end of its transaction')
        try {
          return await this.#run<Row>(driver, sql, values, style)
        } catch (error) {
          metLock ||= LOCK_STATES.has(stateOf(error) ?? '')
          throw error
        }
      }
      if (style.watched) this.#transactions += 1
      try {
        const began = await run<{ now: number }>(style.begin)
        const now = began.at(-1)?.rows[0]?.now ?? NaN
        const value = await work({
          now,
          query: async <Row>(sql: string, values?: readonly Value[]) => resultOf(await run<Row>(sql, values)),
        })
        const look = style.watched && clock.monotonicMs() - startedMs > WORTH_A_LOOK_MS
        const ended = await run<Contention>(look ? `${CONTENTION}; COMMIT` : 'COMMIT')
        waitedFor = look && ended[0]?.rows[0]?.waited_for === true
        // The server answers COMMIT with ROLLBACK, and no error, where a statement has failed before.
        if (ended.at(-1)?.command === 'ROLLBACK')
          throw new DatabaseError(
            'failed',
            'PostgreSQL has rolled the transaction back, because a statement in it had failed: nothing of it was kept. Its log says which.',
          )
        return value
      } catch (error) {
        await this.#rollBack(driver)
        throw error
      } finally {
        open = false
        if (style.watched) this.#last = { heldMs: clock.monotonicMs() - startedMs, contended: metLock || waitedFor }
      }
    })
  }

  copy(style: TransactionStyle, ...[settings, sql, take]: Parameters<Copy>): Promise<void> {
    return this.#exclusively(async (driver) => {
      // What the taker rejects with is not the connection's.
      let taken: { readonly error: unknown } | undefined
      const keep = (chunk: Buffer): Promise<void> =>
        take(chunk).catch((error: unknown) => {
          taken = { error }
          throw error
        })
      try {
        await this.#run(driver, `${style.begin}; ${settings}`, undefined, style)
        await driver.copy(sql, style.answerMs, keep)
        await this.#run(driver, 'COMMIT', undefined, style)
      } catch (thrown) {
        const error = taken === undefined ? databaseError(thrown) : thrown
        if (error instanceof DatabaseError && error.kind === 'lost') throw this.#lose(driver, thrown)
        await this.#rollBack(driver)
        throw error
      }
    })
  }

  /** Rejects with `unreachable` when the signal aborts or the time is over, which is counted from the loss: whoever asks after that has one try. */
  async reconnected(signal: AbortSignal): Promise<void> {
    if (this.#driver !== undefined) return
    const { clock } = this.#target
    const timeoutMs = this.#reconnectTimeoutMs - (clock.monotonicMs() - this.#lostAtMs)
    const tell = tellingOnce((place, reason) => this.#listener.awaiting(place, reason))
    const failed = (failure: FailedTry): void => {
      this.#because = failure.sentence
      // That none answers is what a loss means.
      if (failure.server === 'unsuitable') tell(failure)
    }
    const driver = await connectPatiently(this.#target, { timeoutMs, signal, giveUpOnRefusal: false, begun: true, failed })
    // Another job may have been quicker, or the program is ending.
    if (this.#driver !== undefined || this.#closed) return driver.destroy()
    this.#use(driver)
    this.#listener.regained(clock.monotonicMs() - this.#lostAtMs)
  }

  /** Cuts short what is running. Never hangs, whatever became of the link. */
  async close(): Promise<void> {
    this.#closed = true
    const driver = this.#driver
    this.#driver = undefined
    if (driver === undefined) return
    const said = new AbortController()
    const goodbye = driver
      .end()
      .catch(() => undefined)
      .finally(() => said.abort())
    await Promise.race([goodbye, this.#target.clock.sleep(GOODBYE_MS, said.signal)])
    driver.destroy()
  }

  #use(driver: Driver): void {
    this.#driver = driver
    driver.onError((error) => this.#lose(driver, error))
  }

  #lose(driver: Driver, thrown: unknown): DatabaseError {
    const said = databaseError(thrown)
    const error = said.kind === 'lost' ? said : new DatabaseError('lost', said.message, { cause: thrown })
    driver.destroy()
    if (this.#driver === driver) {
      this.#driver = undefined
      this.#lostAtMs = this.#target.clock.monotonicMs()
      this.#because = error.message
      this.#listener.lost(error)
    }
    return error
  }

  async #run<Row>(
    driver: Driver,
    sql: string,
    values: readonly Value[] | undefined,
    { answerMs, writes }: Pick<TransactionStyle, 'answerMs' | 'writes'>,
  ): Promise<readonly DriverResult<Row>[]> {
    try {
      return await driver.run<Row>(sql, values, answerMs)
    } catch (thrown) {
      const error = databaseError(thrown)
      if (error.kind === 'lost') throw this.#lose(driver, thrown)
      // A primary that became a standby, or a pooler that leads to another server by now: connecting again asks for one that takes writes.
      if (error.kind === 'read-only' && writes && this.#target.writes)
        throw this.#lose(driver, new DatabaseError('lost', `The server takes no writes any more: ${error.message}`, { cause: thrown }))
      throw error
    }
  }

  /** A failed rollback never hides the error before it; a connection that cannot even roll back is given up. */
  async #rollBack(driver: Driver): Promise<void> {
    if (this.#driver !== driver) return
    try {
      await driver.run('ROLLBACK', undefined, ROLLBACK_MS)
    } catch (error) {
      this.#lose(driver, error)
    }
  }

  async #exclusively<T>(work: (driver: Driver) => Promise<T>): Promise<T> {
    const before = this.#turn
    const turn = Promise.withResolvers<void>()
    this.#turn = turn.promise
    await before
    try {
      const driver = this.#driver
      if (driver === undefined) {
        throw new DatabaseError(
          'lost',
          this.#closed ? 'The connection to PostgreSQL is closed.' : `The connection to PostgreSQL is lost: ${this.#because}`,
        )
      }
      return await work(driver)
    } finally {
      turn.resolve()
    }
  }
}

const LOCK_STATES: ReadonlySet<string> = new Set(['55P03', '40P01'])
const ROLLBACK_MS = 5 * SECOND

function resultOf<Row>(results: readonly DriverResult<Row>[]): Result<Row> {
  const last = results.at(-1)
  return { rows: last?.rows ?? [], changed: last?.rowCount ?? 0 }
}

/**
 * Whether another session waits for a lock of ours: asked within the transaction, since afterwards nobody does. Only sessions that wait for some
 * lock are looked at closely; sessions of other roles are seen only by members of pg_read_all_stats.
 */
const CONTENTION = `SELECT EXISTS (
  SELECT FROM pg_catalog.pg_stat_activity AS other
  WHERE other.wait_event_type ${EQ} 'Lock' AND pg_catalog.pg_backend_pid() ${EQ} ANY (pg_catalog.pg_blocking_pids(other.pid))
) AS waited_for`

interface Contention {
  readonly waited_for: boolean
}
