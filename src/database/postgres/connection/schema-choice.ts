import { DatabaseError } from '../../database-error.ts'
import type { Query } from '../../query.ts'
import { isSystemSchema } from '../../url/schema-name.ts'
import { EQ, nameIn, textOf } from '../exact.ts'
import { quoted } from '../identifiers.ts'

/** What is asked once, before anything is read or made. */
export interface SchemaFacts {
  readonly role: string
  /** Every new database is a copy of this one. */
  readonly template: boolean
  /** Schemas that the session's own path leads to, those that are there and may be used, in its order. */
  readonly path: readonly string[]
  /** Of these schemas, of the one that was chosen, or else of `public`, and of all that hold any: which of the gateway's tables each holds. */
  readonly tables: ReadonlyMap<string, readonly string[]>
}

export interface SchemaChoice {
  readonly schema: string
  readonly warnings: readonly string[]
}

/** Where nobody chose one, as the gateway's own default. */
export const USUAL_SCHEMA = 'public'

/** By these the gateway's schema is known. `sessions` and `rate_limits` are other programs' names too. */
export const GATEWAY_TABLES: readonly string[] = ['audit_logs', 'mcp_servers', 'policy_decisions', 'api_keys', 'tools']

/** Of those, the ones that rows are deleted from: where the path finds them first, the gateway writes. */
const PURGED_TABLES = ['audit_logs', 'policy_decisions']

/**
 * Which schema is worked in. The gateway finds its tables by the role's own path; a worker that looked elsewhere would make a second, empty set of
 * them and purge that. `chosen` is what somebody set. Throws `refused`.
 */
export function chooseSchema(chosen: string | undefined, facts: SchemaFacts, database: string): SchemaChoice {
  const { role, template, path, tables } = facts
  const schema = chosen ?? USUAL_SCHEMA
  if (template)
    throw new DatabaseError(
      'refused',
      `${database} is a template, which every new database is copied from. Nothing was changed. Name the gateway's database in DATABASE_URL; ` +
        `where this is the one, run ALTER DATABASE … IS_TEMPLATE false.`,
    )
  if (schema === '$user')
    throw new DatabaseError(
      'refused',
      `The schema $user cannot be used: in a search_path the name stands for the role's own schema, quoted or not. Nothing was changed. Correct DATABASE_SCHEMA.`,
    )
  const own = tables.get(schema)
  const usedByGateway = chosen === undefined ? writtenElsewhere(facts) : undefined
  const other = usedByGateway ?? path.find((name) => name !== schema && (tables.get(name) ?? []).length > 0)
  const found = other === undefined ? '' : tables.get(other)!.join(', ')
  const none = (own ?? []).length === 0
  if (other !== undefined && chosen === undefined && (none || usedByGateway !== undefined))
    throw new DatabaseError(
      'refused',
      `The gateway's tables (${found}) lie in schema ${other} of ${database}, where the search_path of role ${role} leads` +
        (none ? `, and none in ${USUAL_SCHEMA}. ` : ` first; ${USUAL_SCHEMA} holds tables of such names too (${own!.join(', ')}). `) +
        `Nothing was changed. Set DATABASE_SCHEMA=${other}, or DATABASE_SCHEMA=${USUAL_SCHEMA} where those are not the gateway's.`,
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
      `the search_path of role ${role} leads to tables of the gateway's names in schema ${other} (${found}), and they are left alone: ` +
        (chosen === undefined
          ? `${schema} has such tables too; where the others are the gateway's, set DATABASE_SCHEMA=${other}`
          : `DATABASE_SCHEMA is ${schema}`),
    ],
  }
}

/** The schema other than `public` in which the path finds a table that rows are deleted from. */
function writtenElsewhere({ path, tables }: SchemaFacts): string | undefined {
  return PURGED_TABLES.map((table) => path.find((name) => tables.get(name)?.includes(table) === true)).find(
    (name) => name !== undefined && name !== USUAL_SCHEMA,
  )
}

/** Of a gateway that names its schema itself, perhaps; the worker cannot know. */
function outsideThePath({ tables }: SchemaFacts): readonly string[] {
  const holds = (name: string): boolean => tables.get(name)?.includes('audit_logs') === true
  const others = [...tables.keys()].filter((name) => name !== USUAL_SCHEMA && !isSystemSchema(name) && holds(name))
  if (others.length === 0 || holds(USUAL_SCHEMA)) return []
  const shown = others.map((name) => `${name} (${tables.get(name)!.join(', ')})`).join(', ')
  return [
    `${USUAL_SCHEMA} is worked in and holds no audit_logs yet, and tables of the gateway's names lie in schema ${shown}, outside the search_path: ` +
      `where those are the gateway's, set DATABASE_SCHEMA`,
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

// Outside a transaction: under the very path that is asked about.
const SESSION = `SELECT current_user::pg_catalog.text AS role,
  (SELECT d.datistemplate FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database()) AS template,
  ${textOf('pg_catalog.array_to_json(pg_catalog.current_schemas(false))')} AS path`
const SCHEMAS = `SELECT n.nspname::pg_catalog.text AS name, c.relname::pg_catalog.text AS relation
FROM pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace ${EQ} n.oid
  AND ${nameIn('c.relname', GATEWAY_TABLES, 'name')}
  AND ${nameIn('c.relkind', ['r', 'p', 'f', 'v'], '"char"')}
WHERE n.nspname ${EQ} ANY (pg_catalog.current_schemas(false)) OR n.nspname ${EQ} $1::pg_catalog.name OR c.oid IS NOT NULL
ORDER BY c.relname, n.nspname`
