import { literal, qualified, quoted } from '../identifiers.ts'
import { boundName, shifted } from './conversion-names.ts'
import { primaryKeyOf, type Dependents, type IndexFacts, type PublicationFacts } from './dependents.ts'
import { columnsSql, grantsSql, identitySql, indexSql, triggersSql } from './likeness.ts'
import { directViews, viewSql } from './swapping.ts'
import { childrenOf, type FirstFacts, type LockedFacts, type UndoFacts } from './undo-facts.ts'

/** The names that stand for a while only. */
export interface UndoNames {
  /** The partitioned table, when its name is the plain one's again. */
  readonly emptied: string
  /** The unique index on the ids of the first partition. */
  readonly idIndex: string
  /** The CHECK that bounds the first partition. */
  readonly boundCheck: string
}

export function undoNames(table: string): UndoNames {
  return { emptied: shifted(table, 'undone'), idIndex: shifted(table, 'undo_key'), boundCheck: boundName(table) }
}

/**
 * Makes the plain table of the partitioned one: the first partition takes its place or, where that is gone, a new table does, and every other partition
 * becomes a child by inheritance, so that its rows are read through the table as before. To be executed in one transaction, under the lock on the views and on
 * the table, and under an empty search path.
 */
export function undoSql(facts: LockedFacts, names: UndoNames, time: string): readonly string[] {
  const { parent, first, parts } = facts
  const [table, emptied] = [parent.quoted, qualified(parent.schema, names.emptied)]
  return [
    ...parts.map((name) => `ALTER TABLE ${table} DETACH PARTITION ${qualified(parent.schema, name)}`),
    `ALTER TABLE ${table} RENAME TO ${quoted(names.emptied)}`,
    ...(first === undefined
      ? [`CREATE TABLE ${table} (LIKE ${emptied} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING INDEXES)`]
      : [...withoutBounds(facts, first, names, time), `ALTER TABLE ${first.table.quoted} RENAME TO ${quoted(parent.name)}`]),
    ...directViews(parent).map(viewSql),
    // A serial's sequence would go with its table; an identity's does, and a new one takes its name.
    ...parent.sequences
      .filter(({ isIdentity }) => !isIdentity)
      .map(({ schema, name, column }) => `ALTER SEQUENCE ${qualified(schema, name)} OWNED BY ${table}.${quoted(column)}`),
    `DROP TABLE ${emptied}`,
    ...sequenceSql(facts),
    ...(first === undefined ? ownIndexes(facts, time) : firstIndexes(facts, first, names, time)),
    ...likeBefore(parent, first?.table),
    ...triggersSql(parent.triggers, table, table),
    ...parent.publications.filter(({ isNamed }) => isNamed).map((publication) => publishSql(publication, table)),
    ...childrenOf(facts).flatMap((child) => {
      const name = qualified(parent.schema, child)
      return [
        ...triggersSql(
          parent.triggers.filter(({ forEachRow }) => forEachRow),
          table,
          name,
        ),
        `ALTER TABLE ${name} INHERIT ${table}`,
      ]
    }),
  ]
}

function withoutBounds(facts: UndoFacts, { table, attached }: FirstFacts, { boundCheck }: UndoNames, time: string): readonly string[] {
  const pair = pairOf(facts, time)
  const own = table.indexes.find(({ name }) => pair !== undefined && name === attached.get(pair.name))
  const dropped =
    own?.constraint === null
      ? `DROP INDEX ${qualified(table.schema, own.name)}`
      : `ALTER TABLE ${table.quoted} DROP CONSTRAINT ${quoted(own?.name ?? '')}`
  return [
    // A child has to have all CHECKs of its table.
    `ALTER TABLE ${table.quoted} DROP CONSTRAINT IF EXISTS ${quoted(boundCheck)}`,
    ...(own === undefined ? [] : [dropped]),
  ]
}

/** What stands for the plain table's key: the primary key or, where the time may be NULL, a unique index, with the time besides the columns of the key. */
function pairOf({ parent, first }: Pick<UndoFacts, 'parent' | 'first'>, time: string): IndexFacts | undefined {
  const own = primaryKeyOf(parent)
  if (own !== undefined) return own
  const key = first === undefined ? undefined : primaryKeyOf(first.table)
  return parent.indexes.find(
    ({ isUnique, isPartial, constraint, columns }) =>
      isUnique &&
      !isPartial &&
      constraint === null &&
      columns.at(-1) === time &&
      (key === undefined || key.columns.join() === columns.slice(0, -1).join()),
  )
}

/** Of the plain table; none: it had no primary key, and gets none. */
export function keyColumnsOf(facts: Pick<UndoFacts, 'parent' | 'first'>, time: string): readonly string[] {
  return (pairOf(facts, time)?.columns ?? []).filter((column) => column !== null).filter((column) => column !== time)
}

/** Whether the first partition has given up its key. */
export function needsIndex(facts: UndoFacts, time: string): boolean {
  return keyColumnsOf(facts, time).length > 0 && ownKeyOf(facts, time) === undefined
}

