import { SECOND } from '../../../time/clock.ts'
import { durationText } from '../../../time/time-text.ts'
import { DatabaseError } from '../../database-error.ts'
import type { DatabaseListener } from '../../database.ts'
import type { Query, Result, Transaction, Value } from '../../query.ts'
import { EQ } from '../exact.ts'
import { databaseError, stateOf } from '../postgres-errors.ts'
import type { Connected, Target } from './attempt.ts'
import { connectPatiently, reportingOnce, type FailedTry } from './connect.ts'
import type { Driver, DriverResult } from './driver.ts'
import { isSuperseded, mayBeSuperseded } from './superseded.ts'

export interface TransactionStyle {
  /** Statements without values; the last returns the time as `now`. */
  readonly begin: string
  /** How long one statement may take before the connection is considered dead; 0: no limit. */
  readonly answerMs: number
  /** The server ends a statement that takes so long, which the caller can tell from one that was cancelled. */
  readonly statementMs?: number
  /** Whether it may write. */
  readonly writes: boolean
  /** Whether to check, before it ends, if another session is waiting for one of its locks. */
  readonly watched: boolean
}

/** Reads with COPY, in a transaction that begins with `settings`. If `take` rejects, rejects with the same error. */
export type Copy = (settings: string, sql: string, take: (chunk: Buffer) => Promise<void>) => Promise<void>

/** How the last watched transaction went. */
export interface LastHold {
  readonly heldMs: number
  /** Another session waited for one of our locks, or we for one of its. */
  readonly contended: boolean
}

/** Outside a transaction no server-side timeout is set: it would outlive us in a pooled session. */
const OUTSIDE_TRANSACTION = { answerMs: 60 * SECOND, writes: true } as const
/** A shorter transaction is assumed to have kept nobody waiting. */
const WORTH_A_LOOK_MS = 2
const GOODBYE_MS = SECOND

/** One dedicated connection, used by one caller at a time. After a loss it is unusable until `reconnected` resolves. */
export class Connection implements Query {
  readonly #target: Target
  readonly #listener: DatabaseListener
  readonly #reconnectTimeoutMs: number
  #driver: Driver | undefined
  /** Whose driver it is, where another server may take its place. */
  #superseding: Connected | undefined
  #lostAtMs = 0
  /** The latest known reason why there is no connection. */
  #because = ''
  #closed = false
  #last: LastHold = { heldMs: 0, contended: false }
  #turn: Promise<unknown> = Promise.resolve()
  #transactions = 0
  #reconnecting: Promise<void> | undefined

  constructor(target: Target, listener: DatabaseListener, connected: Connected, reconnectTimeoutMs = Infinity) {
    this.#target = target
    this.#listener = listener
    this.#reconnectTimeoutMs = reconnectTimeoutMs
    this.#use(connected)
  }

  get last(): LastHold {
    return this.#last
  }

  /** How many watched transactions have begun. While a purge is paced, only those write. */
  get transactions(): number {
    return this.#transactions
  }

  /** The server process named in the handshake. */
  processId(): number | undefined {
    return this.#driver?.processId()
  }

  query<Row = Record<string, unknown>>(sql: string, values?: readonly Value[]): Promise<Result<Row>> {
    return this.#exclusively(async (driver) => resultOf(await this.#run<Row>(driver, sql, values, OUTSIDE_TRANSACTION)))
  }

  /** Statements without values, outside a transaction and without a time limit. */
  async statement(sql: string): Promise<void> {
    await this.#exclusively((driver) => this.#run(driver, sql, undefined, { ...OUTSIDE_TRANSACTION, answerMs: 0 }))
  }

