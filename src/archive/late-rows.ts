import type { Slice } from '../database/purging.ts'

/** What is gone through: after one slice, up to and including another; `undefined`: from the first expired row, or to the last. */
export interface Stretch {
  readonly after: Slice | undefined
  readonly until: Slice | undefined
}

/** A gateway that writes expired rows all the time must not keep a run from ending. */
const MOST_PASSES = 3
const MOST_STRETCHES = 100

/**
 * Where a run left expired rows because they were added or changed after their part was written. Once everything else is done, the run goes
 * through these stretches again; what comes too late then, too, is left to the next run.
 */
export class LateRows {
  #passes = 0
  #open: Stretch[] = []
  #noted: Stretch[] = []
  /** Whether every row since the last noted stretch was deleted or noted. */
  #unbroken = false

  /** A slice in which rows were left, as the stretch that it is. */
  note(stretch: Stretch): void {
    const last = this.#unbroken ? this.#noted.pop() : undefined
    if (this.#noted.length < MOST_STRETCHES) this.#noted.push({ after: (last ?? stretch).after, until: stretch.until })
    this.#unbroken = true
  }

  /** Rows were left that are not late: they must not be gone through again. */
  interrupt(): void {
    this.#unbroken = false
  }

  /** The next stretch to go through again; `undefined`: there is none. */
  next(): Stretch | undefined {
    if (this.#open.length === 0 && this.#passes < MOST_PASSES) {
      this.#passes += 1
      this.#open = this.#noted
      this.#noted = []
      this.#unbroken = false
    }
    return this.#open.shift()
  }
}
