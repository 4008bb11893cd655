import { literal, qualified, quoted } from '../identifiers.ts'
import { boundName, shifted } from './conversion-names.ts'
import { primaryKeyOf, type Dependents, type IndexFacts, type PublicationFacts } from './dependents.ts'
import { columnsSql, grantsSql, identitySql, indexSql, optionsSql, triggersSql } from './likeness.ts'
import type { FirstFacts, UndoFacts } from './undo-facts.ts'

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

const KEY = 'id'

/**
 * Makes the plain table of the partitioned one: the first partition takes its place or, where that is gone, a new table does, and every other partition
 * becomes a child by inheritance, so that its rows are read through the table as before. To be executed in one transaction, under the lock on the views and on
 * the table, and under an empty search path.
 */
export function undoSql(facts: UndoFacts, names: UndoNames): readonly string[] {
  const { parent, first, parts, detached } = facts
  const [table, emptied] = [parent.quoted, qualified(parent.schema, names.emptied)]
  const children = [...parts.map(({ name }) => name).filter((name) => name !== first?.table.name), ...detached]
  return [
    ...parts.map(({ name }) => `ALTER TABLE ${table} DETACH PARTITION ${qualified(parent.schema, name)}`),
    `ALTER TABLE ${table} RENAME TO ${quoted(names.emptied)}`,
    ...(first === undefined
      ? [`CREATE TABLE ${table} (LIKE ${emptied} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING INDEXES)`]
      : [...withoutBounds(parent, first, names), `ALTER TABLE ${first.table.quoted} RENAME TO ${quoted(parent.name)}`]),
    ...parent.views
      .filter(({ isDirect }) => isDirect)
      .map(({ schema, name, options, definition }) => {
        const settings = options.length === 0 ? '' : ` WITH (${optionsSql(options)})`
        return `CREATE OR REPLACE VIEW ${qualified(schema, name)}${settings} AS ${definition}`
      }),
    // A serial's sequence would go with its table; an identity's does, and a new one takes its name.
    ...parent.sequences
      .filter(({ isIdentity }) => !isIdentity)
      .map(({ schema, name, column }) => `ALTER SEQUENCE ${qualified(schema, name)} OWNED BY ${table}.${quoted(column)}`),
    `DROP TABLE ${emptied}`,
    ...sequenceSql(facts),
    ...(first === undefined ? ownIndexes(parent, table) : firstIndexes(parent, first, names)),
    ...likeBefore(parent, first?.table),
    ...triggersSql(parent.triggers, table, table),
    ...parent.publications.filter(({ isNamed }) => isNamed).map((publication) => publishSql(publication, table)),
    ...children.flatMap((child) => {
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

function withoutBounds(parent: Dependents, { table, attached }: FirstFacts, { boundCheck }: UndoNames): readonly string[] {
  const pair = pairOf(parent)
  const own = table.indexes.find(({ name }) => pair !== undefined && name === attached.get(pair.name))
  return [
    // A child has to have all CHECKs of its table.
    `ALTER TABLE ${table.quoted} DROP CONSTRAINT IF EXISTS ${quoted(boundCheck)}`,
    ...(own === undefined
      ? []
      : [
          own.constraint === null
            ? `DROP INDEX ${qualified(table.schema, own.name)}`
            : `ALTER TABLE ${table.quoted} DROP CONSTRAINT ${quoted(own.name)}`,
        ]),
  ]
}

/** What stands for the unique id in a partitioned table: its primary key, or a unique index, on the id and the time. */
export function pairOf({ indexes }: Dependents): IndexFacts | undefined {
  return indexes.find(({ isUnique, isPartial, columns }) => isUnique && !isPartial && columns.length === 2 && columns[0] === KEY)
}

/** Whether the first partition needs an index on its ids, or has kept its own. */
export function keyOf({ indexes }: Dependents): IndexFacts | undefined {
  return indexes.find(
    ({ isUnique, isValid, isPartial, columns, constraint }) =>
      isUnique && isValid && !isPartial && constraint !== null && columns.length === 1 && columns[0] === KEY,
  )
}

function firstIndexes(parent: Dependents, { table, attached }: FirstFacts, { idIndex }: UndoNames): readonly string[] {
  const pair = pairOf(parent)
  const key = keyOf(table)
  const renamed = parent.indexes.flatMap((index) => {
    const own = attached.get(index.name)
    if (index === pair || own === undefined) return []
    return [...renamedSql(table.schema, own, index.name), ...commentSql(table.schema, index)]
  })
  if (key === undefined) {
    const name = primaryKeyOf(parent)?.name ?? pair?.name ?? `${parent.name}_pkey`
    return [
      ...renamed,
      `ALTER TABLE ${parent.quoted} ADD CONSTRAINT ${quoted(name)} PRIMARY KEY USING INDEX ${quoted(idIndex)}`,
      ...(pair === undefined ? [] : commentSql(table.schema, { ...pair, name })),
    ]
  }
  // It gave its name to the index that stands for it.
  return [...renamed, ...(pair !== undefined && key.name.startsWith(table.name) ? renamedSql(table.schema, key.name, pair.name) : [])]
}

function renamedSql(schema: string, from: string, to: string): readonly string[] {
  return from === to ? [] : [`ALTER INDEX ${qualified(schema, from)} RENAME TO ${quoted(to)}`]
}

function commentSql(schema: string, { name, comment }: IndexFacts): readonly string[] {
  return comment === null ? [] : [`COMMENT ON INDEX ${qualified(schema, name)} IS ${literal(comment)}`]
}

function ownIndexes(parent: Dependents, table: string): readonly string[] {
  const pair = pairOf(parent)
  return [
    ...parent.indexes
      .filter((index) => index !== pair)
      .flatMap((index) => {
        const made = indexSql(index, parent.schema, index.name, table)
        if (index.constraint === null) return made
        return [...made, `ALTER TABLE ${table} ADD CONSTRAINT ${quoted(index.name)} UNIQUE USING INDEX ${quoted(index.name)}`]
      }),
    `ALTER TABLE ${table} ADD CONSTRAINT ${quoted(pair?.name ?? `${parent.name}_pkey`)} PRIMARY KEY (${quoted(KEY)})`,
  ]
}

function sequenceSql({ parent, sequenceAt }: UndoFacts): readonly string[] {
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
