import { HOUR, type EpochMs } from '../../../time/clock.ts'
import type { Query } from '../../query.ts'
import type { TimeType } from '../times.ts'
import { boundName, keyName, preparedName, shifted } from './conversion-names.ts'
import { primaryKeyOf, readDependents, type Dependents, type IndexFacts } from './dependents.ts'
import { elsewhere } from './likeness.ts'
import { isConverted, readingAt, readTree, type PartitioningOptions, type Tree } from './tree.ts'

/** How far a conversion has come. Nothing of it is remembered: the catalogue has all but the bound, which is in our record. */
export interface ConversionState {
  readonly tree: Tree
  readonly type: TimeType
  readonly table: Dependents
  /** The partitioned table that is to take its place. */
  readonly prepared: Dependents | undefined
}

/**
 * `unbind`: what was begun cannot be gone on with, and the constraint has to go before it is begun anew. `prepare` drops what an earlier start has prepared.
 */
export type Step = 'prepare' | 'unindex' | 'index' | 'bind' | 'validate' | 'swap' | 'unbind' | 'finish'

/** From the constraint on, rows with a time behind the bound are refused: it must be far ahead for as long as that takes. */
const NEAREST_BOUND_MS = 12 * HOUR

/** `undefined`: there is no such table, or no such column in it. */
export async function readConversion(options: PartitioningOptions): Promise<ConversionState | undefined> {
  const { look, schema, column } = options
  const tree = await readTree(options)
  if (tree?.type === undefined) return undefined
  const { type } = tree
  return look(async (tx) => {
    const table = await readDependents(tx, schema, column.table)
    if (table === undefined) return undefined
    return { tree, type, table, prepared: await readPrepared(tx, schema, column.table, tree) }
  })
}

/** A table of that name is not ours as long as our record does not say that we have begun. */
async function readPrepared(tx: Query, schema: string, table: string, { record }: Tree): Promise<Dependents | undefined> {
  return record === undefined ? undefined : await readDependents(tx, schema, preparedName(table))
}

/** `now` is the database's. */
export function nextStep(state: ConversionState, options: PartitioningOptions, now: EpochMs): Step {
  const { tree, table, prepared, type } = state
  const { record } = tree
  if (isConverted(tree)) return 'finish'
  const check = table.checks.find(({ name }) => name === boundName(table.name))
  const isFit =
    record !== undefined &&
    prepared !== undefined &&
    record.bound.reading >= readingAt(now + NEAREST_BOUND_MS, type, options.timeZone) &&
    (check === undefined || isBoundBy(check.definition, record.bound.text)) &&
    differences(table, prepared, options.column.column).length === 0
  if (!isFit) return check === undefined ? 'prepare' : 'unbind'
  const key = newKeyOf(table, options.column.column)
  if (key !== undefined) {
    const index = table.indexes.find(({ name }) => name === keyName(table.name))
    if (index === undefined) return 'index'
    if (!index.isValid) return 'unindex'
  }
  if (check === undefined) return 'bind'
  return check.isValid ? 'swap' : 'validate'
}

/** The definition is read under canonical settings: a time zone or date style of the session's would give the same bound another text. */
export function isBoundBy(definition: string, bound: string): boolean {
  const [, found] =
    /^CHECK \(\(\(.+ IS NOT NULL\) AND \(.+ < '([^']+)'::timestamp with(?:out)? time zone\)\)\)(?: NOT VALID)?$/.exec(definition) ?? []
  return found === bound
}

/** The columns of the primary key with the time added, which a unique index of a partitioned table must have. */
export function keyColumns(key: IndexFacts, time: string): readonly string[] {
  const columns = key.columns.filter((column) => column !== null)
  return columns.includes(time) ? columns : [...columns, time]
}

/** Of the index that the table lacks: `undefined` if it needs none, because it has no primary key, or one with the time in it. */
export function newKeyOf(table: Dependents, time: string): readonly string[] | undefined {
  const key = primaryKeyOf(table)
  return key === undefined || key.columns.includes(time) ? undefined : keyColumns(key, time)
}

/** In what the prepared table differs from what it has to be, each a few words; none: it can take the table's place. */
export function differences(table: Dependents, prepared: Dependents, time: string): readonly string[] {
  const pk = primaryKeyOf(table)
  const indexes = table.indexes
    .filter((index) => index !== pk && index.name !== keyName(table.name))
    .map((index) => indexLine({ ...index, name: shifted(index.name, 'new') }))
  const key = pk === undefined ? undefined : shifted(pk.name, 'new')
  const keys = pk === undefined || key === undefined ? [] : [keyLine(key, keyColumns(pk, time), pk.comment)]
  const checks = table.checks.filter(({ name }) => name !== boundName(table.name))
  const want = profile({ ...table, checks }, [...indexes, ...keys])
  // A plain unique index stands for the key where the time may be NULL.
  const have = profile(
    prepared,
    prepared.indexes.map((index) =>
      index.name === key && index.isUnique ? keyLine(index.name, index.columns, index.comment) : indexLine(index),
    ),
  )
  return Object.keys(want).filter((what) => JSON.stringify(want[what]) !== JSON.stringify(have[what]))
}

function line(...values: readonly unknown[]): string {
  return JSON.stringify(values)
}

function profile(of: Dependents, indexes: readonly string[]): Readonly<Record<string, readonly string[]>> {
  return {
    owner: [of.owner],
    comment: [line(of.comment)],
    columns: of.columns.map((column) => line(column)),
    indexes: indexes.toSorted(),
    constraints: of.checks.map(({ name, definition }) => line(name, definition)),
    triggers: of.triggers.map(({ name, definition, enabled, comment }) =>
      line(name, elsewhere(definition, of.quoted, 'it'), enabled, comment),
    ),
    privileges: of.grants.map((grant) => line(grant)).toSorted(),
    // A serial column's sequence belongs to the table until the end.
    sequences: of.sequences
      .filter(({ isIdentity }) => isIdentity)
      .map(({ column, parameters, comment, grants }) => line(column, parameters, comment, grants.map((grant) => line(grant)).toSorted())),
    'replica identity': [of.replicaIdentity],
  }
}

function keyLine(name: string, columns: readonly (string | null)[], comment: string | null): string {
  return JSON.stringify(['key', name, columns, comment])
}

function indexLine({ name, definition, isUnique, tablespace, comment }: IndexFacts): string {
  return JSON.stringify([name, definition, isUnique, tablespace, comment])
}
