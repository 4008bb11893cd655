import type { TimeColumn } from './purging.ts'
import type { Rights } from './query.ts'

/** What `doctor` asks of a database. Reads catalogues, files and figures that are kept anyway, and changes nothing. */
export interface Examinable {
  /** Loaded when it is called: no other command needs it. */
  examining(): Promise<Examining>
}

export interface Examining {
  /** What the migrations make on this engine, as `schema` says it of a database that they have just made. */
  readonly described: readonly SchemaObject[]
  /** Other forms of such an object that the gateway's own scripts make, and that migrations leave as they are. */
  readonly accepted: readonly Pick<SchemaObject, 'kind' | 'of' | 'name' | 'is'>[]
  /** What the catalogue says of these tables and views. Names of none are passed over. `columns`: those of which partitions can be made. */
  schema(relations: readonly string[], columns: readonly TimeColumn[]): Promise<SchemaFacts>
  /**
   * What this login may do beyond these rights, each a clause; `undefined`: it may do with tables as it likes. None where the
   * engine has no rights.
   */
  rightsBeyond(needed: Rights | undefined): Promise<readonly Excess[]>
  /** Why this login cannot migrate, each a clause with the statement that would let it. None where it can, or where the engine has no rights. */
  hindersMigrating(): Promise<readonly Hindrance[]>
  condition(limits: Limits): Promise<Condition>
  /** Reads every page. What is damaged, in the engine's words. */
  thorough(limits: Limits, signal: AbortSignal): Promise<Thorough>
}

/** `key`: a primary key or what makes a column unique. Functions are those that triggers call. */
export type ObjectKind = 'table' | 'view' | 'column' | 'key' | 'check' | 'index' | 'trigger' | 'function'

export interface SchemaObject {
  readonly kind: ObjectKind
  /** Its table or view. Of a function: the table whose trigger calls it. */
  readonly of: string
  readonly name: string
  /** What it is, without its name and its schema: equal where two are alike. */
  readonly is: string
  /** The migration that makes it; 0: the worker itself does, with the record of migrations. */
  readonly version: number
}

export interface SchemaFacts {
  /** `version` is 0 for all of them. */
  readonly objects: readonly SchemaObject[]
  /** Tables that consist of partitions. */
  readonly partitioned: ReadonlySet<string>
  readonly invalidIndexes: readonly OfTable[]
  /** Triggers that are there and do not fire. */
  readonly silentTriggers: readonly OfTable[]
  /** Triggers that lie on a single partition of a table; `partition` has its schema, `is` says what the trigger does. */
  readonly partitionTriggers: readonly { readonly table: string; readonly partition: string; readonly name: string; readonly is: string }[]
  readonly rules: readonly OfTable[]
  /** `active`: it hides rows from this login. */
  readonly rowSecurity: readonly { readonly table: string; readonly active: boolean }[]
  /** Foreign keys of whichever table that refer to one of these. */
  readonly references: readonly Reference[]
  /** Functions that change a table with the rights of its owner, and are not as the worker makes them. */
  readonly changedFunctions: readonly OfTable[]
  /** Why the owner of something is not trusted, each a sentence with what to do. */
  readonly strangers: readonly string[]
}

export interface OfTable {
  readonly table: string
  readonly name: string
  /** The statement that puts it right. */
  readonly statement: string
}

export interface Reference {
  /** The table that is referred to. */
  readonly table: string
  readonly by: string
  readonly columns: readonly string[]
  readonly effect: 'blocks' | 'deletes' | 'changes'
}

/** What a login may not do. */
export interface Hindrance {
  /** A clause without a subject: `may not create in the schema public`. */
  readonly may: string
  /** Would allow it. */
  readonly statement: string
}

/** What a login may do beyond what it needs. */
export interface Excess {
  /** As above: `is a superuser`. */
  readonly may: string
  /** Ends it; `undefined`: none that could be advised. */
  readonly statement: string | undefined
}

/** Handed in, so that a test need not wait. */
export interface Limits {
  /** How old a transaction is that nobody means to have open. */
  readonly oldTransactionMs: number
  /** How large a log is that is not given back. */
  readonly largeLogBytes: number
  /** How long reading may keep others from writing, where it does. */
  readonly longestLockMs: number
}

export interface Ailment {
  readonly grave: boolean
  readonly sentence: string
  readonly action: string
}

/** Each engine says what it knows; what it has no such thing as is empty. */
export interface Condition {
  /** What keeps the space of deleted rows from being used again. */
  readonly oldTransactions: readonly Ailment[]
  readonly preparedTransactions: readonly Ailment[]
  readonly replicationSlots: readonly Ailment[]
  /** Of the server or the file, with which rows are less safe or the purge is slower than meant. */
  readonly settings: readonly Ailment[]
  /** How changes are written. */
  readonly journal: readonly Ailment[]
  readonly log: readonly Ailment[]
  /** Owners and modes of the database's files. */
  readonly files: readonly Ailment[]
  /** The folder of the database; `undefined`: it is on another machine, or cannot be seen. */
  readonly folder: string | undefined
  /** What was to be looked at and could not be seen, each a sentence. */
  readonly unseen: readonly string[]
}

export interface Thorough {
  readonly damage: readonly string[]
  /** Why nothing was read; `undefined`: everything was. */
  readonly unseen: string | undefined
}
