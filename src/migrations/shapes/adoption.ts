import type { Column, Relation, TypeFamily } from '../../database/migrating.ts'

/** What a migration creates, for tables and views that may exist before it first runs. */
export type Shape = Readonly<Record<string, RelationShape>>

export interface RelationShape {
  readonly kind: Relation['kind']
  readonly columns: Readonly<Record<string, TypeFamily>>
}

/** From columns as `migration-shapes.ts` has them: `id whole, name text`. */
export function table(columns: string): RelationShape {
  return { kind: 'table', columns: columnsOf(columns) }
}

export function view(columns: string): RelationShape {
  return { kind: 'view', columns: columnsOf(columns) }
}

function columnsOf(text: string): RelationShape['columns'] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what writes the file writes families, and a test compares it with every engine
  return Object.fromEntries(text.split(/,\s+/).map((column) => column.split(' '))) as RelationShape['columns']
}

/**
 * How existing tables and views differ from what a migration creates, one line per difference. A missing one does not count: the migration creates it. Nor
 * do lengths, NULL, defaults, the width of a number, or additional columns that may stay empty.
 */
export function shapeDifferences(existing: ReadonlyMap<string, Relation>, shape: Shape): readonly string[] {
  return Object.entries(shape).flatMap(([name, wanted]) => {
    const relation = existing.get(name)
    if (relation === undefined) return []
    if (relation.kind !== wanted.kind) return [`${name} is a ${relation.kind}; the worker's is a ${wanted.kind}`]
    const differences = columnDifferences(name, relation, wanted)
    return wanted.kind === 'table'
      ? [...differences, ...mandatoryColumns(name, relation, wanted)]
      : [...differences, ...viewDifferences(name, relation, wanted)]
  })
}

/** History tables of other migration tools, for the message: whoever runs such a tool owns the schema. */
export function otherHistories(existing: ReadonlyMap<string, Relation>): readonly string[] {
  return [...existing.keys()].flatMap((name) => {
    const tool = HISTORY_TABLES[name.toLowerCase()]
    return tool === undefined ? [] : [`${name} (${tool})`]
  })
}

/** In lower case. */
const HISTORY_TABLES: Readonly<Record<string, string | undefined>> = {
  flyway_schema_history: 'Flyway',
  alembic_version: 'Alembic',
  databasechangelog: 'Liquibase',
  schema_migrations: 'Rails, dbmate or golang-migrate',
  django_migrations: 'Django',
  knex_migrations: 'Knex',
  _prisma_migrations: 'Prisma',
  sequelizemeta: 'Sequelize',
  goose_db_version: 'goose',
}

const FAMILY_NAMES: Readonly<Record<TypeFamily, string>> = {
  whole: 'a whole number',
  text: 'text',
  truth: 'a truth value',
  time: 'a time',
  other: 'another type',
}

function columnDifferences(name: string, relation: Relation, wanted: RelationShape): string[] {
  return Object.entries(wanted.columns).flatMap(([column, family]) => {
    const found = relation.columns.get(column)
    if (found === undefined) return [`${name} has no column ${column}`]
    return fits(found, family) ? [] : [`${name}.${column} is ${found.type}; the worker's is ${FAMILY_NAMES[family]}`]
  })
}

/** `other` is a computed column of a view, which may have any numeric type. */
function fits(found: Column, family: TypeFamily): boolean {
  return found.family === undefined || found.family === family || family === 'other'
}

function mandatoryColumns(name: string, relation: Relation, wanted: RelationShape): string[] {
  return additional(relation, wanted).flatMap(([column, { mandatory, type }]) =>
    mandatory ? [`${name} has an additional column ${column} (${type}) that is NOT NULL without a default`] : [],
  )
}

/** A view can only be replaced by one with the same columns in the same order. */
function viewDifferences(name: string, relation: Relation, wanted: RelationShape): string[] {
  const more = additional(relation, wanted).map(([column]) => `the view ${name} has an additional column ${column}`)
  if (more.length > 0) return more
  const [found, expected] = [[...relation.columns.keys()], Object.keys(wanted.columns)]
  const shuffled = found.length === expected.length && found.some((column, index) => column !== expected[index])
  return shuffled
    ? [`the view ${name} has its columns in another order: ${found.join(', ')}; the worker's order is ${expected.join(', ')}`]
    : []
}

function additional(relation: Relation, wanted: RelationShape): [string, Column][] {
  return [...relation.columns].filter(([column]) => !Object.hasOwn(wanted.columns, column))
}
