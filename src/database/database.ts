import type { Clock } from '../time/clock.ts'
import type { DatabaseError } from './database-error.ts'
import type { Archivable } from './exporting.ts'
import type { Migratable } from './migrating.ts'
import type { Purgeable } from './purging.ts'
import type { Session } from './query.ts'
import type { DatabaseUrl } from './url/url-types.ts'

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
