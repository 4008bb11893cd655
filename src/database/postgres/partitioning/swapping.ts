import { PARTITIONED } from '../../partitioning.ts'
import type { Transaction } from '../../query.ts'
import { EQ } from '../exact.ts'
import { literal, qualified, quoted } from '../identifiers.ts'
import { briefly } from './brief-locks.ts'
import type { Work } from './conversion.ts'
import { firstName, keyName, preparedName, shifted } from './conversion-names.ts'
import { newKeyOf, nextStep, readConversion, type ConversionState } from './conversion-state.ts'
import { CANONICAL, DIRECT_VIEWS } from './dependents-sql.ts'
import { primaryKeyOf, readGrants, type Dependents, type PublicationFacts, type SequenceFacts, type ViewFacts } from './dependents.ts'
import { optionsSql } from './likeness.ts'

/**
 * The partitioned table takes the name, and the table becomes its first partition. Everything is looked at again under a lock that the gateway does not notice,
 * and then done under the one that it does. `undefined`: something has changed meanwhile, and nothing was done.
 */
export async function swap(work: Work, views: readonly ViewFacts[]): Promise<{ readonly lockedMs: number } | undefined> {
  const { options } = work
  const { value, lockedMs } = await briefly(work, { views }, async (tx, lock) => {
    const state = await readConversion({ ...options, look: (read) => read(tx) })
    if (state === undefined || nextStep(state, options, work.now()) !== 'swap' || !isSame(views, directViews(state.table))) return false
    await tx.query(CANONICAL)
    const statements = swapSql(state, options.column.column, tx.now)
    await lock()
    // Neither a view nor a privilege needs a lock on the table to be given.
    if (!(await isUnchanged(tx, state.table))) return false
    await tx.query(statements.join('; '))
    return true
  })
  return value ? { lockedMs } : undefined
}

/** Views on views keep what they read: a view that is replaced stays the same one. */
export function directViews({ views }: Dependents): readonly ViewFacts[] {
  return views.filter(({ isDirect }) => isDirect)
}

function isSame(views: readonly ViewFacts[], others: readonly ViewFacts[]): boolean {
  const [one, other] = [views, others].map((all) => JSON.stringify(all.map((view) => [nameOf(view), view.owner])))
  return one === other
}

function nameOf({ schema, name }: Pick<ViewFacts, 'schema' | 'name'>): string {
  return qualified(schema, name)
}

async function isUnchanged(tx: Transaction, table: Dependents): Promise<boolean> {
  const { rows } = await tx.query<Pick<ViewFacts, 'schema' | 'name'>>(DIRECT_VIEWS, [table.id])
  const grants = await readGrants(tx, table.schema, table.name)
  const isViewed = JSON.stringify(rows.map(nameOf).toSorted()) === JSON.stringify(directViews(table).map(nameOf).toSorted())
  return isViewed && JSON.stringify(grants) === JSON.stringify(table.grants)
}

/** In this order: what makes room for a name, what takes it, and then what needs both tables. Each takes a millisecond or so. */
function swapSql({ table, tree, prepared }: ConversionState, time: string, now: number): readonly string[] {
  if (prepared === undefined || tree.record === undefined) throw new Error('nothing is prepared')
  const { schema } = table
  const first = firstName(table.name)
  const legacy = qualified(schema, first)
  const partitioned = qualified(schema, preparedName(table.name))
  const key = primaryKeyOf(table)
  const named = [
    ...(key === undefined ? [] : [key]),
    ...table.indexes.filter((index) => index !== key && index.name !== keyName(table.name)),
  ]
  return [
    `ALTER TABLE ${table.quoted} RENAME TO ${quoted(first)}`,
    ...table.triggers.map(({ name }) => `DROP TRIGGER ${quoted(name)} ON ${legacy}`),
    ...named.flatMap((index) =>
      index === key ? keyOfFirst(table, time, legacy) : [renamed('INDEX', schema, index.name, shifted(index.name, 'legacy'))],
    ),
    ...table.sequences.flatMap((sequence) => sequenceSql(sequence, legacy, partitioned)),
    `ALTER TABLE ${partitioned} RENAME TO ${quoted(table.name)}`,
    ...named.map(({ name }) => renamed('INDEX', schema, shifted(name, 'new'), name)),
    // Scans nothing: the constraint that was validated says it all.
    `ALTER TABLE ${table.quoted} ATTACH PARTITION ${legacy} FOR VALUES FROM (MINVALUE) TO (${literal(tree.record.bound.text)})`,
    ...directViews(table).map(viewSql),
    ...table.publications.filter(({ isNamed }) => isNamed).flatMap((publication) => publicationSql(publication, table.quoted, legacy)),
    `UPDATE ${qualified(schema, PARTITIONED)} SET converted_at = ${now} WHERE table_name ${EQ} ${literal(table.name)}::pg_catalog.text`,
  ]
}

/** Where the time may be NULL the table keeps its primary key, and the index for the partitioned table's beside it. */
function keyOfFirst(table: Dependents, time: string, legacy: string): readonly string[] {
  const { name } = primaryKeyOf(table)!
  const own = shifted(name, 'legacy')
  const mayBeNull = table.columns.some((column) => column.name === time && !column.notNull)
  return newKeyOf(table, time) === undefined || mayBeNull
    ? [renamed('INDEX', table.schema, name, own)]
    : [
        `ALTER TABLE ${legacy} DROP CONSTRAINT ${quoted(name)}`,
        `ALTER TABLE ${legacy} ADD CONSTRAINT ${quoted(own)} PRIMARY KEY USING INDEX ${quoted(keyName(table.name))}`,
      ]
}

/**
 * A sequence that is renamed gives no numbers until the end, also to those who ask it by itself; so none is given twice. Only the new one is set: a rollback does
 * not undo that.
 */
function sequenceSql({ schema, name, column, isIdentity }: SequenceFacts, legacy: string, partitioned: string): readonly string[] {
  const sequence = qualified(schema, name)
  if (!isIdentity) return [`ALTER SEQUENCE ${sequence} OWNED BY ${partitioned}.${quoted(column)}`]
  const [old, next] = [shifted(name, 'legacy'), shifted(name, 'new')]
  return [
    renamed('SEQUENCE', schema, name, old),
    `SELECT pg_catalog.setval(${literal(qualified(schema, next))}::pg_catalog.regclass, last_value, is_called) FROM ${qualified(schema, old)}`,
    `ALTER TABLE ${legacy} ALTER COLUMN ${quoted(column)} DROP IDENTITY`,
    renamed('SEQUENCE', schema, next, name),
  ]
}

export function viewSql({ schema, name, definition, options }: ViewFacts): string {
  return `CREATE OR REPLACE VIEW ${qualified(schema, name)}${options.length === 0 ? '' : ` WITH (${optionsSql(options)})`} AS ${definition}`
}

function publicationSql({ name, filter, columns }: PublicationFacts, table: string, legacy: string): readonly string[] {
  const published = `${table}${columns === null ? '' : ` (${columns.map(quoted).join(', ')})`}${filter === null ? '' : ` WHERE (${filter})`}`
  return [`ALTER PUBLICATION ${quoted(name)} DROP TABLE ${legacy}`, `ALTER PUBLICATION ${quoted(name)} ADD TABLE ${published}`]
}

function renamed(kind: string, schema: string, from: string, to: string): string {
  return `ALTER ${kind} ${qualified(schema, from)} RENAME TO ${quoted(to)}`
}
