import type { Clock } from '../time/clock.ts'
import type { DatabaseError } from './database-error.ts'
import type { Examinable } from './examining.ts'
import type { Archivable } from './exporting.ts'
import type { Searchable } from './searching.ts'
import type { Migratable } from './migrating.ts'
import type { Partitionable } from './partitioning.ts'
import type { Purgeable } from './purging.ts'
import type { Rights, Session } from './query.ts'
import type { SpaceKeeping } from './space-keeping.ts'
import type { DatabaseUrl } from './url/url-types.ts'

/** What both engines offer to the rest of the program. Each difference between them is a property or a method here, never an `if` elsewhere. */
export interface Database
  extends Session, Purgeable, Archivable, Migratable, Partitionable, SpaceKeeping, Examinable, Searchable, AsyncDisposable {
  /** For logs and messages; never holds a password. */
  readonly label: Label
  /** Whether the server replays the changes of another one, and so may be behind it. */
  isStandby(): Promise<boolean>
  /** The name of the login, as the server's administrators know it; `undefined`: this engine has no logins. */
  login(): Promise<string | undefined>
  /**
   * The statements that would give this login what it lacks of these rights on tables of ours; none: it lacks nothing. `rights`, by table: `SELECT`, or
   * `UPDATE (fence)` of some columns.
   */
  missingGrants(rights: Rights): Promise<readonly string[]>
}

export interface Label {
  readonly engine: string
  /** Host and port, or the file. */
  readonly place: string
  /** The database's name, or the file's. */
  readonly name: string
}

export type { Rights } from './query.ts'

/** Receives what happens to a connection. */
export interface DatabaseListener {
  created(file: string): void
  warning(message: string): void
  note(message: string): void
  /** There is no usable database yet. Called at most twice: the first time that none answers, and the first time that one answers but cannot be used. */
  awaiting(place: string, reason: string): void
  /** Called once for each loss, not for each attempt to reconnect. */
  lost(error: DatabaseError): void
  regained(afterMs: number): void
}

export type Access = 'write' | 'existing' | 'read'

/** What both engines are opened with. */
export interface OpenOptions {
  readonly url: DatabaseUrl
  /** Holds our tables and the gateway's, on an engine that has schemas; `undefined`: none is configured, and the usual one is used where that is safe. */
  readonly schema: string | undefined
  /** IANA name: how times stored without a zone are read. */
  readonly timeZone: string
  /** How long opening waits for a database that does not answer yet. */
  readonly connectTimeoutMs: number
  /** How long to wait for a database that is lost later, counted from the loss. Absent: for ever. */
  readonly reconnectTimeoutMs?: number
  /**
   * `read` never changes or creates anything: a database that does not exist reads as an empty one. `existing` may change a database, but does not
   * create one.
   */
  readonly access: Access
  /**
   * How long one call may block the event loop, in milliseconds: SQLite's driver works on its thread. Absent: as long as makes the work quickest.
   */
  readonly longestBlockMs?: number
  /** Reads the URL again where it is kept, after a server refused the login that it gave; `undefined`: it cannot be read. */
  readonly readUrlAgain: () => DatabaseUrl | undefined
  /** From 0 to below 1. */
  readonly random: () => number
  /** Sent to the server, so that its administrators see who is connected. */
  readonly applicationName: string
  readonly clock: Clock
  /** The Node that runs this program, for what needs a process of its own. */
  readonly node: string
  /** The process's effective user, where the platform has one. */
  readonly user: { readonly uid: number | undefined }
  readonly listener: DatabaseListener
  /** Ends the waiting when the program is asked to stop. */
  readonly signal: AbortSignal
}
