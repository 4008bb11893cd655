/** What holding and pausing mean on this engine: facts of the engine, used by the controller. */
export interface Pacing {
  readonly firstRows: number
  readonly leastRows: number
  readonly mostRows: number
  /** How long a run must work before the pressure it read tells whether somebody else does; 0: the first reading tells. */
  readonly listenMs: number
  /** Nobody else works on the database. */
  readonly alone: Pace
  /** Somebody does. */
  readonly polite: Pace
}

export interface Pace {
  /** A batch should hold its locks about this long. */
  readonly holdMs: number
  /** Pause after a batch: the larger of this and `share` times the batch's hold. */
  readonly pauseMs: number
  readonly pauseShare: number
}

export interface Pressure {
  /** From getting the write lock (or BEGIN) to the end of COMMIT of the last transaction. */
  readonly heldMs: number
  /** Another client changed data, or is active, since the last look. */
  readonly others: boolean
  /** Somebody waits on a lock of ours, or we had to wait for one: give way at once. */
  readonly contended: boolean
  /** A reason to wait longer before the next batch, in a few words: a WAL that cannot be checkpointed, a replica that lags. */
  readonly hold: string | undefined
}
