import type { Session, Transaction, TransactionOptions } from '../database/query.ts'
import type { Clock } from '../time/clock.ts'
import { LeaseLost, releaseLease, renewLease, TERM_MS, type Lease } from './lease.ts'

export interface HeldLeaseOptions {
  readonly database: Session
  readonly clock: Clock
  /** The name of the table of leases, for use in SQL. */
  readonly leases: string
  readonly lease: Lease
}

/** Keeps a lease alive from construction until `end`. Work under the lease renews it in the same transaction. */
export class HeldLease {
  readonly #options: HeldLeaseOptions
  readonly #over = new AbortController()
  readonly #keptAlive: Promise<void>
  #renewedMs: number

  constructor(options: HeldLeaseOptions) {
    this.#options = options
    this.#renewedMs = options.clock.monotonicMs()
    this.#keptAlive = this.#keepAlive()
  }

  get job(): string {
    return this.#options.lease.job
  }

  /** Rejects with `LeaseLost` if the lease is lost; then nothing of the work is kept. */
  async transaction<T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> {
    const { database, leases, lease, clock } = this.#options
    let atMs = 0
    const done = await database.transaction(async (tx) => {
      atMs = clock.monotonicMs()
      await renewLease(tx, leases, lease)
      const result = await work(tx)
      // COMMIT may take long after it has let go of the row, and what the work took is off the term already.
      if (options?.takesMs !== undefined) {
        const tookMs = clock.monotonicMs() - atMs
        atMs += tookMs
        await renewLease({ ...tx, now: tx.now + Math.floor(tookMs) }, leases, lease)
      }
      return result
    }, options)
    // Only now: what is rolled back has renewed nothing.
    this.#renewedMs = atMs
    return done
  }

  /** Stops keeping the lease alive. Call `release` afterwards. */
  async end(): Promise<void> {
    this.#over.abort()
    await this.#keptAlive
  }

  /** Does nothing if the lease was lost. Returns whether it was held. */
  release(tx: Transaction): Promise<boolean> {
    return releaseLease(tx, this.#options.leases, this.#options.lease)
  }

  /** Batches renew the lease themselves. This keeps it alive during anything else that takes long: a pause, a count, batches that are rolled back. */
  async #keepAlive(): Promise<void> {
    const { clock } = this.#options
    const everyMs = TERM_MS / 3
    for (let waitMs = everyMs; ;) {
      await clock.sleep(waitMs, this.#over.signal)
      if (this.#over.signal.aborted) return
      waitMs = this.#renewedMs + everyMs - clock.monotonicMs()
      if (waitMs > 0) continue
      waitMs = everyMs
      try {
        await this.transaction(() => Promise.resolve())
      } catch (error) {
        // The next batch runs into the same error and reports it. A lost lease stays lost.
        if (error instanceof LeaseLost) return
      }
    }
  }
}
