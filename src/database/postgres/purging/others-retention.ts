import { DatabaseError } from '../../database-error.ts'
import type { Terms } from '../../purging.ts'
import type { Query } from '../../query.ts'
import { EQ, GT, nameIn, textOf } from '../exact.ts'
import { literal, qualified } from '../identifiers.ts'
import type { Look } from './estimate.ts'
import { withDescendants, type Neighbourhood } from './foreign-keys.ts'

/** Another program that drops parts of a table by their age, and where it keeps its settings. */
interface Retainer {
  readonly program: string
  /** The extension, which also owns the relation if it was not made by hand. */
  readonly extension: string
  /** `undefined`: any. */
  readonly schema?: string
  readonly relation: string
  readonly columns: readonly string[]
  /** From the relation `r`: for the table `$2` in the schema `$1`, what says how old the parts are that go; no row: it does not manage the table; NULL: none goes. */
  readonly where: string
  readonly age: string
  readonly ageIn: (text: string) => string
  readonly toEnd: (relation: string, schema: string, table: string) => string
}

const RETAINERS: readonly Retainer[] = [
  {
    program: 'pg_partman',
    extension: 'pg_partman',
    relation: 'part_config',
    columns: ['parent_table', 'retention'],
    where: `${textOf('r.parent_table')} ${EQ} pg_catalog.concat($1::pg_catalog.text, '.'::pg_catalog.text, $2::pg_catalog.text)`,
    age: 'retention',
    ageIn: (text) => text,
    toEnd: (relation, schema, table) => `UPDATE ${relation} SET retention = NULL WHERE parent_table = ${literal(`${schema}.${table}`)}`,
  },
  {
    program: 'TimescaleDB',
    extension: 'timescaledb',
    schema: 'timescaledb_information',
    relation: 'jobs',
    columns: ['proc_name', 'hypertable_schema', 'hypertable_name', 'config'],
    where: `${textOf('r.proc_name')} ${EQ} 'policy_retention'::pg_catalog.text AND ${textOf('r.hypertable_schema')} ${EQ} $1::pg_catalog.text
      AND ${textOf('r.hypertable_name')} ${EQ} $2::pg_catalog.text`,
    age: 'config',
    ageIn: dropAfter,
    toEnd: (_, schema, table) => `SELECT remove_retention_policy(${literal(qualified(schema, table))})`,
  },
]

interface Found {
  readonly schema: string
  readonly name: string
  readonly owner: string
  /** Its owner is a superuser or owns the database, or an extension made it: what runs when it is read is no stranger's. */
  readonly isTrusted: boolean
  readonly mayRead: boolean
  readonly columns: readonly string[]
}

/** More of them are somebody's noise. */
const MOST_FOUND = 3
const LONGEST_AGE = 40

/**
 * Returns a warning for each other program that drops parts of this table, or of which that cannot be told. Throws if rows would go that way which should be
 * in the archive, or which a hold or a rule keeps.
 */
export async function mustBeOursToDrop(look: Look, neighbourhood: Neighbourhood, terms: Terms): Promise<readonly string[]> {
  const { own } = neighbourhood
  if (own.kind !== 'p' && withDescendants(neighbourhood, own.id).length === 1) return []
  return look((tx) => othersFor(tx, neighbourhood, terms))
}

async function othersFor(query: Query, neighbourhood: Neighbourhood, { archived, keeping }: Terms): Promise<readonly string[]> {
  const { own } = neighbourhood
  const { rows: found } = await query.query<Found>(FOUND)
  const warnings: string[] = []
  for (const retainer of RETAINERS) {
    for (const each of settingsOf(retainer, found))
      warnings.push(
        ...(await judged(query, neighbourhood, retainer, each, {
          archived: archived.includes(own.name),
          keeping: keeping.includes(own.name),
        })),
      )
  }
  return warnings
}

function settingsOf(retainer: Retainer, found: readonly Found[]): readonly Found[] {
  const here = found.filter(
    ({ schema, name, columns }) =>
      name === retainer.relation && schema === (retainer.schema ?? schema) && retainer.columns.every((column) => columns.includes(column)),
  )
  return here.slice(0, MOST_FOUND)
}