function ownKeyOf({ first }: UndoFacts, time: string): IndexFacts | undefined {
  const key = first === undefined ? undefined : primaryKeyOf(first.table)
  return key?.columns.includes(time) === false ? key : undefined
}

function firstIndexes(facts: UndoFacts, { table, attached }: FirstFacts, { idIndex }: UndoNames, time: string): readonly string[] {
  const { parent } = facts
  const [pair, key] = [pairOf(facts, time), ownKeyOf(facts, time)]
  const renamed = parent.indexes.flatMap((index) => {
    const own = attached.get(index.name)
    return index === pair || own === undefined ? [] : renamedSql(table.schema, own, index.name)
  })
  if (pair === undefined) return renamed
  if (key !== undefined) return [...renamed, ...renamedSql(table.schema, key.name, pair.name)]
  return [
    ...renamed,
    `ALTER TABLE ${parent.quoted} ADD CONSTRAINT ${quoted(pair.name)} PRIMARY KEY USING INDEX ${quoted(idIndex)}`,
    ...keyCommentSql(parent, pair),
  ]
}

function keyCommentSql({ quoted: table }: Dependents, { name, comment }: IndexFacts): readonly string[] {
  return comment === null ? [] : [`COMMENT ON CONSTRAINT ${quoted(name)} ON ${table} IS ${literal(comment)}`]
}

function renamedSql(schema: string, from: string, to: string): readonly string[] {
  return from === to ? [] : [`ALTER INDEX ${qualified(schema, from)} RENAME TO ${quoted(to)}`]
}

/** Of a new table, for which no index is there yet. */
function ownIndexes(facts: UndoFacts, time: string): readonly string[] {
  const { parent } = facts
  const pair = pairOf(facts, time)
  const columns = keyColumnsOf(facts, time).map(quoted).join(', ')
  return [
    ...parent.indexes.flatMap((index) => [
      ...(index === pair ? [] : indexSql(index, parent.schema, index.name, parent.quoted)),
      ...(index === pair || index.constraint === null
        ? []
        : [`ALTER TABLE ${parent.quoted} ADD CONSTRAINT ${quoted(index.name)} UNIQUE USING INDEX ${quoted(index.name)}`]),
    ]),
    ...(pair === undefined
      ? []
      : [`ALTER TABLE ${parent.quoted} ADD CONSTRAINT ${quoted(pair.name)} PRIMARY KEY (${columns})`, ...keyCommentSql(parent, pair)]),
  ]
}

function sequenceSql({ parent, sequenceAt }: LockedFacts): readonly string[] {
  const sequence = parent.sequences.find(({ isIdentity }) => isIdentity)
  if (sequence === undefined) return []
  const name = qualified(sequence.schema, sequence.name)
  const kind = parent.columns.find((column) => column.name === sequence.column)?.identity ?? ''
  return [
    identitySql(parent.quoted, sequence, kind, sequence.name),
    ...(sequenceAt === undefined
      ? []
      : [
          `SELECT pg_catalog.setval(${literal(name)}::pg_catalog.regclass, ${literal(sequenceAt.last)}::pg_catalog.int8, ${sequenceAt.isCalled})`,
        ]),
    ...grantsSql(
      `SEQUENCE ${name}`,
      sequence.grants.filter(({ grantee }) => grantee !== parent.owner),
      [],
    ),
    ...(sequence.comment === null ? [] : [`COMMENT ON SEQUENCE ${name} IS ${literal(sequence.comment)}`]),
  ]
}

/** What a rename does not bring, and what was changed on the table since. */
function likeBefore(parent: Dependents, first: Dependents | undefined): readonly string[] {
  const { quoted: table } = parent
  const comments = new Map((first?.columns ?? []).map(({ name, comment }) => [name, comment]))
  return [
    ...(first !== undefined && first.owner === parent.owner ? [] : [`ALTER TABLE ${table} OWNER TO ${quoted(parent.owner)}`]),
    ...grantsSql(`TABLE ${table}`, parent.grants, first?.grants ?? ownersOwn(parent)),
    ...(first?.comment === parent.comment ? [] : [`COMMENT ON TABLE ${table} IS ${textOrNull(parent.comment)}`]),
    ...parent.columns.flatMap(({ name, comment }) =>
      first === undefined || comments.get(name) === comment ? [] : [`COMMENT ON COLUMN ${table}.${quoted(name)} IS ${textOrNull(comment)}`],
    ),
    ...(first === undefined ? columnsSql(parent, table) : []),
  ]
}

/** What a new table gives its owner without being asked. */
function ownersOwn({ grants, owner }: Dependents): Dependents['grants'] {
  return grants.filter(({ grantee, column, mayGrant }) => grantee === owner && column === null && !mayGrant)
}

function textOrNull(text: string | null): string {
  return text === null ? 'NULL' : literal(text)
}

function publishSql({ name, columns, filter }: PublicationFacts, table: string): string {
  const list = columns === null ? '' : ` (${columns.map(quoted).join(', ')})`
  return `ALTER PUBLICATION ${quoted(name)} ADD TABLE ${table}${list}${filter === null ? '' : ` WHERE (${filter})`}`
}
