import type { Transaction } from './query.ts'

export interface Migratable {
  /** Matches the file names in `migrations/` that are for this engine. */
  readonly migrationFiles: RegExp
  /** Which of these names are tables, in one query of the catalogue. A view does not count. */
  tablesAmong(names: readonly string[]): Promise<ReadonlySet<string>>
  /** All tables and views by name, with their columns. */
  relations(): Promise<ReadonlyMap<string, Relation>>
  /** The planner's estimate or a bounded count, for the warning before a long index build. */
  approximateRows(table: string): Promise<number>
  /** `invalid`: a build outside a transaction was interrupted. An index that is still being built counts as valid: a statement that needs it waits for it. */
  indexState(name: string): Promise<'missing' | 'valid' | 'invalid'>
  /** The roles that may update this table, but for the connected one: those that run jobs. An engine without roles has none. */
  updatersOf(table: string): Promise<readonly string[]>
  /** When the server that answers was started: after a failover or a restart another time. `undefined`: there is no server. */
  serverStartedAt(): Promise<number | undefined>
  /** Whether the connection goes through a pooler: then nothing that outlasts a transaction may be relied on. */
  pooled(): Promise<boolean>
  /**
   * One migrating worker at a time. Each transaction of `work` must be opened with `apply`, which takes the lock again inside it (through a pooler only
   * that lock counts) and runs without the short limits of `Session.transaction`. Rejects with `busy` after `timeoutMs`, naming the holder.
   */
  withMigrationLock<T>(options: MigrationLockOptions, work: (apply: ApplyTransaction, outside: ApplyOutside) => Promise<T>): Promise<T>
}

/** If another session's lock made it fail (`busy`), the message names that session where it is visible. */
export type ApplyTransaction = <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>

/**
 * For statements that cannot run in a transaction, under the migration lock. Rejects through a pooler, and on an engine without such statements.
 * Statements have no time limit; `blocked` is called soon, and then every ten seconds, with the session that keeps one waiting.
 */
export type ApplyOutside = <T>(
  blocked: (by: string, waitedMs: number) => void,
  work: (session: OutsideTransaction) => Promise<T>,
) => Promise<T>

export interface OutsideTransaction {
  /**
   * Runs one statement on this table, or on this index's table, once no other session is changing its structure. Rejects with `busy`, naming that
   * session, if that takes longer than the limit of the migration lock.
   */
  run(sql: string, relation: string): Promise<void>
  /** Does not block reads or writes of its table. */
  dropIndex(name: string): Promise<void>
}

export interface MigrationLockOptions {
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Called at once and then every ten seconds. */
  readonly waiting: (holder: string, waitedMs: number) => void
}

export type TypeFamily = 'whole' | 'text' | 'truth' | 'time' | 'other'

export interface Relation {
  readonly kind: 'table' | 'view'
  readonly columns: ReadonlyMap<string, Column>
  /** Absent: it is not partitioned. */
  readonly partitioned?: PartitionedTable
}

export interface PartitionedTable {
  /** By which rows are told which partition they go to; an expression among them is left out. */
  readonly columns: readonly string[]
  /** Those that all partitions have. */
  readonly indexes: readonly string[]
}

export interface Column {
  /** `undefined`: the engine does not enforce the column's type. */
  readonly family: TypeFamily | undefined
  /** As the engine spells it, for messages. */
  readonly type: string
  /** NOT NULL without a default: an insert that does not name it fails. */
  readonly mandatory: boolean
}
