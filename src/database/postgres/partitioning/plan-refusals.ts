import { plural, someText } from '../../../number-text.ts'
import { literal, qualified, quoted } from '../identifiers.ts'
import { limitsFrom, type LimitFacts } from './limits.ts'
import { structureProblems } from './plan-structure.ts'
import type { Dependent, Named, PlanFacts, RowFacts } from './plan-facts.ts'
import { PARTITIONED, type PartitionTerms } from '../../partitioning.ts'
import type { Tree } from './tree.ts'

/** So many rows of each kind are set aside in a transaction that locks the table. */
export const MOST_SET_ASIDE = 10_000

/** Why a table of this kind can never be one of ours; its other facts then do not matter. */
export function kindProblem(tree: Tree | undefined, { schema, table }: Named, managers: readonly string[]): string | undefined {
  const title = `${schema}.${table}`
  if (tree === undefined) return `There is no table ${title} yet: the migrations make it. Run: mcp-gateway-maintenance migrate`
  const by =
    managers.length === 0
      ? ''
      : `; ${managers.join(' and ')} ${plural(managers.length, 'is', 'are')} installed in this database, and may have made its partitions`
  if (tree.kind === 'p')
    return `${title} is partitioned already, and not by this program${by}. Nothing is made or dropped there, and its expired rows go by batches.`
  if (tree.kind !== 'r')
    return `${title} is ${KINDS[tree.kind] ?? 'no table'}, and only a plain table can be turned into partitions. Its rows cannot be purged either.`
  return undefined
}

const KINDS: Readonly<Record<string, string>> = { v: 'a view', m: 'a materialized view', f: 'a foreign table' }

export interface Judged {
  readonly named: Named
  readonly tree: Tree
  readonly facts: PlanFacts
  readonly terms: PartitionTerms
  /** How many partitions there will be. */
  readonly most: number
  readonly pooled: boolean
}

/** Every reason why a plain table is not turned into partitions, as far as the catalogue says it. */
export function refusals({ named, tree, facts, terms, most, pooled }: Judged): readonly string[] {
  return [
    ...recordProblem(tree, named),
    ...rightsProblems(named, tree, facts),
    ...structureProblems(named, tree, facts),
    ...foreignKeyProblems(named, facts),
    // The owner's role replaces them: another one's lack of rights says nothing.
    ...facts.dependents.filter(({ why }) => tree.isOwner || why !== 'view').map((dependent) => dependentProblem(named, dependent)),
    ...replicationProblems(named, tree, facts),
    ...limitsFrom(facts.limits, terms, most),
    ...namesProblem(named, facts),
    ...(pooled
      ? [
          'The connection goes through a pooler, which may give each statement a different session, and an index is built outside a transaction. Run the command once with a DATABASE_URL that leads directly to the server.',
        ]
      : []),
    ...preparedProblem(facts),
  ]
}

/** The same as far as its rows say it. */
export function rowRefusals(
  { schema, table, column }: Named,
  { undated, ahead, undatedLately }: RowFacts,
  boundText: string,
  { publications }: LimitFacts,
): readonly string[] {
  const relation = qualified(schema, table)
  const time = quoted(column)
  return [
    ...(undatedLately
      ? [
          `Rows without a time were written to ${schema}.${table} lately, and for some seconds such rows would be refused while the table is turned into partitions. ` +
            `Find out what writes them, or give the column a default in the zone of its other times.`,
        ]
      : []),
    ...(undated + ahead === 0
      ? []
      : publications
          // One that names the table is refused in any case.
          .filter(({ isOwner, carries }) => !isOwner && carries !== 'table')
          .map(
            ({ name }) =>
              `Some rows of ${schema}.${table} have no time, or one from ${boundText} on, and have to be moved, which publication ${name} must not send to subscribers. It belongs to another role, and only that can see to it. Run this command as its owner, or delete those rows: ` +
              `SELECT * FROM ${relation} WHERE ${time} IS NULL OR ${time} >= '${boundText}'`,
          )),
    ...(undated > MOST_SET_ASIDE
      ? [
          `More than 10,000 rows of ${schema}.${table} have no time. They would have to be moved under a lock that nobody should wait for. They never expire as they are: give them a time, or delete them. ` +
            `Look at them with: SELECT * FROM ${relation} WHERE ${time} IS NULL`,
        ]
      : []),
    ...(ahead > MOST_SET_ASIDE
      ? [
          `More than 10,000 rows of ${schema}.${table} have a time from ${boundText} on. They would have to be moved under a lock that nobody should wait for. ` +
            `A clock that is ahead has written them, or DATABASE_TIME_ZONE names another zone than the gateway writes in. Correct their times, or delete them. ` +
            `Look at them with: SELECT * FROM ${relation} WHERE ${time} >= '${boundText}'`,
        ]
      : []),
  ]
}

function recordProblem({ record, isRecordUnreadable }: Tree, { schema, table }: Named): readonly string[] {
  if (isRecordUnreadable)
    return [
      `The row of ${table} in ${schema}.${PARTITIONED} is none that the worker writes, and what it has done could not be told by it. ` +
        `Find out what wrote that row. Then run: DELETE FROM ${qualified(schema, PARTITIONED)} WHERE table_name = ${literal(table)}`,
    ]
  if (record?.undoingSince === undefined) return []
  return [`${schema}.${table} is being turned back into a plain table, and that has not ended. Run: mcp-gateway-maintenance partition undo`]
}

