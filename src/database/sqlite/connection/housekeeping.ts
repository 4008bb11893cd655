import type { Pressure } from '../../purging.ts'
import { givesBack, pageCounts, reservePages } from '../space.ts'
import { dataVersion } from './data-version.ts'
import { checkpointBytes, LISTEN_MS } from './pacing.ts'
import type { SqliteSession } from './session.ts'
import { BESIDE_MS, type WriteAheadLog } from './write-ahead-log.ts'

/** Backpressure begins here: a write-ahead log that cannot be checkpointed grows with every batch and slows every reader. */
const MOST_WAL_BYTES = 32 * 2 ** 20
/** Another connection's checkpoint takes tens of milliseconds. */
const MOST_TRIES = 25
const RETRY_MS = 3
/** Freeing this many pages holds the write lock for a few milliseconds. */
const VACUUM_STEP_PAGES = 200
/** More than a large batch frees; the rest is freed after the next batch, and after the last one for some seconds. */
const MOST_VACUUM_STEPS = { between: 16, last: 256 }
/** Longer than a waiting writer's retry interval, so that it gets the lock. */
const PAUSE_MS = 12

/** Measures pressure, and does the housekeeping after batches. */
export class Housekeeping {
  readonly #session: SqliteSession
  readonly #log: WriteAheadLog
  readonly #aloneBytes: number
  /** In the incremental mode of auto_vacuum, free pages can be returned to the file system. */
  readonly #givesBack: boolean
  #version: number
  #aloneFromMs: number

  constructor(session: SqliteSession, log: WriteAheadLog, longestBlockMs: number | undefined) {
    const { connection } = session
    this.#session = session
    this.#log = log
    this.#aloneBytes = checkpointBytes(longestBlockMs)
    this.#givesBack = givesBack(connection)
    this.#version = dataVersion(connection)
    this.#aloneFromMs = connection.clock.monotonicMs() + LISTEN_MS
  }

  /** SQLite does not show who waits for a lock. It only shows that others have committed, or that their lock was in our way. */
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
        others,
        contended: connection.takeContention(),
        backpressure: this.#backpressure(connection.file),
      }
    })
  }

  /**
   * Checkpoints the log and gives free pages back, down to a reserve, as far as that disturbs nobody. Never runs VACUUM, which locks out everybody else. After the last batch the
   * log is emptied, because otherwise the gateway's next commit would have to checkpoint it.
   */
  async afterBatch(last: boolean): Promise<void> {
    if (last) await this.#session.read(() => this.#log.finished())
    else await this.#moveLog()
    if (this.#givesBack) await this.#giveBack(last ? MOST_VACUUM_STEPS.last : MOST_VACUUM_STEPS.between)
  }

  async #giveBack(steps: number): Promise<void> {
    const { connection } = this.#session
    for (let step = 0; step < steps; step++) {
      const given = await this.#session.read(() => {
        const { pages, free } = pageCounts(connection)
        const more = Math.min(VACUUM_STEP_PAGES, free - reservePages(pages, free))
        if (more > 0) connection.execute(`PRAGMA main.incremental_vacuum(${more})`)
        return more > 0
      })
      if (!given) return
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
    return `${megabytes} MB of ${file}-wal cannot be checkpointed: a reader keeps a transaction open, or replication lags`
  }
}
