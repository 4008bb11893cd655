import { DAY, type EpochMs } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import { PARTITIONED, type PartitionTerms } from '../../partitioning.ts'
import type { Transaction } from '../../query.ts'
import { updatersOf } from '../grants.ts'
import { literal, qualified, quoted } from '../identifiers.ts'
import type { TimeType } from '../times.ts'
import type { Work } from './conversion-work.ts'
import { boundName, firstName, keyName, preparedName, shifted } from './conversion-names.ts'
import { differences, keyColumns, type ConversionState } from './conversion-state.ts'
import { defaultName, firstBound, firstDays, midnight, partitionName } from './days.ts'
import { primaryKeyOf, readDependents, readGrants, type Dependents } from './dependents.ts'
import type { Place } from './function-text.ts'
import { functionStatements } from './functions.ts'
import { columnsSql, grantsSql, identitySql, indexSql, liken, triggersSql } from './likeness.ts'
import { discard } from './setting-aside.ts'
import { readingAt } from './tree.ts'

/** Whoever may update it runs jobs. */
const LEASES = 'maintenance_leases'

/**
 * Makes the partitioned table with all that belongs to the name, its DEFAULT and its first days, under names that nobody uses; what an earlier start has
 * prepared goes first. Locks nothing that the gateway waits for.
 */
export async function prepare(work: Work, { table, prepared, type }: ConversionState, terms: PartitionTerms): Promise<void> {
  const { schema, column } = work.options
  await work.apply(async (tx) => {
    if (prepared !== undefined) await discard(tx, table, prepared)
    // Sets the search path that the texts of the catalogue were read under.
    const now = await readDependents(tx, schema, column.table)
    if (now === undefined) throw new DatabaseError('failed', `${schema}.${column.table} has been dropped.`)
    const bound = midnight(firstBound(readingAt(work.now(), type, work.options.timeZone)), type)
    await makeLike(tx, now, column.column)
    await makePartitions(tx, now, type, firstDays(bound.reading, terms.aheadMs))
    await tx.query(
      `INSERT INTO ${qualified(schema, PARTITIONED)} (table_name, first_partition, bound, began_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (table_name) DO UPDATE SET first_partition = excluded.first_partition, bound = excluded.bound, converted_at = NULL`,
      [column.table, firstName(column.table), bound.text, tx.now],
    )
    await mustBeAlike(tx, now, column.column)
    await makeFunctions(tx, { schema, table: column.table, column: column.column }, now.owner)
  })
}

/** Makes the two functions anew where they are, for every role that may run jobs. */
export async function makeFunctions(tx: Transaction, place: Place, owner: string): Promise<void> {
  const roles = await updatersOf(tx, place.schema, LEASES)
  await run(tx, functionStatements({ ...place, owner, roles }).ensure)
}

async function makeLike(tx: Transaction, table: Dependents, time: string): Promise<void> {
  const { schema } = table
  const name = preparedName(table.name)
  const target = qualified(schema, name)
  const key = primaryKeyOf(table)
  await tx.query(
    `CREATE TABLE ${target} (LIKE ${table.quoted} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING INDEXES) PARTITION BY RANGE (${quoted(time)})` +
      (table.tablespace === null ? '' : ` TABLESPACE ${quoted(table.tablespace)}`),
  )
  const identities = table.sequences.filter(({ isIdentity }) => isIdentity)
  const kindOf = (column: string): string => table.columns.find((each) => each.name === column)?.identity ?? 'd'
  const plain = table.indexes.filter((index) => index !== key && index.name !== keyName(table.name))
  await run(tx, [
    `ALTER TABLE ${target} OWNER TO ${quoted(table.owner)}`,
    ...identities.map((sequence) => identitySql(target, sequence, kindOf(sequence.column), shifted(sequence.name, 'new'))),
    ...identities.flatMap(({ schema: place, name: sequence, comment }) =>
      comment === null ? [] : [`COMMENT ON SEQUENCE ${qualified(place, shifted(sequence, 'new'))} IS ${literal(comment)}`],
    ),
    ...(key === undefined ? [] : keySql(table, time, target)),
    ...plain.flatMap((index) => indexSql(index, schema, shifted(index.name, 'new'), target)),
    ...triggersSql(table.triggers, table.quoted, target),
    ...columnsSql(table, target),
    ...(table.comment === null ? [] : [`COMMENT ON TABLE ${target} IS ${literal(table.comment)}`]),
    ...(table.replicaIdentity === 'f' ? [`ALTER TABLE ${target} REPLICA IDENTITY FULL`] : []),
  ])
  await run(tx, grantsSql(`TABLE ${target}`, table.grants, await readGrants(tx, schema, name)))
  for (const { schema: place, name: old, grants } of identities) {
    const sequence = shifted(old, 'new')
    await run(tx, grantsSql(`SEQUENCE ${qualified(place, sequence)}`, grants, await readGrants(tx, place, sequence)))
  }
}

/** A primary key would forbid rows without a time. */
function keySql(table: Dependents, time: string, target: string): readonly string[] {
  const key = primaryKeyOf(table)!
  const name = shifted(key.name, 'new')
  const columns = keyColumns(key, time).map(quoted).join(', ')
  const mayBeNull = table.columns.some((column) => column.name === time && !column.notNull)
  const comment = key.comment === null ? undefined : literal(key.comment)
  return mayBeNull
    ? [
        `CREATE UNIQUE INDEX ${quoted(name)} ON ${target} (${columns})`,
        ...(comment === undefined ? [] : [`COMMENT ON INDEX ${qualified(table.schema, name)} IS ${comment}`]),
      ]
    : [
        `ALTER TABLE ${target} ADD CONSTRAINT ${quoted(name)} PRIMARY KEY (${columns})`,
        ...(comment === undefined ? [] : [`COMMENT ON CONSTRAINT ${quoted(name)} ON ${target} IS ${comment}`]),
      ]
}

/** Nobody sees the table yet: the lock that PARTITION OF takes on it keeps nobody waiting. */
async function makePartitions(tx: Transaction, table: Dependents, type: TimeType, days: readonly EpochMs[]): Promise<void> {
  const parent = qualified(table.schema, preparedName(table.name))
  const made = async (name: string, values: string): Promise<void> => {
    await tx.query(`CREATE TABLE ${qualified(table.schema, name)} PARTITION OF ${parent} ${values}`)
    await liken(tx, table, name, table.options)
  }
  await made(defaultName(table.name), 'DEFAULT')
  for (const day of days) {
    const [from, to] = [midnight(day, type).text, midnight(day + DAY, type).text]
    await made(partitionName(table.name, day), `FOR VALUES FROM (${literal(from)}) TO (${literal(to)})`)
  }
}

/** The server is asked again, because a statement that was accepted has not always done all that it said. */
async function mustBeAlike(tx: Transaction, table: Dependents, time: string): Promise<void> {
  const prepared = await readDependents(tx, table.schema, preparedName(table.name))
  const isBound = prepared?.checks.some(({ name }) => name === boundName(table.name)) === true
  const different =
    prepared === undefined ? ['table'] : [...differences(table, prepared, time), ...(isBound ? ['constraint of the bound'] : [])]
  if (different.length === 0) return
  throw new DatabaseError(
    'failed',
    `${table.schema}.${table.name} was not turned into partitions: its ${different.join(', ')} could not be given to a partitioned table. Nothing was changed.`,
  )
}

async function run(tx: Transaction, statements: readonly string[]): Promise<void> {
  if (statements.length > 0) await tx.query(statements.join('; '))
}
