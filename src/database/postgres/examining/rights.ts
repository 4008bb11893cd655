import type { Excess, Hindrance } from '../../examining.ts'
import type { Query, Rights } from '../../query.ts'
import { GATEWAY_TABLES } from '../../gateway-tables.ts'
import { EQ, nameIn } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { OWN_TABLES } from '../owners.ts'

interface RoleRow {
  readonly role: string
  readonly superuser: boolean
  readonly bypasses: boolean
  readonly creates_roles: boolean
  readonly creates_databases: boolean
}

interface TableRow {
  readonly table: string
  readonly right: string
}

/** Rights that change rows or tables; reading is no harm. */
const CHANGING = ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'] as const

/** A superuser has every right on every table, which one clause says. */
export async function rightsBeyond(query: Query, schema: string, needed: Rights | undefined): Promise<readonly Excess[]> {
  const [role] = (await query.query<RoleRow>(ROLE)).rows
  if (role === undefined) return []
  const name = quoted(role.role)
  // It may be the only one, or the one that owns the cluster.
  if (role.superuser) return [{ may: 'is a superuser, who may do everything on this server', statement: undefined }]
  const attributes: readonly (readonly [boolean, string, string])[] = [
    [role.bypasses, 'reads past row-level security', 'NOBYPASSRLS'],
    [role.creates_roles, 'may make roles', 'NOCREATEROLE'],
    [role.creates_databases, 'may make databases', 'NOCREATEDB'],
  ]
  const ofRole = attributes.flatMap(([has, may, word]) => (has ? [{ may, statement: `ALTER ROLE ${name} ${word}` }] : []))
  if (needed === undefined) return ofRole
  const { rows } = await query.query<TableRow>(TABLES, [schema, JSON.stringify(Object.keys(needed))])
  const beyond = Map.groupBy(
    rows.filter(({ table, right }) => !needed[table]!.includes(right)),
    ({ table }) => table,
  )
  return [
    ...ofRole,
    ...[...beyond].map(([table, found]) => {
      const rights = found.map(({ right }) => right).join(', ')
      return { may: `may ${rights} on ${schema}.${table}`, statement: `REVOKE ${rights} ON ${qualified(schema, table)} FROM ${name}` }
    }),
  ]
}

const ROLE = `SELECT r.rolname::pg_catalog.text AS role, r.rolsuper AS superuser, r.rolbypassrls AS bypasses, r.rolcreaterole AS creates_roles, r.rolcreatedb AS creates_databases
FROM pg_catalog.pg_roles AS r WHERE r.rolname ${EQ} current_user`

const TABLES = `SELECT c.relname::pg_catalog.text AS "table", w.word AS "right"
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
CROSS JOIN (VALUES ${CHANGING.map((right) => `('${right}'::pg_catalog.text)`).join(', ')}) AS w (word)
WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname::pg_catalog.text ${EQ} ANY (ARRAY(SELECT pg_catalog.json_array_elements_text($2::pg_catalog.json)))
  AND pg_catalog.has_table_privilege(c.oid, w.word)
ORDER BY c.relname, w.word`

/** A migration makes tables in the schema, and indexes, triggers and views on the gateway's, which only their owner may. */
export async function hindersMigrating(query: Query, schema: string): Promise<readonly Hindrance[]> {
  const [facts] = (await query.query<{ role: string; creates: boolean; strange: readonly string[] | null }>(MIGRATING, [schema])).rows
  if (facts === undefined) return []
  const { role, creates, strange } = facts
  return [
    ...(creates
      ? []
      : [
          {
            may: `may not create in the schema ${schema}`,
            statement: `GRANT USAGE, CREATE ON SCHEMA ${quoted(schema)} TO ${quoted(role)}`,
          },
        ]),
    ...(strange ?? []).map((table) => ({
      may: `does not own ${schema}.${table}`,
      statement: `ALTER TABLE ${qualified(schema, table)} OWNER TO ${quoted(role)}`,
    })),
  ]
}

const MIGRATING = `SELECT current_user::pg_catalog.text AS role,
  pg_catalog.has_schema_privilege(n.oid, 'CREATE'::pg_catalog.text) AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'::pg_catalog.text) AS creates,
  (SELECT pg_catalog.json_agg(c.relname::pg_catalog.text ORDER BY c.relname) FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace ${EQ} n.oid AND ${nameIn('c.relname', [...GATEWAY_TABLES, ...OWN_TABLES], 'name')} AND ${nameIn('c.relkind', ['r', 'p'], '"char"')}
      AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE'::pg_catalog.text)) AS strange
FROM pg_catalog.pg_namespace AS n WHERE n.nspname ${EQ} $1::pg_catalog.name`
