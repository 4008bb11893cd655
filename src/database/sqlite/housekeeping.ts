import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SECOND } from '../../time.ts'
import type { Pressure } from '../database.ts'
import type { Connection } from './connection.ts'
import { dataVersion } from './data-version.ts'
import { LISTEN_MS } from './pacing.ts'
import type { SqliteSession } from './session.ts'
import { checkpoint, type WalBacklog } from './wal.ts'

/** While nobody else writes: the more waits, the more often a page is written again before it is moved, once. */
const CHECKPOINT_ALONE_BYTES = 48 * 2 ** 20
/** After somebody's commit, for so long somebody writes. */
const BESIDE_MS = 2 * SECOND
/** A log that cannot be moved grows with every batch, and slows every reader. */
const MOST_WAL_BYTES = 32 * 2 ** 20
/** So many free pages are given back in a few milliseconds of the write lock. */
const VACUUM_STEP_PAGES = 200
/** More than a large batch frees; what is left is given back after the next. */
const MOST_VACUUM_STEPS = 16
/** Longer than the steps in which a writer asks for the lock again. */
const PAUSE_MS = 18

/** What is seen of others, and what is to be done after deleting. */
export class Housekeeping {
  readonly #session: SqliteSession
  readonly #pageBytes: number
  /** In SQLite's full or incremental mode the file can give pages back. */
  readonly #givesBack: boolean
  #version: number
  #aloneFromMs: number
  /** What the last checkpoint had to leave in the log. */
  #stuckBytes = 0

  constructor(session: SqliteSession) {
    const { connection } = session
    this.#session = session
    this.#pageBytes = connection.figure('PRAGMA page_size')
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
      if (others) this.#aloneFromMs = connection.clock.monotonicMs() + BESIDE_MS
      return { heldMs: this.#session.heldMs, others, contended: connection.takeContention(), hold: this.#hold(connection.file) }
    })
  }

  /**
   * Moves the log into the main file and gives free pages back, as far as that disturbs nobody. Never VACUUM: it would lock everybody out.
   * After the last batch nothing is left in the log, or the gateway's next commit would have to move it.
   */
  async tidy(last: boolean): Promise<void> {
    const { connection } = this.#session
    await this.#session.read(() => this.#checkpoint(connection, last || !this.#alone ? 1 : CHECKPOINT_ALONE_BYTES))
    if (!this.#givesBack) return
    for (let step = 0; step < MOST_VACUUM_STEPS; step++) {
      const left = await this.#session.read(() => {
        connection.execute(`PRAGMA incremental_vacuum(${VACUUM_STEP_PAGES})`)
        return freePages(connection)
      })
      if (left === 0) return
      await connection.clock.sleep(this.#alone ? 0 : PAUSE_MS)
    }
  }

  async reusableBytes(): Promise<number> {
    return this.#pageBytes * (await this.#session.read(freePages))
  }

  /** Each commit that leaves much in the log makes a writer's own next commit move it: beside others, nothing is left to them. */
  #checkpoint(connection: Connection, dueBytes: number): void {
    const waitingBytes = (log: WalBacklog | undefined): number => (log?.waiting ?? 0) * this.#pageBytes
    const bytes = waitingBytes(checkpoint(connection, 'NOOP'))
    const replicated = isReplicated(connection.file)
    if (bytes >= dueBytes && !replicated) this.#stuckBytes = waitingBytes(checkpoint(connection, 'PASSIVE'))
    else this.#stuckBytes = replicated ? bytes : 0
  }

  get #alone(): boolean {
    return this.#session.connection.clock.monotonicMs() >= this.#aloneFromMs
  }

  #hold(file: string): string | undefined {
    if (this.#stuckBytes <= MOST_WAL_BYTES) return undefined
    const megabytes = Math.round(this.#stuckBytes / 2 ** 20)
    return `${megabytes} MB of ${file}-wal wait to be moved into the main file: somebody reads for a long time, or replication lags`
  }
}

const INCREMENTAL = 2

function freePages(connection: Connection): number {
  return connection.figure('PRAGMA freelist_count')
}

/** Litestream keeps its state in this folder and needs to be the only one who moves the log. */
export function isReplicated(file: string): boolean {
  return existsSync(join(dirname(file), `.${basename(file)}-litestream`))
}