  transaction<T>(style: TransactionStyle, work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#exclusively(async (driver) => {
      const { clock } = this.#target
      const startedMs = clock.monotonicMs()
      let metLock = false
      let waitedFor = false
      let open = true
      const run = async <Row>(sql: string, values?: readonly Value[]): Promise<readonly DriverResult<Row>[]> => {
        if (!open) throw new Error('a statement was sent after its transaction had ended')
        const sentMs = clock.monotonicMs()
        try {
          return await this.#run<Row>(driver, sql, values, style)
        } catch (error) {
          metLock ||= LOCK_STATES.has(stateOf(error) ?? '')
          throw tookTooLong(error, style, clock.monotonicMs() - sentMs) ?? error
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
        // If a statement has failed, the server answers COMMIT with ROLLBACK and reports no error.
        if (ended.at(-1)?.command === 'ROLLBACK')
          throw new DatabaseError(
            'failed',
            'PostgreSQL rolled the transaction back because a statement in it had failed. Nothing of it was kept. The log of the server names the statement.',
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
      // An error of `take` says nothing about the connection.
      let taken: { readonly error: unknown } | undefined
      const keep = (chunk: Buffer): Promise<void> =>
        take(chunk).catch((error: unknown) => {
          taken = { error }
          throw error
        })
      try {
        await this.#run(driver, `${style.begin}; ${settings}`, undefined, style)
        await this.#watched(driver, () => driver.copy(sql, style.answerMs, keep))
        await this.#run(driver, 'COMMIT', undefined, style)
      } catch (thrown) {
        const error = taken === undefined ? databaseError(thrown) : thrown
        if (error instanceof DatabaseError && error.kind === 'lost') throw this.#lose(driver, thrown)
        await this.#rollBack(driver)
        throw error
      }
    })
  }

  /**
   * Rejects with `unreachable` when the signal aborts or the time is up. The time is counted from the loss; after it, each call still makes one attempt.
   * Runs that lose the connection at the same time wait for the same attempts, which the first one's signal ends.
   */
  async reconnected(signal: AbortSignal): Promise<void> {
    if (this.#driver !== undefined) return
    this.#reconnecting ??= this.#reconnect(signal).finally(() => (this.#reconnecting = undefined))
    await this.#reconnecting
  }

  async #reconnect(signal: AbortSignal): Promise<void> {
    const { clock } = this.#target
    const timeoutMs = this.#reconnectTimeoutMs - (clock.monotonicMs() - this.#lostAtMs)
    const report = reportingOnce((place, reason) => this.#listener.awaiting(place, reason))
    const failed = (failure: FailedTry): void => {
      this.#because = failure.sentence
      // A loss already means that no server answers.
      if (failure.server !== 'silent') report(failure)
    }
    const connected = await connectPatiently(this.#target, { timeoutMs, signal, giveUpOnRefusal: false, begun: true, failed })
    // The program may be ending.
    if (this.#closed) return connected.driver.destroy()
    this.#use(connected)
    this.#listener.regained(clock.monotonicMs() - this.#lostAtMs)
  }

  /** Cuts short what is running. Never hangs, whatever state the connection is in. */
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

  #use(connected: Connected): void {
    const { driver } = connected
    this.#driver = driver
    this.#superseding = mayBeSuperseded(this.#target, connected) ? connected : undefined
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

  /** Gives the connection up if it waits for a server that is not the primary any more. */
  async #watched<T>(driver: Driver, work: () => Promise<T>): Promise<T> {
    const connected = this.#superseding
    if (connected?.driver !== driver) return work()
    const over = new AbortController()
    void this.#loseSuperseded(connected, over.signal)
    try {
      return await work()
    } finally {
      over.abort()
    }
  }

  async #loseSuperseded(connected: Connected, signal: AbortSignal): Promise<void> {
    if (await isSuperseded(this.#target, connected, signal)) this.#lose(connected.driver, new DatabaseError('lost', SUPERSEDED))
  }

  async #run<Row>(
    driver: Driver,
    sql: string,
    values: readonly Value[] | undefined,
    { answerMs, writes }: Pick<TransactionStyle, 'answerMs' | 'writes'>,
  ): Promise<readonly DriverResult<Row>[]> {
    try {
      return await this.#watched(driver, () => driver.run<Row>(sql, values, answerMs))
    } catch (thrown) {
      const error = databaseError(thrown)
      if (error.kind === 'lost') throw this.#lose(driver, thrown)
      // The primary became a standby, or the pooler now leads to another server: reconnecting looks for one that takes writes.
      if (error.kind === 'read-only' && writes && this.#target.writes)
        throw this.#lose(driver, new DatabaseError('lost', `The server no longer takes writes: ${error.message}`, { cause: error }))
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

const SUPERSEDED = 'The server does not answer any more, and another one takes the writes.'

const QUERY_CANCELED = '57014'
/** The server's timers are exact to a millisecond or so. */
const TIMER_MS = 50

/** The server says the same of a statement that somebody cancelled, except in words, which depend on its language. */
function tookTooLong(error: unknown, { statementMs = Infinity }: TransactionStyle, tookMs: number): DatabaseError | undefined {
  if (stateOf(error) !== QUERY_CANCELED || tookMs < statementMs - TIMER_MS) return undefined
  const text = `PostgreSQL ended a statement because it took longer than ${durationText(statementMs)}.`
  return new DatabaseError('slow', text, { cause: error })
}

const LOCK_STATES: ReadonlySet<string> = new Set(['55P03', '40P01'])
const ROLLBACK_MS = 5 * SECOND

function resultOf<Row>(results: readonly DriverResult<Row>[]): Result<Row> {
  const last = results.at(-1)
  return { rows: last?.rows ?? [], changed: last?.rowCount ?? 0 }
}

/**
 * Whether another session waits for one of our locks: run inside the transaction, because its end releases them. Only sessions that wait for some
 * lock are checked in detail. Sessions of other roles are visible only to members of pg_read_all_stats.
 */
const CONTENTION = `SELECT EXISTS (
  SELECT FROM pg_catalog.pg_stat_activity AS other
  WHERE other.wait_event_type ${EQ} 'Lock' AND pg_catalog.pg_backend_pid() ${EQ} ANY (pg_catalog.pg_blocking_pids(other.pid))
) AS waited_for`

interface Contention {
  readonly waited_for: boolean
}
