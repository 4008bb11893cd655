import type { Session, Transaction } from '../database/query.ts'
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
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const { database, leases, lease, clock } = this.#options
    return database.transaction(async (tx) => {
      await renewLease(tx, leases, lease)
      this.#renewedMs = clock.monotonicMs()
      return work(tx)
    })
  }

  /** Stops keeping the lease alive. Call `release` afterwards. */
  async end(): Promise<void> {
    this.#over.abort()
    await this.#keptAlive
  }

  /** Does nothing if the lease was lost. */
  release(tx: Transaction): Promise<void> {
    return releaseLease(tx, this.#options.leases, this.#options.lease)
  }

  /** Batches renew the lease themselves. This keeps it alive during anything else that takes long: a pause, a count, a wait for a lock. */
  async #keepAlive(): Promise<void> {
    const { clock } = this.#options
    const everyMs = TERM_MS / 3
    for (;;) {
      await clock.sleep(everyMs, this.#over.signal)
      if (this.#over.signal.aborted) return
      if (clock.monotonicMs() - this.#renewedMs < everyMs) continue
      try {
        await this.transaction(() => Promise.resolve())
      } catch (error) {
        // The next batch runs into the same error and reports it. A lost lease stays lost.
        if (error instanceof LeaseLost) return
      }
    }
  }
}
