import type { Transaction } from './query.ts'

export interface Migratable {
  /** Matches the file names in `migrations/` that are for this engine. */
  readonly migrationFiles: RegExp
  /** Which of these are tables: one look at the catalogue. A view of such a name is none. */
  tablesAmong(names: readonly string[]): Promise<ReadonlySet<string>>
  /** All tables and views by name, with their columns. */
  relations(): Promise<ReadonlyMap<string, Relation>>
  /** Rows by the planner's or a bounded count: for the warning before a long index build. */
  approximateRows(table: string): Promise<number>
  /** `invalid`: a build outside a transaction was interrupted. An index that is being built right now counts as valid: a statement that needs it waits. */
  indexState(name: string): Promise<'missing' | 'valid' | 'invalid'>
  /** Whether a pooler stands between: then nothing that outlasts a transaction may be relied on. */
  pooled(): Promise<boolean>
  /**
   * One migrating worker at a time. Each transaction of `work` must be opened with `apply`, which takes the lock again inside it (that alone
   * holds behind a pooler) and runs without the short limits of `Session.transaction`. Rejects with `busy` after `timeoutMs`, naming the holder.
   */
  withMigrationLock<T>(options: MigrationLockOptions, work: (apply: ApplyTransaction, outside: ApplyOutside) => Promise<T>): Promise<T>
}

/** Where another session's lock made it fail (`busy`), the message names that session if it could be seen. */
export type ApplyTransaction = <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>

/**
 * For statements that no transaction may hold, while the migration lock is held; not with a pooler between, nor on an engine that has none.
 * `blocked` gets to know who keeps a statement waiting, soon and then every ten seconds: each takes as long as it needs.
 */
export type ApplyOutside = <T>(
  blocked: (by: string, waitedMs: number) => void,
  work: (session: OutsideTransaction) => Promise<T>,
) => Promise<T>

export interface OutsideTransaction {
  /**
   * One statement that works on this table, or on the table of this index, once no other session works on its structure. Rejects with `busy`,
   * naming that session, when it goes on for longer than the migration lock's own limit.
   */
  run(sql: string, relation: string): Promise<void>
  /** Without holding up who reads or writes its table. */
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
}

export interface Column {
  /** `undefined` where the engine does not hold a column to a type. */
  readonly family: TypeFamily | undefined
  /** As the engine spells it, for messages. */
  readonly type: string
  /** NOT NULL without a default: an insert that does not name it fails. */
  readonly mandatory: boolean
}
