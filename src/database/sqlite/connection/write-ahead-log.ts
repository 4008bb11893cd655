import { closeSync, constants, existsSync, fsyncSync, openSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SECOND } from '../../../time/clock.ts'
import type { Connection } from './connection.ts'
import type { Snapshot } from './snapshot.ts'

/** After somebody's commit, for so long somebody writes. */
export const BESIDE_MS = 2 * SECOND
/**
 * Beside others the log is moved once it is this long: pages that several batches changed are then written to the main file once. With a batch
 * and what others add it stays below 40 MB.
 */
const MOVED_BYTES = 26 * 2 ** 20
/** So often others may add pages while the last of ours are moved. */
const MOST_MOVES = 5
/** SQLite moves a log of so many pages at the end of each commit, unless it is told otherwise; the gateway does not tell it. */
const AUTOMATIC_PAGES = 1_000
/** A snapshot that no batch needs any more goes by itself: it would keep the log growing. */
const SNAPSHOT_MS = SECOND

/**
 * The write-ahead log beside others who write. Left alone, each of their commits would move our pages into the main file, because the log is long,
 * and wait until the disk has them: tens of milliseconds, again and again. So a snapshot keeps everybody from moving it while our batches add to it,
 * and right behind the COMMIT that made it long enough it is let go and we move it: hardly anybody comes in between, and while we move, nobody else
 * does. Only PASSIVE checkpoints, which wait for nobody and make nobody wait. Moved to its end, the log is begun anew by the next commit, whoever
 * makes it.
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

  /** What the last attempt had to leave in the log. */
  get stuckBytes(): number {
    return this.#stuckBytes
  }

  /** Somebody else has committed. */
  seenOthers(): void {
    this.#besideUntilMs = this.#now() + BESIDE_MS
  }

  /** Before a transaction of ours begins. */
  beginning(): void {
    if (!this.#guards) return
    if (this.#snapshot.held || this.#isShort() || this.#move() === 'moved') this.#backpressure()
  }

  /** Right after COMMIT. What fails here is met again between the batches, where it does not look as if COMMIT had failed. */
  committed(): void {
    try {
      if (this.#guards && this.#waitingBytes() >= MOVED_BYTES) this.#move()
    } catch {
      this.#snapshot.release()
    }
  }

  /**
   * Between batches; false: ask again shortly. Beside others the log was moved with the batch. Where somebody else was quicker, the next batch has
   * to wait until he is done, or his next commit would have to move that batch too, and so on. Alone it is moved once so much waits.
   */
  between(aloneBytes: number): boolean {
    if (this.#guards) return this.#snapshot.held || this.#isShort() || this.#move() !== 'refused'
    this.#snapshot.release()
    this.#moveFrom(aloneBytes)
    return true
  }

  /** After the last batch. */
  finished(): void {
    this.#snapshot.release()
    this.#moveFrom(1)
  }

  close(): void {
    this.#snapshot.close()
  }

  /** Without a log a snapshot would be a lock on the file, in everybody's way and in our own. */
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

  /** `stuck`: somebody reads what was there before. `refused`: somebody else is moving it. */
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

  /** Too short for others to move it, or moved already. */
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
    // The few pages before the snapshot would be moved by somebody's commit, which would first wait for all of ours to be on the disk.
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
  /** Pages that were written to the log since it was begun. */
  readonly pages: number
  /** Of those, what is not yet in the main file. */
  readonly waiting: number
}

/** `undefined`: there is no log, or another checkpoint is at work. `NOOP` only looks. */
function checkpoint(connection: Connection, mode: 'NOOP' | 'PASSIVE'): Backlog | undefined {
  const [row] = connection.run<{ log: number; checkpointed: number }>(`PRAGMA wal_checkpoint(${mode})`).rows
  if (row === undefined || row.log < 0) return undefined
  return { pages: row.log, waiting: row.log - row.checkpointed }
}

/**
 * A COMMIT adds to the log without waiting for the disk. Without a log it ends by taking the journal away, and waits for everything but that: where the
 * folder is not on the disk, a crash of the machine brings the journal back, and with it what was there before.
 */
export function syncLog(file: string): void {
  // SQLite's locks, which closing a file would give back, are on the other two files.
  const path = existsSync(`${file}-wal`) ? `${file}-wal` : dirname(file)
  const log = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    fsyncSync(log)
  } finally {
    closeSync(log)
  }
}

/** Litestream keeps its state in a folder beside the name that it was given, and needs to be the only one who moves the log. */
export function isReplicated({ file, alias }: Pick<Connection, 'file' | 'alias'>): boolean {
  return [file, alias].some((name) => existsSync(join(dirname(name), `.${basename(name)}-litestream`)))
}
