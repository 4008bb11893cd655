/** The program's loop with batches of one size. */
export interface Steady {
  readonly rowsABatch: number
}

/** A purge that keeps what it deletes, in files that are still there afterwards. `by hand`: the pipe and the DELETE that a person would type. */
export type Keeping =
  | { readonly keeps: 'in a folder'; readonly directory: string }
  | { readonly keeps: 'in a bucket'; readonly store: ObjectStore; readonly spool: string }
  | { readonly keeps: 'by hand'; readonly file: string }

/** What speaks S3, with an empty bucket. */
export interface ObjectStore {
  readonly url: string
  readonly region: string
  readonly bucket: string
  /** Credentials, in the variables that clients of AWS read. */
  readonly env: Readonly<Record<string, string>>
}

export interface Batch {
  readonly rows: number
  /** Finding its rows, if that is a separate step. */
  readonly chooseMs: number
  /** From before BEGIN to the end of the transaction, including a wait for the write lock. */
  readonly transactionMs: number
  /** From getting the lock to the end of COMMIT, as the program itself measures it; for a plain statement the same as `transactionMs`. */
  readonly heldMs: number
}

export interface Work {
  readonly deleted: number
  readonly batches: readonly Batch[]
  /** False if it was stopped before everything was deleted. */
  readonly finished: boolean
}

/** Already connected, so that only the work itself is measured. */
export interface Contender {
  work(stopping: AbortSignal): Promise<Work>
  close(): Promise<void>
}
