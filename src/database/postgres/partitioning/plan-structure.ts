import { someText } from '../../../number-text.ts'
import { qualified, quoted } from '../identifiers.ts'
import { boundName } from './conversion-names.ts'
import type { IndexFacts } from './dependents.ts'
import type { Named, PlanFacts } from './plan-facts.ts'
import type { Tree } from './tree.ts'

/** What of the table's own structure cannot be had with partitions; each a sentence with what to do. */
export function structureProblems(named: Named, tree: Tree, facts: PlanFacts): readonly string[] {
  const { schema, table } = named
  const title = `${schema}.${table}`
  const { shape, own, managers } = facts
  return [
    ...familyProblems(title, tree, facts),
    ...columnProblems(named, tree, facts),
    ...(shape.extension === null ? [] : [`${title} belongs to extension ${shape.extension}, which decides on it.`]),
    ...(managers.includes('Citus')
      ? ['Citus is installed in this database, and how its tables take what is done here was not tried. Leave the table to the batches.']
      : []),
    ...(shape.isTyped
      ? [`${title} is a table of a composite type, which a partition cannot be. Run: ALTER TABLE ${qualified(schema, table)} NOT OF`]
      : []),
    ...(own.persistence === 'p'
      ? []
      : [
          `${title} is unlogged or temporary, which a partitioned table cannot be. Run: ALTER TABLE ${qualified(schema, table)} SET LOGGED`,
        ]),
    ...(own.hasRowSecurity || own.hasPolicies || shape.forcesRowSecurity
      ? [
          `${title} has row-level security, whose policies do not hold for partitions that are read by their own names. Leave the table to the batches, or take the policies off.`,
        ]
      : []),
    ...own.indexes.flatMap((index) => indexProblem(named, index)),
    // Ours, if an earlier start has got so far.
    ...facts.checks.filter(({ name }) => tree.record === undefined || name !== boundName(table)).map((check) => checkProblem(named, check)),
    ...facts.triggers.map(
      (name) =>
        `Trigger ${name} of ${title} has transition tables and runs for each row, which PostgreSQL does not allow on a partition. Let it run for each statement, or drop it.`,
    ),
  ]
}

function familyProblems(title: string, { parts }: Tree, { shape, managers }: PlanFacts): readonly string[] {
  const hypertable = managers.includes('TimescaleDB')
    ? ' TimescaleDB is installed in this database, and a hypertable of it looks like that: leave it to TimescaleDB.'
    : ''
  return [
    ...(parts.length === 0
      ? []
      : [
          `${title} has child tables (${someText(
            parts.map(({ schema, name }) => `${schema}.${name}`),
            3,
          )}), whose rows a partitioned table would not have.${hypertable} Leave the table to the batches, which see these rows too.`,
        ]),
    ...(shape.parents.length === 0
      ? []
      : [`${title} is itself a part of ${someText(shape.parents)}. Leave the table to the batches, or take it out of that.`]),
  ]
}

function columnProblems({ schema, table, column }: Named, { type }: Tree, { shape }: PlanFacts): readonly string[] {
  const title = `${schema}.${table}`
  return [
    ...(type === undefined
      ? [
          `Column ${quoted(column)} of ${title} is missing, or is neither timestamp nor timestamptz: days cannot be told by it. Change its type, or leave the table to the batches.`,
        ]
      : []),
    ...(shape.isTimeGenerated
      ? [
          `Column ${quoted(column)} of ${title} is generated, and a table cannot be partitioned by such a column. Leave the table to the batches.`,
        ]
      : []),
    ...(shape.hasId
      ? []
      : [`${title} has no column "id", which the migrations give it. Find out what created the table, or leave it to the batches.`]),
  ]
}

function indexProblem({ schema, table, column }: Named, index: IndexFacts): readonly string[] {
  const title = `${schema}.${table}`
  const { name, columns } = index
  const isPlain = !index.isPartial && !index.definition.includes(' INCLUDE ')
  if (index.constraint === 'x')
    return [`Exclusion constraint ${name} of ${title} would hold within each partition alone. Drop it, or leave the table to the batches.`]
  const isOurs = isPlain && columns.join() === ['id', column].join()
  if (index.isUnique && !isOurs && !(isPlain && !index.isDeferrable && columns.join() === 'id'))
    return [
      `Unique index ${name} of ${title} is on something else than id alone, and on a partitioned table a value can be kept from coming twice only within a partition. ` +
        'Drop it if the gateway can do without, or leave the table to the batches.',
    ]
  // Ours may be left of a start that was killed, and is built again.
  if (!index.isValid && !isOurs)
    return [
      `Index ${name} of ${title} is invalid: a build of it was interrupted. Run: REINDEX INDEX CONCURRENTLY ${qualified(schema, name)}`,
    ]
  return []
}

function checkProblem({ schema, table }: Named, { name, isValid }: PlanFacts['checks'][number]): string {
  const title = `${schema}.${table}`
  return isValid
    ? `Constraint ${name} of ${title} is NO INHERIT, so that partitions would not have it. Drop it and add it again without that.`
    : `Constraint ${name} of ${title} was never validated, and a partition must not have such a one. Run: ALTER TABLE ${qualified(schema, table)} VALIDATE CONSTRAINT ${quoted(name)}`
}
