import type { Query } from '../../query.ts'
import { qualified } from '../identifiers.ts'
import { GRANTS_OF, CANONICAL, QUERIES, type GrantRow } from './dependents-sql.ts'

/**
 * What belongs to a table's name and does not follow a rename, as the catalogue has it. Every text of the server's names what it means in full: it is read
 * under an empty search path, and has to be executed under one.
 */
export interface Dependents {
  readonly id: string
  readonly schema: string
  readonly name: string
  /** `"public"."audit_logs"`, quoted by the server, as it stands in the definitions. */
  readonly quoted: string
  readonly owner: string
  readonly comment: string | null
  /** `pg_class.relpersistence`: `p` unless it is temporary or unlogged. */
  readonly persistence: string
  readonly hasRowSecurity: boolean
  readonly hasPolicies: boolean
  readonly hasRules: boolean
  /** `pg_class.relreplident`: `d` unless somebody has changed it. */
  readonly replicaIdentity: string
  /** `fillfactor=70` */
  readonly options: readonly string[]
  readonly tablespace: string | null
  /** In their order. */
  readonly columns: readonly ColumnFacts[]
  /** With those of constraints, the primary key's first. */
  readonly indexes: readonly IndexFacts[]
  readonly checks: readonly CheckFacts[]
  /** Without those that a partitioned table has given its partition, and those of foreign keys. */
  readonly triggers: readonly TriggerFacts[]
  /** Of the table and of its columns. */
  readonly grants: readonly Grant[]
  /** Extended statistics. */
  readonly statistics: readonly string[]
  /** Those that belong to one of the columns. */
  readonly sequences: readonly SequenceFacts[]
  /** Those that read the table, or read a view that does, each after all that it reads. */
  readonly views: readonly ViewFacts[]
  readonly publications: readonly PublicationFacts[]
}

export interface ColumnFacts {
  readonly name: string
  readonly type: string
  readonly collation: string | null
  readonly notNull: boolean
  /** `pg_attribute.attidentity`: `a` always, `d` by default, or empty. */
  readonly identity: string
  /** `pg_attribute.attgenerated`: `s` stored, `v` virtual, or empty. */
  readonly generated: string
  /** The default, or what it is generated from. */
  readonly expression: string | null
  readonly comment: string | null
  /** -1: the server's. */
  readonly statisticsTarget: number
  readonly options: readonly string[]
}

export interface IndexFacts {
  readonly name: string
  /** From `USING` on: without names of the index and its table. */
  readonly definition: string
  readonly isUnique: boolean
  readonly isValid: boolean
  /** `p` primary key, `u` unique, `x` exclusion; `null`: it belongs to no constraint. */
  readonly constraint: string | null
  readonly isDeferrable: boolean
  /** Of its key, in their order; `null` stands for an expression. */
  readonly columns: readonly (string | null)[]
  readonly isPartial: boolean
  readonly tablespace: string | null
  readonly comment: string | null
}

export interface CheckFacts {
  readonly name: string
  /** `CHECK (…)`, and `NOT VALID` or `NO INHERIT` behind it. */
  readonly definition: string
  readonly isValid: boolean
  readonly isInherited: boolean
}

export interface TriggerFacts {
  readonly name: string
  /** As `CREATE TRIGGER`, with the name of the table in full. */
  readonly definition: string
  readonly forEachRow: boolean
  readonly firesOnDelete: boolean
  /** `pg_trigger.tgenabled`: `O` ordinary, `D` disabled, `R` replica, `A` always. */
  readonly enabled: string
  readonly comment: string | null
}

export interface Grant {
  /** `null`: the whole table. */
  readonly column: string | null
  /** `null`: PUBLIC. */
  readonly grantee: string | null
  readonly privilege: string
  readonly mayGrant: boolean
}

export interface SequenceFacts {
  readonly schema: string
  readonly name: string
  readonly column: string
  readonly isIdentity: boolean
  /** `START WITH 1 INCREMENT BY 1 …`, all that a sequence is made with. */
  readonly parameters: string
  readonly comment: string | null
  readonly grants: readonly Grant[]
}

export interface ViewFacts {
  readonly schema: string
  readonly name: string
  readonly owner: string
  /** Whether the connected role may replace it. */
  readonly isOwner: boolean
  readonly isMaterialized: boolean
  /** Whether it names the table itself, and not only a view that does. */
  readonly isDirect: boolean
  readonly definition: string
  /** `security_barrier=true` */
  readonly options: readonly string[]
}

export interface PublicationFacts {
  readonly name: string
  readonly isOwner: boolean
  readonly allTables: boolean
  /** Whether changes of a partition are published as those of its table. */
  readonly viaRoot: boolean
  /** Whether it names this table. */
  readonly isNamed: boolean
  readonly filter: string | null
  /** `null`: all of them. */
  readonly columns: readonly string[] | null
}

/**
 * `undefined`: there is no such table. In a transaction, which has an empty search path afterwards. The table is one that may be trusted: the catalogue is all
 * that is read, but what is returned is meant to be executed.
 */
export async function readDependents(tx: Query, schema: string, table: string): Promise<Dependents | undefined> {
  await tx.query(CANONICAL)
  const { rows } = await tx.query<Omit<Dependents, 'columns' | 'indexes' | 'checks' | 'triggers' | 'grants' | 'sequences' | 'views'>>(
    QUERIES.table,
    [schema, table],
  )
  const [found] = rows
  if (found === undefined) return undefined
  const all = async <Row>(sql: string): Promise<readonly Row[]> => (await tx.query<Row>(sql, [found.id])).rows
  const sequences: SequenceFacts[] = []
  for (const { id, ...sequence } of await all<Omit<SequenceFacts, 'grants'> & { readonly id: string }>(QUERIES.sequences)) {
    const { rows: grants } = await tx.query<GrantRow>(QUERIES.grants, [id])
    sequences.push({ ...sequence, grants })
  }
  return {
    ...found,
    columns: await all<ColumnFacts>(QUERIES.columns),
    indexes: await all<IndexFacts>(QUERIES.indexes),
    checks: await all<CheckFacts>(QUERIES.checks),
    triggers: await all<TriggerFacts>(QUERIES.triggers),
    grants: await all<GrantRow>(QUERIES.grants),
    statistics: (await all<{ name: string }>(QUERIES.statistics)).map(({ name }) => name),
    sequences,
    views: await all<ViewFacts>(QUERIES.views),
    publications: await all<PublicationFacts>(QUERIES.publications),
  }
}

/** The primary key. */
export function primaryKeyOf({ indexes }: Dependents): IndexFacts | undefined {
  return indexes.find(({ constraint }) => constraint === 'p')
}

/** Of a table and its columns. */
export async function readGrants(tx: Query, schema: string, table: string): Promise<readonly Grant[]> {
  return (await tx.query<GrantRow>(GRANTS_OF, [qualified(schema, table)])).rows
}