/** The programs that have settings for this table, whether or not they drop parts of it. Those whose settings may not be read, or are not trusted, count as none. */
export async function retainersOf(query: Query, schema: string, table: string): Promise<readonly string[]> {
  const { rows: found } = await query.query<Found>(FOUND)
  const programs: string[] = []
  for (const retainer of RETAINERS) {
    for (const each of settingsOf(retainer, found)) {
      if (!each.isTrusted || !each.mayRead) continue
      const { rows } = await query.query(`SELECT FROM ${qualified(each.schema, each.name)} AS r WHERE ${retainer.where} LIMIT 1`, [
        schema,
        table,
      ])
      if (rows.length > 0) programs.push(retainer.program)
    }
  }
  return programs
}

async function judged(
  query: Query,
  { own }: Neighbourhood,
  retainer: Retainer,
  found: Found,
  rowsOf: { readonly archived: boolean; readonly keeping: boolean },
): Promise<readonly string[]> {
  const title = `${own.schema}.${own.name}`
  const place = `${found.schema}.${found.name}`
  if (!found.isTrusted || !found.mayRead)
    return [
      `whether ${retainer.program} drops partitions of ${title} cannot be told, because ${place} ` +
        (found.isTrusted
          ? 'may not be read by this role; grant SELECT on it'
          : `belongs to role ${found.owner}, which is no superuser and does not own the database, and was not read`),
    ]
  const relation = qualified(found.schema, found.name)
  const { rows } = await query.query<{ age: string | null }>(
    `SELECT CASE WHEN r.${retainer.age} IS NOT NULL THEN ${textOf(`r.${retainer.age}`)} END AS age FROM ${relation} AS r WHERE ${retainer.where} LIMIT 1`,
    [own.schema, own.name],
  )
  const [row] = rows
  if (row === undefined || row.age === null || row.age === '') return []
  const age = retainer.ageIn(row.age)
  const drops = `${retainer.program} drops partitions of ${title} that are older than ${JSON.stringify(age.slice(0, LONGEST_AGE))} (${place})`
  if (rowsOf.keeping)
    throw new DatabaseError(
      'failed',
      `${drops}, whether or not a legal hold or a retention rule keeps rows of them. Nothing was deleted. Leave dropping to the worker. ` +
        `Run: ${retainer.toEnd(relation, own.schema, own.name)}`,
    )
  if (!rowsOf.archived) return [`${drops} as well, and no count and no safety stop of the worker knows of them`]
  throw new DatabaseError(
    'failed',
    `${drops}, whether or not their rows are in the archive. Nothing was deleted. Set ARCHIVE_ENABLED=false, or leave dropping to the worker. ` +
      `Run: ${retainer.toEnd(relation, own.schema, own.name)}`,
  )
}

function dropAfter(config: string): string {
  try {
    const read: unknown = JSON.parse(config)
    const age: unknown = typeof read === 'object' && read !== null ? Reflect.get(read, 'drop_after') : undefined
    return typeof age === 'string' || typeof age === 'number' ? String(age) : UNKNOWN
  } catch {
    return UNKNOWN
  }
}

const UNKNOWN = 'an unknown age'

const FOUND = `SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name, o.rolname::pg_catalog.text AS owner,
  o.rolsuper OR o.oid ${EQ} d.datdba OR EXISTS (
    SELECT FROM pg_catalog.pg_depend AS p JOIN pg_catalog.pg_extension AS e ON e.oid ${EQ} p.refobjid
    WHERE p.classid ${EQ} 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND p.objid ${EQ} c.oid
      AND p.deptype ${EQ} 'e'::pg_catalog."char" AND ${nameIn(
        'e.extname',
        RETAINERS.map(({ extension }) => extension),
        'name',
      )}
  ) AS "isTrusted",
  pg_catalog.has_schema_privilege(n.oid, 'USAGE'::pg_catalog.text) AND pg_catalog.has_table_privilege(c.oid, 'SELECT'::pg_catalog.text) AS "mayRead",
  ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid ${EQ} c.oid AND a.attnum ${GT} '0'::pg_catalog.int2 AND NOT a.attisdropped) AS columns
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} c.relowner
JOIN pg_catalog.pg_database AS d ON d.datname ${EQ} pg_catalog.current_database()
WHERE ${nameIn(
  'c.relname',
  RETAINERS.map(({ relation }) => relation),
  'name',
)} AND ${nameIn('c.relkind', ['r', 'v'], '"char"')}
ORDER BY n.nspname`
