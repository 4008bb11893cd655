import { MaintenanceError, type ErrorCode } from '../errors.ts'
import type { Clock, EpochMs } from '../time.ts'
import type { Purgeable } from './purgeable.ts'
import type { Relation } from './relation.ts'
import type { Archivable } from './stored-rows.ts'
import type { DatabaseUrl } from './url.ts'

export type { Pace, Pacing, Pressure } from './pressure.ts'
export type {
  Census,
  Estimate,
  ExpiredRows,
  Gone,
  Inspection,
  Purgeable,
  Slice,
  Slices,
  Tally,
  TellDay,
  TimeColumn,
  TooLarge,
} from './purgeable.ts'
export type { Column, Relation, TypeFamily } from './relation.ts'
export * from './stored-rows.ts'

/** What either engine can do for the rest of the program: the one boundary. A difference between engines is a fact or a verb here. */
export interface Database extends Session, Purgeable, Archivable, Migratable, AsyncDisposable {
  /** For logs and messages; never holds a password. */
  readonly label: Label
}

export interface Label {
  readonly engine: string
  /** Host and port, or the file. */
  readonly place: string
  /** The database's name, or the file's. */
  readonly name: string
}

/** What is bound to `$1`, `$2`, … ; the same SQL text serves both engines for tables of our own. */
export type Value = string | number | bigint | Uint8Array | null

export interface Result<Row> {
  readonly rows: readonly Row[]
  /** Rows inserted, updated or deleted. */
  readonly changed: number
}

export interface Query {
  /** 64-bit integers come back as numbers. Rejects with a `DatabaseError`. */
  query<Row = Record<string, unknown>>(sql: string, values?: readonly Value[]): Promise<Result<Row>>
}

export interface Transaction extends Query {
  /** The database's clock when the transaction began. */
  readonly now: EpochMs
}

export interface Session extends Query {
  /** The database boundary's clock: PostgreSQL's own; on SQLite the injected one. */
  now(): Promise<EpochMs>
  /**
   * Short, for writing, one at a time. Waits for the database's write lock or a row lock no longer than the engine's short limit
   * and then rejects with `busy`. The work may be done on the server although the answer to COMMIT was lost (`lost`).
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
  /** After `lost`: connects again, with backoff, until it works; rejects with `unreachable` when `signal` aborts or the time for it is over. */
  reconnected(signal: AbortSignal): Promise<void>
  /** A table of this database as it is written in SQL: quoted, and qualified where the engine has schemas. */
  named(table: string): string
}

/**
 * `busy`: a lock, a deadlock, a serialisation failure, a timeout: try again. `lost`: the connection broke. `unreachable`: none could be made.
 * `forbidden`: a privilege is missing. `read-only`: the database takes no writes. `row-refused`: a row's own constraint or trigger refused.
 * `invalid`: not a database, or one that is damaged. `refused`: password, database name or the server said no.
 * `failed`: anything else the engine says of a statement.
 */
export type Trouble = 'busy' | 'lost' | 'unreachable' | 'forbidden' | 'read-only' | 'row-refused' | 'invalid' | 'refused' | 'failed'

const ERROR_CODES = {
  busy: 'JOB_FAILED',
  lost: 'DATABASE_UNREACHABLE',
  unreachable: 'DATABASE_UNREACHABLE',
  forbidden: 'DATABASE_FORBIDDEN',
  'read-only': 'DATABASE_READ_ONLY',
  'row-refused': 'JOB_FAILED',
  invalid: 'DATABASE_INVALID',
  refused: 'DATABASE_REFUSED',
  failed: 'JOB_FAILED',
} as const satisfies Record<Trouble, ErrorCode>

/** Every error that crosses the boundary. `cause` is the driver's. */
export class DatabaseError extends MaintenanceError {
  override readonly name = 'DatabaseError'
  readonly trouble: Trouble
  /** Where in the statement's text the engine points, counted in code points from 1. */
  readonly position: number | undefined

  constructor(trouble: Trouble, problems: string | readonly string[], options?: ErrorOptions & { position?: number }) {
    super(ERROR_CODES[trouble], problems, options)
    this.trouble = trouble
    this.position = options?.position
  }
}

export interface Migratable {
  /** Matches the file names in `migrations/` that are for this engine. */
  readonly migrationFiles: RegExp
  /** Tables and views by name. */
  relations(): Promise<ReadonlyMap<string, Relation>>
  /** Rows by the planner's or a bounded count: for the warning before a long index build. */
  approximateRows(table: string): Promise<number>
  /** `invalid`: a build outside a transaction was interrupted. An index that is being built at this moment counts as valid: whoever needs it waits for it. */
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
 * `blocked` is told who keeps a statement waiting, soon and then every ten seconds: each takes as long as it needs.
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
  /** Told at once and then every ten seconds. */
  readonly waiting: (holder: string, waitedMs: number) => void
}

/** What happens to a connection, told upwards. */
export interface DatabaseListener {
  created(file: string): void
  warning(message: string): void
  note(message: string): void
  /** There is no database to work with yet: the first time that none answered, and the first time that one did and cannot be worked with. */
  awaiting(place: string, reason: string): void
  /** Once a loss, not once a try. */
  lost(error: DatabaseError): void
  regained(afterMs: number): void
}

export type Access = 'write' | 'existing' | 'read'

/** What both engines are opened with. */
export interface OpenOptions {
  readonly url: DatabaseUrl
  /** Where our tables and the gateway's are, on an engine that has schemas; `undefined`: nobody chose, and the usual one is taken where that is safe. */
  readonly schema: string | undefined
  /** IANA name: how times stored without a zone are read. */
  readonly timeZone: string
  /** How long opening waits for a database that does not answer yet. */
  readonly connectTimeoutMs: number
  /** How long one that is lost later is waited for, from its loss on. Absent: for ever. */
  readonly reconnectTimeoutMs?: number
  /**
   * `read` changes nothing and makes nothing, whatever is asked of it: where there is no database yet it shows an empty one. `existing` changes what is
   * there, and makes no database.
   */
  readonly access: Access
  /**
   * How long one piece of work should keep this process from doing anything else, in milliseconds: a driver may work on the event loop's thread.
   * Absent: as long as is quickest.
   */
  readonly longestBlockMs?: number
  /** Told to the server, so that its administrators see who is connected. */
  readonly applicationName: string
  readonly clock: Clock
  /** The process's effective user, where the platform has one. */
  readonly user: { readonly uid: number | undefined }
  readonly listener: DatabaseListener
  /** Ends the waiting when the program is told to stop. */
  readonly signal: AbortSignal
}