function rightsProblems({ schema, table }: Named, { isOwner, owner }: Tree, { shape, grants }: PlanFacts): readonly string[] {
  const { role, mayCreate, ownerMayCreate } = shape
  // What else this role lacks does not matter then: it is not the one that should do it.
  if (!isOwner)
    return [
      `Role ${role} does not own ${schema}.${table}, and only its owner, ${owner}, can turn it into partitions. ` +
        `Run this command with a DATABASE_URL of ${owner}, or of a role that acts as it, as the migrating role does.`,
    ]
  const creators = [...new Set([...(mayCreate ? [] : [role]), ...(ownerMayCreate ? [] : [owner])])]
  return [
    ...creators.map(
      (each) =>
        `Role ${each} may not create tables in schema ${schema}, and partitions are tables there. Its owner can grant that. Run: GRANT CREATE ON SCHEMA ${quoted(schema)} TO ${quoted(each)}`,
    ),
    ...grants.map((grant) => `Role ${role} may not write the record of partitioned tables. Its owner can grant that. Run: ${grant}`),
  ]
}

/** Measured on 15 and 18: LIKE copies no foreign key; ATTACH and DETACH take SHARE ROW EXCLUSIVE on the table that is referred to, and DROP takes ACCESS EXCLUSIVE. */
function foreignKeyProblems({ schema, table }: Named, { foreignKeys }: PlanFacts): readonly string[] {
  return foreignKeys.map(({ name, of, to, refersToUs }) =>
    refersToUs
      ? `Foreign key ${name} of ${of} refers to ${schema}.${table}, which has no key on id alone once it is partitioned. Drop the foreign key, or leave the table to the batches.`
      : `Foreign key ${name} of ${schema}.${table} refers to ${to}, and who writes to that table would have to wait each time a partition is made or taken out, and who reads it each time one is dropped. Drop the foreign key, or leave the table to the batches.`,
  )
}

function dependentProblem({ schema, table }: Named, { type, identity, why }: Dependent): string {
  const title = `${schema}.${table}`
  const subject = `${type.slice(0, 1).toUpperCase()}${type.slice(1)} ${identity}`
  switch (why) {
    case 'materialized':
      return `${subject} reads ${title} and cannot be replaced in place: it would go on with the rows from before. Drop it, and create it again afterwards.`
    case 'rule':
      return `${subject} would go on with the table from before. Drop the rule, and create it again afterwards where it is still needed.`
    case 'row type':
      return `${subject} uses the row type of ${title}, which is another one afterwards. Name the columns there instead, or drop it and create it again afterwards.`
    case 'key':
      return `${subject} groups rows of ${title} by the primary key alone, which the time is part of afterwards. Name the other columns in its GROUP BY too, or drop it.`
    case 'view':
      return `${subject} reads ${title} and must be replaced along with it, which this role may not do: it takes the view's owner and CREATE on its schema. Give the view to the table's owner, or drop it.`
    case 'other':
      return `${subject} holds ${title} by its number and would go on with the rows from before. Drop it, and create it again afterwards.`
  }
}

function replicationProblems({ schema, table, column }: Named, { mayBeNull }: Tree, { limits, shape, own }: PlanFacts): readonly string[] {
  const title = `${schema}.${table}`
  const relation = qualified(schema, table)
  const sending = limits.publications.filter(({ sendsChanges }) => sendsChanges).map(({ name }) => name)
  return [
    ...limits.publications
      .filter(({ carries, isOwner, viaRoot }) => viaRoot && carries === 'table' && !isOwner)
      .map(
        ({ name }) =>
          `Publication ${name} names ${title} and would go on with the table from before; only its owner can change that, which role ${shape.role} is not. Take the table out of it. Run: ALTER PUBLICATION ${quoted(name)} DROP TABLE ${relation}`,
      ),
    ...(sending.length > 0 && mayBeNull
      ? [
          `Column ${quoted(column)} of ${title} may be NULL, so the partitioned table has no primary key, and updates and deletes of its rows, which ${someText(sending)} sends to subscribers, would fail. ` +
            `Run: ALTER TABLE ${relation} ALTER COLUMN ${quoted(column)} SET NOT NULL`,
        ]
      : []),
    ...(sending.length > 0 && own.replicaIdentity !== 'd'
      ? [
          `${title} has a replica identity of its own, which its partitions would not have, and ${someText(sending)} sends its changes to subscribers. Run: ALTER TABLE ${relation} REPLICA IDENTITY DEFAULT`,
        ]
      : []),
    ...(shape.isSubscribed
      ? [
          `A subscription of this database writes to ${title} and would go on with the table from before. Turn the table into partitions where the rows come from, or drop the subscription.`,
        ]
      : []),
  ]
}

function namesProblem({ schema, table }: Named, { takenNames }: PlanFacts): readonly string[] {
  if (takenNames.length === 0) return []
  return [
    `Schema ${schema} has relations with names that the partitions of ${table} need: ${someText(takenNames, 5)}. Rename or drop them; if they are left of an earlier try of another program, look at them first.`,
  ]
}

export function preparedProblem({ prepared }: Pick<PlanFacts, 'prepared'>): readonly string[] {
  if (prepared === 0) return []
  return [
    'This database has prepared transactions, and an index that is built without blocking writes waits for each of them, for ever if nobody ends it. Commit or roll them back: SELECT gid, prepared, owner FROM pg_prepared_xacts',
  ]
}
