import type { Rights } from '../database.ts'
import type { Query } from '../query.ts'
import { EQ, NE } from './exact.ts'
import { qualified, quoted } from './identifiers.ts'

interface Lacked {
  readonly role: string
  readonly lacks: boolean
}

/** `GRANT SELECT ON "public"."maintenance_holds" TO "role"`, for the role that statements run as. */
export async function missingGrants(query: Query, schema: string, rights: Rights): Promise<readonly string[]> {
  const grants: string[] = []
  for (const [table, needed] of Object.entries(rights)) {
    const lacked: string[] = []
    let role = ''
    for (const right of needed) {
      const found = await lackOf(query, qualified(schema, table), right)
      if (found.lacks) lacked.push(right)
      role = found.role
    }
    if (lacked.length > 0) grants.push(`GRANT ${lacked.join(', ')} ON ${qualified(schema, table)} TO ${quoted(role)}`)
  }
  return grants
}

const ON_TABLE = `SELECT current_user::pg_catalog.text AS role,
  NOT coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass($1)::pg_catalog.oid, $2::pg_catalog.text), true) AS lacks`
const ON_COLUMN = `SELECT current_user::pg_catalog.text AS role,
  NOT coalesce(pg_catalog.has_column_privilege(pg_catalog.to_regclass($1)::pg_catalog.oid, $3::pg_catalog.text, $2::pg_catalog.text), true) AS lacks`

async function lackOf(query: Query, table: string, right: string): Promise<Lacked> {
  const [, kind = right, columns] = /^(\w+) \((.+)\)$/.exec(right) ?? []
  if (columns === undefined) return (await query.query<Lacked>(ON_TABLE, [table, kind])).rows[0]!
  let role = ''
  for (const column of columns.split(', ')) {
    const found = (await query.query<Lacked>(ON_COLUMN, [table, kind, column])).rows[0]!
    if (found.lacks) return found
    role = found.role
  }
  return { role, lacks: false }
}

/** As the migrations find the roles to which they grant: those that hold the right themselves, and not those that are members of one. */
export async function updatersOf(query: Query, schema: string, table: string): Promise<readonly string[]> {
  const { rows } = await query.query<{ role: string }>(UPDATERS, [qualified(schema, table)])
  return rows.map(({ role }) => role)
}

const UPDATERS = `SELECT DISTINCT coalesce(r.rolname::pg_catalog.text, 'PUBLIC'::pg_catalog.text) AS role
FROM pg_catalog.pg_class AS c
CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r'::pg_catalog."char", c.relowner))) AS a
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid ${EQ} a.grantee
WHERE c.oid ${EQ} pg_catalog.to_regclass($1)::pg_catalog.oid AND a.privilege_type ${EQ} 'UPDATE'
  AND (r.rolname IS NULL OR r.rolname ${NE} current_user)
ORDER BY role`
