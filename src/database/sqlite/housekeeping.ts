import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { Pressure } from '../database.ts'
import type { Connection } from './connection.ts'
import type { SqliteSession } from './session.ts'
import { checkpoint } from './wal.ts'

/** SQLite's own figure for when a commit moves the log into the main file. */
const CHECKPOINT_PAGES = 1_000
/** A log that cannot be moved grows with every batch, and slows every reader. */
const MOST_WAL_BYTES = 32 * 2 ** 20
/** So many free pages are given back in a few milliseconds of the write lock. */
const VACUUM_STEP_PAGES = 200
/** More than a large batch frees; what is left is given back after the next. */
const MOST_VACUUM_STEPS = 16

/** What is seen of others, and what is to be done after deleting. */
export class Housekeeping {
  readonly #session: SqliteSession
  readonly #pageBytes: number
  /** In SQLite's full or incremental mode the file can give pages back. */
  readonly #givesBack: boolean
  #version: number | undefined

  constructor(session: SqliteSession) {
    const { connection } = session
    this.#session = session
    this.#pageBytes = connection.value<number>('PRAGMA page_size') ?? 0
    this.#givesBack = connection.value<number>('PRAGMA auto_vacuum') === INCREMENTAL
    this.#version = connection.value<number>('PRAGMA data_version')
  }

  /** SQLite tells nobody who waits: what shows of others is that they committed, and that they were in the way. */
  pressure(): Promise<Pressure> {
    return this.#session.read((connection) => {
      const version = connection.value<number>('PRAGMA data_version')
      const others = version !== this.#version
      this.#version = version
      return { heldMs: this.#session.heldMs, others, contended: connection.takeContention(), hold: this.#hold(connection) }
    })
  }

  /** Moves the log into the main file and gives free pages back, as far as that disturbs nobody. Never VACUUM: it would lock everybody out. */
  async tidy(): Promise<void> {
    await this.#session.read((connection) => {
      const log = checkpoint(connection, 'NOOP')
      if (log !== undefined && log.waiting >= CHECKPOINT_PAGES && !isReplicated(connection)) checkpoint(connection, 'PASSIVE')
    })
    if (!this.#givesBack) return
    for (let step = 0; step < MOST_VACUUM_STEPS; step++) {
      const left = await this.#session.read((connection) => {
        connection.execute(`PRAGMA incremental_vacuum(${VACUUM_STEP_PAGES})`)
        return freePages(connection)
      })
      if (left === 0) return
      await turn()
    }
  }

  async reusableBytes(): Promise<number> {
    return this.#pageBytes * (await this.#session.read(freePages))
  }

  #hold(connection: Connection): string | undefined {
    const log = checkpoint(connection, 'NOOP')
    const bytes = (log?.waiting ?? 0) * this.#pageBytes
    if (bytes <= MOST_WAL_BYTES) return undefined
    const megabytes = Math.round(bytes / 2 ** 20)
    return `${megabytes} MB of ${connection.file}-wal wait to be moved into the main file: somebody reads for a long time, or replication lags`
  }
}

const INCREMENTAL = 2

function freePages(connection: Connection): number {
  return connection.value<number>('PRAGMA freelist_count') ?? 0
}

/** Litestream keeps its state in this folder and needs to be the only one who moves the log. */
export function isReplicated({ file }: Connection): boolean {
  return existsSync(join(dirname(file), `.${basename(file)}-litestream`))
}
