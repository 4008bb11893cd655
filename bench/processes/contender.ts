/** The program's loop with batches of one size. */
export interface Steady {
  readonly rowsABatch: number
}

export interface Batch {
  readonly rows: number
  /** Finding its rows, where that is a step of its own. */
  readonly chooseMs: number
  /** From asking for the transaction to its end: a wait for the write lock is part of it. */
  readonly transactionMs: number
  /** From having the lock to the end of COMMIT, as the program itself measures it; for a plain statement the same as `transactionMs`. */
  readonly heldMs: number
}

export interface Work {
  readonly deleted: number
  readonly batches: readonly Batch[]
  /** False if it was asked to stop before everything was deleted. */
  readonly finished: boolean
}

/** Connected already: only the work itself is measured. */
export interface Contender {
  work(stopping: AbortSignal): Promise<Work>
  close(): Promise<void>
}
