/** What the database takes on its disk, as far as it can be told without reading tables. */
export interface Space {
  /** Of the whole database. */
  readonly bytes: number
  /** Free pages within it, which later rows fill; `undefined`: the engine does not say. */
  readonly freeBytes: number | undefined
  /** Rows of the purged tables that are deleted, but whose space is not free yet; `undefined`: there is no such state. */
  readonly deadRows: number | undefined
  /** Why space is not given back or used again, and what to do. */
  readonly advice: readonly string[]
}

export interface SpaceKeeping {
  /** `tables`: those that are purged. */
  space(tables: readonly string[]): Promise<Space>
  /** What it would take to give all free space back at once, or why there is nothing to do. */
  compaction(): Promise<Compaction | { readonly needless: string }>
}

/** While it runs, nobody else can write. */
export interface Compaction {
  readonly bytes: number
  readonly freeBytes: number
  /** On the disk of the database, until it ends. */
  readonly neededBytes: number
  readonly availableBytes: number
  /** The folder of that disk. */
  readonly folder: string
  /** About how long it takes. */
  readonly expectedMs: number
  /** Whether a replication would have to begin anew. */
  readonly replicated: boolean
  /**
   * Works in a process of its own, of the program `node`. Returns the size afterwards, in bytes. Rejects with `busy` if another process has the database open although this one should be `alone` with it, or holds its
   * lock. Aborting the signal ends it at once, and leaves the database as it was. The database cannot be used afterwards.
   */
  run(how: { readonly alone: boolean; readonly node: string; readonly signal: AbortSignal }): Promise<number>
}
