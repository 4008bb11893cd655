import type { SchemaObject } from '../database/examining.ts'
import { GATEWAY_TABLES } from '../database/gateway-tables.ts'
import { SHAPES } from '../migrations/shapes/migration-shapes.ts'
import { shapeDifferences } from '../migrations/shapes/adoption.ts'
import type { Facts, SchemaInHand } from './doctor-facts.ts'
import { advice, fault, type Probe, type Told } from './probe.ts'
import { columnsIn } from './columns-in.ts'

/**
 * Tables, columns, keys and views against what the migrations make. The gateway's tables may be wider, narrower or laxer than ours: what migrations adopt is
 * accepted here too, by the same function. Of the worker's own tables everything has to be as it was made.
 */
export const SCHEMA_PROBES: readonly Probe[] = [
  { code: 'schema-table', finds: 'a table that a migration made is gone', judge: withSchema(missingTables) },
  {
    code: 'schema-column',
    finds: 'a column is gone, or has another type, default or NULL than it was made with',
    judge: withSchema(columns),
  },
  { code: 'schema-key', finds: 'a primary key, UNIQUE or CHECK is gone', judge: withSchema(keys) },
  { code: 'schema-view', finds: 'a view is gone, or says something else', judge: withSchema(views) },
]

/** Without a catalogue there is nothing to compare; what could not be seen is said elsewhere. */
export function withSchema(judge: (schema: SchemaInHand) => readonly Told[]): Probe['judge'] {
  return ({ schema }: Facts) => (schema === undefined ? [] : judge(schema))
}

export function isOurs(table: string): boolean {
  return !GATEWAY_TABLES.includes(table)
}

/** What should be there, of these kinds and of tables that are. */
export function due({ described, facts, isDue }: SchemaInHand, ...kinds: readonly SchemaObject['kind'][]): readonly SchemaObject[] {
  const there = new Set(facts.objects.flatMap(({ kind, of }) => (kind === 'table' ? [of] : [])))
  return described.filter((object) => kinds.includes(object.kind) && isDue(object) && there.has(object.of))
}

/** `migration 005`, which can be read, and run again by hand. */
export function makerText({ version }: Pick<SchemaObject, 'version'>): string {
  return version === 0 ? 'the worker' : `migration ${String(version).padStart(3, '0')}`
}

export function againBy(object: Pick<SchemaObject, 'version'>): string {
  return object.version === 0
    ? 'restore it from a backup'
    : `find out who did that; ${makerText(object)} can be run again by hand, as its first lines say, and makes what is missing`
}

const LOOK = 'find out who changed it, and change it back'

function missingTables({ described, facts, isDue }: SchemaInHand): readonly Told[] {
  const there = new Set(facts.objects.flatMap(({ kind, of }) => (kind === 'table' ? [of] : [])))
  return described
    .filter((object) => object.kind === 'table' && isDue(object) && !there.has(object.of))
    .map((object) => fault(`there is no table ${object.of}, which ${makerText(object)} made`, againBy(object)))
}

function columns(schema: SchemaInHand): readonly Told[] {
  const { relations, facts } = schema
  const shapes = Object.entries(SHAPES).filter(([stem]) => schema.isDue({ version: Number.parseInt(stem, 10), of: '' }))
  const gateways = shapes.flatMap(([, shape = {}]) =>
    shapeDifferences(relations, Object.fromEntries(Object.entries(shape).filter(([name, { kind }]) => kind === 'table' && !isOurs(name)))),
  )
  const expected = new Map(due(schema, 'column').flatMap((each) => (isOurs(each.of) ? [[nameOf(each), each] as const] : [])))
  const found = new Map(facts.objects.flatMap((each) => (each.kind === 'column' && isOurs(each.of) ? [[nameOf(each), each] as const] : [])))
  return [
    ...gateways.map((difference) => fault(difference, LOOK)),
    ...[...expected].flatMap(([name, { is, version }]) => {
      const column = found.get(name)
      if (column === undefined)
        return [
          fault(
            `${name}, which ${makerText({ version })} made, is missing`,
            'restore it from a backup, or add it by hand as the migration has it',
          ),
        ]
      return column.is === is ? [] : [fault(`${name} is ${column.is}; ${makerText({ version })} made it ${is}`, LOOK)]
    }),
    ...[...found].flatMap(([name, { is }]) =>
      expected.has(name) ? [] : [advice(`no migration made ${name} (${is})`, 'drop it, unless a newer worker made it')],
    ),
  ]
}

function nameOf({ of, name }: SchemaObject): string {
  return `${of}.${name}`
}

/** A converted table's primary key has the time too, since partitions have no other. */
function keys(schema: SchemaInHand): readonly Told[] {
  const { facts } = schema
  const found = facts.objects.filter(({ kind }) => kind === 'key')
  const checks = new Set(facts.objects.flatMap(({ kind, of, is }) => (kind === 'check' ? [`${of} ${is}`] : [])))
  const isThere = ({ of, is }: SchemaObject): boolean =>
    found.some((key) => {
      if (key.of !== of) return false
      const [wanted, has] = [columnsIn(is), columnsIn(key.is)]
      return has.every((column) => wanted.includes(column)) || (facts.partitioned.has(of) && wanted.every((column) => has.includes(column)))
    })
  return [
    ...due(schema, 'key')
      .filter((key) => !isThere(key))
      .map((key) =>
        fault(
          `${key.of} has no ${key.is}, which ${makerText(key)} made: nothing keeps rows from being there twice`,
          'remove the rows that are, and add the constraint again',
        ),
      ),
    ...due(schema, 'check')
      .filter(({ of, is }) => !checks.has(`${of} ${is}`))
      .map((check) =>
        fault(`${check.of} has no ${check.is}, which ${makerText(check)} made`, 'add the constraint again, as the migration has it'),
      ),
  ]
}

function views({ described, accepted, facts, isDue }: SchemaInHand): readonly Told[] {
  const found = new Map(facts.objects.flatMap((each) => (each.kind === 'view' ? [[each.of, each.is] as const] : [])))
  return described
    .filter((object) => object.kind === 'view' && isDue(object))
    .flatMap((view) => {
      const is = found.get(view.of)
      if (is === undefined) return [fault(`there is no view ${view.of}, which ${makerText(view)} made`, againBy(view))]
      if (is === view.is || accepted.some((each) => each.kind === 'view' && each.of === view.of && each.is === is)) return []
      return [
        fault(
          `the view ${view.of} is not the one that ${makerText(view)} made: ${is}`,
          `${LOOK}; or drop it, and run the migration again by hand`,
        ),
      ]
    })
}
