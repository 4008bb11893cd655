/**
 * The runs of one process take turns on its database, first come, first served, so that a job with a backlog keeps no other waiting and the gateway still
 * feels one purge. A turn lasts from choosing a batch to the end of the pause after it: two runs whose pauses overlapped would leave the
 * gateway half of each.
 */
export class Turns {
  readonly #waiting: (() => void)[] = []
  #taken = false

  /** Not re-entrant: never take a turn in a turn. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    await this.#begin()
    try {
      return await work()
    } finally {
      this.#end()
    }
  }

  /** For the holder of the turn, in the midst of long work that holds no lock: those who wait go first. */
  async pass(): Promise<void> {
    this.#end()
    await this.#begin()
  }

  async #begin(): Promise<void> {
    if (this.#taken) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#taken = true
  }

  /** Handed over, so that nobody who comes meanwhile is quicker than the first who waits. */
  #end(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#taken = false
    else next()
  }
}
