import type { Query } from '../../query.ts'
import { missingGrants } from '../grants.ts'
import { PARTITIONED } from '../../partitioning.ts'
import type { SessionRow } from '../migrating/sessions.ts'
import { readDependents, type Dependents } from './dependents.ts'
import { managersHere } from './managers.ts'
import { limitFacts, type LimitFacts } from './limits.ts'
import { DEPENDENTS } from './plan-dependents.ts'
import { CHECKS, FOREIGN_KEYS, latelySql, OLDEST, PREPARED, SHAPE, TAKEN_NAMES, TRIGGERS, waywardSql } from './plan-sql.ts'
import type { PartitioningOptions, Tree } from './tree.ts'

/** The table, for people and for statements. */
export interface Named {
  readonly schema: string
  readonly table: string
  readonly column: string
}

/** What the catalogue says of a table, of the role that is connected, and of who is in the way. */
export interface PlanFacts {
  /** Citus, pg_partman, TimescaleDB: those that are installed in the database. */
  readonly managers: readonly string[]
  /** What belongs to the table's name. */
  readonly own: Dependents
  readonly shape: Shape
  /** Those that refer to the table, and its own. */
  readonly foreignKeys: readonly { readonly name: string; readonly of: string; readonly to: string; readonly refersToUs: boolean }[]
  /** Constraints that a partition cannot share with its table. */
  readonly checks: readonly { readonly name: string; readonly isValid: boolean; readonly isInherited: boolean }[]
  /** Row triggers with transition tables. */
  readonly triggers: readonly string[]
  readonly dependents: readonly Dependent[]
  /** Names that are needed and belong to other relations. */
  readonly takenNames: readonly string[]
  /** The statements that would give this role what it lacks on our record. */
  readonly grants: readonly string[]
  readonly limits: LimitFacts
  /** The transaction of another session that has lasted longest, where this role may see it. */
  readonly oldest: SessionRow | undefined
  /** Prepared transactions of this database. */
  readonly prepared: number
}

export interface Shape {
  readonly role: string
  readonly isTyped: boolean
  /** What it is a child or a partition of; empty: nothing. */
  readonly parents: readonly string[]
  /** Forced on its owner too. */
  readonly forcesRowSecurity: boolean
  readonly extension: string | null
  readonly isSubscribed: boolean
  readonly hasId: boolean
  readonly isTimeGenerated: boolean
  /** The role and the table's owner; false: that may not create tables in the schema. */
  readonly mayCreate: boolean
  readonly ownerMayCreate: boolean
  readonly bytes: number
}

/** Something that holds the table by its number, and would go on with the rows from before. */
export interface Dependent {
  /** As `pg_identify_object` has both: `materialized view`, `public.by_day`. */
  readonly type: string
  readonly identity: string
  /** `key`: a view that groups by the primary key; `view`: one that this role may not replace. */
  readonly why: 'rule' | 'materialized' | 'row type' | 'key' | 'view' | 'other'
}

/** How its rows are. */
export interface RowFacts {
  /** By the planner. */
  readonly rows: number
  /** Without a time, or from the bound on; counted up to one more than `most` of each kind. */
  readonly undated: number
  readonly ahead: number
  /** Whether one of the rows written last has no time. */
  readonly undatedLately: boolean
}

/** `undefined`: the table has just been dropped. In a transaction of its own. */
export async function planFacts(
  query: Query,
  { schema, column }: PartitioningOptions,
  tree: Tree,
  names: readonly string[],
): Promise<PlanFacts | undefined> {
  const { id } = tree
  const one = async <Row>(sql: string): Promise<readonly Row[]> => (await query.query<Row>(sql, [id])).rows
  const own = await readDependents(query, schema, column.table)
  if (own === undefined) return undefined
  return {
    own,
    managers: await managersHere(query),
    shape: (await query.query<Shape>(SHAPE, [id, column.column])).rows[0]!,
    foreignKeys: await one(FOREIGN_KEYS),
    checks: await one(CHECKS),
    triggers: (await one<{ name: string }>(TRIGGERS)).map(({ name }) => name),
    dependents: await one(DEPENDENTS),
    takenNames: (await query.query<{ name: string }>(TAKEN_NAMES, [schema, JSON.stringify(names)])).rows.map(({ name }) => name),
    grants: await missingGrants(query, schema, { [PARTITIONED]: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] }),
    limits: await limitFacts(query, schema, column.table),
    oldest: (await query.query<SessionRow>(OLDEST)).rows[0],
    prepared: (await query.query<{ prepared: number }>(PREPARED)).rows[0]?.prepared ?? 0,
  }
}

/** How many of the rows with the highest ids are looked at for one without a time. */
const NEWEST_ROWS = 10_000

/** `bound`: as the column reads it. */
export async function rowFacts(
  query: Query,
  { table, column, type }: { readonly table: string; readonly column: string; readonly type: string },
  { bound, most, mayBeNull, rows }: { readonly bound: string; readonly most: number; readonly mayBeNull: boolean; readonly rows: number },
): Promise<RowFacts> {
  // Where nothing says what is there, the planner knows best how it is found.
  await query.query('SET LOCAL enable_seqscan = on')
  const counted = (await query.query<{ undated: number; ahead: number }>(waywardSql(table, column, type), [bound, most + 1])).rows[0]!
  const lately = mayBeNull && (await query.query<{ found: boolean }>(latelySql(table, column), [NEWEST_ROWS])).rows[0]!.found
  return { rows, ...counted, undatedLately: lately }
}
