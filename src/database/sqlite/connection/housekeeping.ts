import type { Pressure } from '../../purging.ts'
import { dataVersion } from './data-version.ts'
import { checkpointBytes, LISTEN_MS } from './pacing.ts'
import type { SqliteSession } from './session.ts'
import { BESIDE_MS, type WriteAheadLog } from './write-ahead-log.ts'

/** A log that cannot be moved grows with every batch, and slows every reader. */
const MOST_WAL_BYTES = 32 * 2 ** 20
/** Somebody else's checkpoint ends within tens of milliseconds. */
const MOST_TRIES = 25
const RETRY_MS = 3
/** So many free pages are given back in a few milliseconds of the write lock. */
const VACUUM_STEP_PAGES = 200
/** More than a large batch frees; what is left is given back after the next. */
const MOST_VACUUM_STEPS = 16
/** Longer than the steps in which a writer asks for the lock again. */
const PAUSE_MS = 12

/** What is seen of others, and what is to be done after deleting. */
export class Housekeeping {
  readonly #session: SqliteSession
  readonly #log: WriteAheadLog
  readonly #aloneBytes: number
  /** In SQLite's full or incremental mode the file can give pages back. */
  readonly #givesBack: boolean
  #version: number
  #aloneFromMs: number

  constructor(session: SqliteSession, log: WriteAheadLog, longestBlockMs: number | undefined) {
    const { connection } = session
    this.#session = session
    this.#log = log
    this.#aloneBytes = checkpointBytes(longestBlockMs)
    this.#givesBack = connection.figure('PRAGMA auto_vacuum') === INCREMENTAL
    this.#version = dataVersion(connection)
    this.#aloneFromMs = connection.clock.monotonicMs() + LISTEN_MS
  }

  /** SQLite tells nobody who waits: what shows of others is that they committed, and that they were in the way. */
  pressure(): Promise<Pressure> {
    return this.#session.read((connection) => {
      const version = dataVersion(connection)
      const others = version !== this.#version
      this.#version = version
      if (others) {
        this.#aloneFromMs = connection.clock.monotonicMs() + BESIDE_MS
        this.#log.seenOthers()
      }
      return {
        heldMs: this.#session.heldMs,
        others,
        contended: connection.takeContention(),
        backpressure: this.#backpressure(connection.file),
      }
    })
  }

  /**
   * Moves the log into the main file and gives free pages back, as far as that disturbs nobody. Never VACUUM: it would lock everybody out.
   * After the last batch nothing is left in the log, or the gateway's next commit would have to move it.
   */
  async afterBatch(last: boolean): Promise<void> {
    const { connection } = this.#session
    if (last) await this.#session.read(() => this.#log.finished())
    else await this.#moveLog()
    if (!this.#givesBack) return
    for (let step = 0; step < MOST_VACUUM_STEPS; step++) {
      const left = await this.#session.read(() => {
        connection.execute(`PRAGMA incremental_vacuum(${VACUUM_STEP_PAGES})`)
        return connection.figure('PRAGMA freelist_count')
      })
      if (left === 0) return
      await connection.clock.sleep(this.#alone ? 0 : PAUSE_MS)
    }
  }

  async #moveLog(): Promise<void> {
    const done = (): Promise<boolean> => this.#session.read(() => this.#log.between(this.#alone ? this.#aloneBytes : 1))
    for (let tries = 1; !(await done()) && tries < MOST_TRIES; tries++) await this.#session.connection.clock.sleep(RETRY_MS)
  }

  get #alone(): boolean {
    return this.#session.connection.clock.monotonicMs() >= this.#aloneFromMs
  }

  #backpressure(file: string): string | undefined {
    if (this.#log.stuckBytes <= MOST_WAL_BYTES) return undefined
    const megabytes = Math.round(this.#log.stuckBytes / 2 ** 20)
    return `${megabytes} MB of ${file}-wal wait to be moved into the main file: somebody reads for a long time, or replication lags`
  }
}

const INCREMENTAL = 2
