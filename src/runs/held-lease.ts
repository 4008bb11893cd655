import type { Session, Transaction } from '../database/query.ts'
import type { Clock } from '../time/clock.ts'
import { LeaseLost, releaseLease, renewLease, TERM_MS, type Lease } from './lease.ts'

export interface HeldLeaseOptions {
  readonly database: Session
  readonly clock: Clock
  /** The table of leases, as it is written in SQL. */
  readonly leases: string
  readonly lease: Lease
}

/** A lease that stays alive from its making to `end`: what is done under it renews it in the same transaction. */
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

  /** Rejects with `LeaseLost`, and then nothing of the work is kept. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const { database, leases, lease, clock } = this.#options
    return database.transaction(async (tx) => {
      await renewLease(tx, leases, lease)
      this.#renewedMs = clock.monotonicMs()
      return work(tx)
    })
  }

  /** It is no longer kept alive; to be given back by `release`. */
  async end(): Promise<void> {
    this.#over.abort()
    await this.#keptAlive
  }

  /** One that was lost is left alone. */
  release(tx: Transaction): Promise<void> {
    return releaseLease(tx, this.#options.leases, this.#options.lease)
  }

  /** Batches renew the lease themselves; what else takes long (a pause, a count, a lock that is waited for) must not cost it. */
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
        // Whatever it is, the next batch meets it too and can say so; what is lost stays lost.
        if (error instanceof LeaseLost) return
      }
    }
  }
}
