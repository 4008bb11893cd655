import { someText } from '../../../number-text.ts'
import { DatabaseError } from '../../database-error.ts'
import { TELLING_TABLES } from '../../gateway-tables.ts'
import type { Query } from '../../query.ts'
import { isSystemSchema } from '../../url/schema-name.ts'
import { EQ, nameIn, textOf } from '../exact.ts'
import { quoted } from '../identifiers.ts'

/** Queried once, before anything is read or created. */
export interface SchemaFacts {
  readonly role: string
  /** Whether new databases are copied from this one. */
  readonly template: boolean
  /** The schemas on the session's search path that exist and may be used, in its order. */
  readonly path: readonly string[]
  /** Which of the gateway's tables each schema holds: those on the path, the configured one (or `public`), and every other that holds any. */
  readonly tables: ReadonlyMap<string, readonly string[]>
}

export interface SchemaChoice {
  readonly schema: string
  readonly warnings: readonly string[]
}

/** Used if none is configured; also the gateway's default. */
export const USUAL_SCHEMA = 'public'

/** Those from which rows are deleted. The gateway writes to the first of each name on the path. */
const PURGED_TABLES = ['audit_logs', 'policy_decisions']

/**
 * Decides which schema to work in. The gateway finds its tables by the search path of its role; a worker that looked elsewhere would create a second,
 * empty set of them and purge that. `chosen` is the configured schema. Throws `refused`.
 */
export function chooseSchema(chosen: string | undefined, facts: SchemaFacts, database: string): SchemaChoice {
  const { role, template, path, tables } = facts
  const schema = chosen ?? USUAL_SCHEMA
  if (template)
    throw new DatabaseError(
      'refused',
      `${database} is a template database, from which new databases are copied. Nothing was changed. Name the gateway's database in DATABASE_URL. ` +
        `If this is the one, run ALTER DATABASE … IS_TEMPLATE false.`,
    )
  if (schema === '$user')
    throw new DatabaseError(
      'refused',
      `The schema $user cannot be used: in a search_path that name always means the role's own schema. Nothing was changed. Correct DATABASE_SCHEMA.`,
    )
  const own = tables.get(schema)
  const usedByGateway = chosen === undefined ? writtenElsewhere(facts) : undefined
  const other = usedByGateway ?? path.find((name) => name !== schema && (tables.get(name) ?? []).length > 0)
  const found = other === undefined ? '' : tables.get(other)!.join(', ')
  const none = (own ?? []).length === 0
  if (other !== undefined && chosen === undefined && (none || usedByGateway !== undefined))
    throw new DatabaseError(
      'refused',
      `The gateway's tables (${found}) are in schema ${other} of ${database}, where the search_path of role ${role} finds them` +
        (none ? `, and ${USUAL_SCHEMA} has none. ` : ` first, but ${USUAL_SCHEMA} has tables of these names too (${own!.join(', ')}). `) +
        `Nothing was changed. Set DATABASE_SCHEMA=${other}, or DATABASE_SCHEMA=${USUAL_SCHEMA} if those in ${other} are not the gateway's.`,
    )
  if (own === undefined)
    throw new DatabaseError(
      'refused',
      `Database ${database} has no schema ${schema}. Nothing was changed. Run CREATE SCHEMA ${quoted(schema)}, or correct DATABASE_SCHEMA.`,
    )
  if (other === undefined) return { schema, warnings: chosen === undefined ? outsideThePath(facts) : [] }
  return {
    schema,
    warnings: [
      `the search_path of role ${role} leads to tables with the gateway's names in schema ${other} (${found}), which are left alone: ` +
        (chosen === undefined
          ? `${schema} has such tables too; if those in ${other} are the gateway's, set DATABASE_SCHEMA=${other}`
          : `DATABASE_SCHEMA is ${schema}`),
    ],
  }
}

/** The schema other than `public` that comes first on the path with a table from which rows are deleted. */
function writtenElsewhere({ path, tables }: SchemaFacts): string | undefined {
  return PURGED_TABLES.map((table) => path.find((name) => tables.get(name)?.includes(table) === true)).find(
    (name) => name !== undefined && name !== USUAL_SCHEMA,
  )
}

/** Tables outside the path may belong to a gateway that names its schema explicitly; the worker cannot know, so it warns. */
function outsideThePath({ tables }: SchemaFacts): readonly string[] {
  const holds = (name: string): boolean => tables.get(name)?.includes('audit_logs') === true
  const others = [...tables.keys()].filter((name) => name !== USUAL_SCHEMA && !isSystemSchema(name) && holds(name))
  if (others.length === 0 || holds(USUAL_SCHEMA)) return []
  const shown = someText(others.map((name) => `${name} (${tables.get(name)!.join(', ')})`))
  return [
    `schema ${USUAL_SCHEMA} is used and has no audit_logs yet, but schema ${shown}, outside the search_path, has tables with the gateway's names: ` +
      `if they are the gateway's, set DATABASE_SCHEMA`,
  ]
}

export async function schemaFacts(query: Query, chosen: string | undefined): Promise<SchemaFacts> {
  const session = (await query.query<{ role: string; template: boolean | null; path: string }>(SESSION)).rows[0]
  const { rows } = await query.query<{ name: string; relation: string | null }>(SCHEMAS, [chosen ?? USUAL_SCHEMA])
  const tables = new Map<string, string[]>()
  for (const { name, relation } of rows) tables.set(name, [...(tables.get(name) ?? []), ...(relation === null ? [] : [relation])])
  const path = JSON.parse(session?.path ?? '[]') as readonly string[]
  return { role: session?.role ?? '', template: session?.template === true, path: path.filter((name) => !isSystemSchema(name)), tables }
}

// Run outside a transaction, so that it sees the session's own search_path.
const SESSION = `SELECT current_user::pg_catalog.text AS role,
  (SELECT d.datistemplate FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database()) AS template,
  ${textOf('pg_catalog.array_to_json(pg_catalog.current_schemas(false))')} AS path`
const SCHEMAS = `SELECT n.nspname::pg_catalog.text AS name, c.relname::pg_catalog.text AS relation
FROM pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace ${EQ} n.oid
  AND ${nameIn('c.relname', TELLING_TABLES, 'name')}
  AND ${nameIn('c.relkind', ['r', 'p', 'f', 'v'], '"char"')}
WHERE n.nspname ${EQ} ANY (pg_catalog.current_schemas(false)) OR n.nspname ${EQ} $1::pg_catalog.name OR c.oid IS NOT NULL
ORDER BY c.relname, n.nspname`
