import { closeSync, constants, existsSync, fsyncSync, openSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SECOND } from '../../../time/clock.ts'
import type { Connection } from './connection.ts'
import type { Snapshot } from './snapshot.ts'

/** For this long after another connection's commit, others are considered to be writing. */
export const BESIDE_MS = 2 * SECOND
/**
 * While others write, the log is checkpointed when it reaches this size, so that a page changed by several batches is written to the main file once. With
 * one more batch and the others' pages it stays below 40 MB.
 */
const MOVED_BYTES = 26 * 2 ** 20
/** How often a checkpoint is repeated if others add pages during it. */
const MOST_MOVES = 5
/** SQLite's default for wal_autocheckpoint, which the gateway does not change: a commit checkpoints a log of this many pages or more. */
const AUTOMATIC_PAGES = 1_000
/** A snapshot that no batch has renewed for this long is released, or the log would keep growing. */
const SNAPSHOT_MS = SECOND

/**
 * Manages the write-ahead log while others write too. Without it, our batches make the log so long that each of the others' commits would checkpoint our
 * pages and wait for the disk: tens of milliseconds, again and again. So a snapshot keeps everybody from checkpointing while our batches add to the log.
 * Right after the COMMIT that makes it long enough, the snapshot is released and we checkpoint: hardly anybody gets in between, and while we do it nobody
 * else does. Only PASSIVE checkpoints are used, which neither wait nor make anybody wait. After a complete checkpoint the next commit, whoever makes it,
 * starts the log from its beginning.
 */
export class WriteAheadLog {
  readonly #connection: Connection
  readonly #snapshot: Snapshot
  readonly #pageBytes: number
  #besideUntilMs = -Infinity
  #renewedMs = 0
  #stuckBytes = 0

  constructor(connection: Connection, snapshot: Snapshot) {
    this.#connection = connection
    this.#snapshot = snapshot
    this.#pageBytes = connection.figure('PRAGMA page_size')
  }

  /** What the last checkpoint had to leave in the log. */
  get stuckBytes(): number {
    return this.#stuckBytes
  }

  /** Call when another connection has committed. */
  seenOthers(): void {
    this.#besideUntilMs = this.#now() + BESIDE_MS
  }

  /** Call before one of our transactions begins. */
  beginning(): void {
    if (!this.#guards) return
    if (this.#snapshot.held || this.#isShort() || this.#move() === 'moved') this.#backpressure()
  }

  /** Call right after COMMIT. Ignores errors, which would look as if COMMIT had failed: a lasting one will show between the batches. */
  committed(): void {
    try {
      if (this.#guards && this.#waitingBytes() >= MOVED_BYTES) this.#move()
    } catch {
      this.#snapshot.release()
    }
  }

  /**
   * Call between batches; false: call again shortly. While others write, the log was checkpointed with the batch. If another connection got in first, the
   * next batch waits until that one is done, or its next commit would have to checkpoint that batch too, and so on. While nobody else writes, the log is
   * checkpointed when it reaches `aloneBytes`.
   */
  between(aloneBytes: number): boolean {
    if (this.#guards) return this.#snapshot.held || this.#isShort() || this.#move() !== 'refused'
    this.#snapshot.release()
    this.#moveFrom(aloneBytes)
    return true
  }

  /** Call after the last batch. */
  finished(): void {
    this.#snapshot.release()
    this.#moveFrom(1)
  }

  close(): void {
    this.#snapshot.close()
  }

  /** Never without a WAL: there a snapshot would lock the file for everybody, including us. */
  get #guards(): boolean {
    if (this.#now() >= this.#besideUntilMs || isReplicated(this.#connection)) return false
    return checkpoint(this.#connection, 'NOOP') !== undefined
  }

  #moveFrom(dueBytes: number): void {
    const waiting = this.#waitingBytes()
    if (isReplicated(this.#connection)) this.#stuckBytes = waiting
    else if (waiting >= dueBytes) this.#move()
    else this.#stuckBytes = 0
  }

  /** `stuck`: a reader still needs older pages. `refused`: another connection is checkpointing. */
  #move(): 'moved' | 'stuck' | 'refused' {
    this.#snapshot.release()
    for (let moves = 0; ; moves++) {
      const before = this.#waitingBytes()
      const refused = checkpoint(this.#connection, 'PASSIVE') === undefined
      this.#stuckBytes = this.#waitingBytes()
      if (this.#stuckBytes === 0) return 'moved'
      if (refused) return 'refused'
      if (this.#stuckBytes >= before || moves === MOST_MOVES) return 'stuck'
    }
  }

  /** Too short for others' commits to checkpoint it, or checkpointed already. */
  #isShort(): boolean {
    const log = checkpoint(this.#connection, 'NOOP')
    return log === undefined || log.waiting === 0 || log.pages < AUTOMATIC_PAGES
  }

  #waitingBytes(): number {
    return (checkpoint(this.#connection, 'NOOP')?.waiting ?? 0) * this.#pageBytes
  }

  #backpressure(): void {
    this.#renewedMs = this.#now()
    if (this.#snapshot.held || !this.#snapshot.take()) return
    // Otherwise another connection's commit would checkpoint the few pages before the snapshot, and wait for all of our pages to be on the disk first.
    checkpoint(this.#connection, 'PASSIVE')
    void this.#watch()
  }

  async #watch(): Promise<void> {
    while (this.#snapshot.held) {
      await this.#connection.clock.sleep(SNAPSHOT_MS, this.#snapshot.released)
      if (this.#now() - this.#renewedMs >= SNAPSHOT_MS) this.#snapshot.release()
    }
  }

  #now(): number {
    return this.#connection.clock.monotonicMs()
  }
}

interface Backlog {
  /** Pages in the log. */
  readonly pages: number
  /** Those of them that are not in the main file yet. */
  readonly waiting: number
}

/** `undefined`: there is no WAL, or another connection is checkpointing. `NOOP` only reports. */
function checkpoint(connection: Connection, mode: 'NOOP' | 'PASSIVE'): Backlog | undefined {
  const [row] = connection.run<{ log: number; checkpointed: number }>(`PRAGMA wal_checkpoint(${mode})`).rows
  if (row === undefined || row.log < 0) return undefined
  return { pages: row.log, waiting: row.log - row.checkpointed }
}

/**
 * With a WAL, COMMIT does not wait for the disk. Without one, COMMIT ends by deleting the journal, and waits for everything except that deletion: if the
 * machine crashes before the folder is flushed, the journal reappears and rolls the commit back.
 */
export function syncLog(file: string): void {
  // Closing a file descriptor releases the process's locks on that file. SQLite's locks are on the other two files, so this is safe.
  const path = existsSync(`${file}-wal`) ? `${file}-wal` : dirname(file)
  const log = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    fsyncSync(log)
  } finally {
    closeSync(log)
  }
}

/** Litestream keeps its state in a folder beside the database's name as configured there, and must be the only one that checkpoints. */
export function isReplicated({ file, alias }: Pick<Connection, 'file' | 'alias'>): boolean {
  return [file, alias].some((name) => existsSync(join(dirname(name), `.${basename(name)}-litestream`)))
}
