import { DatabaseError } from '../database-error.ts'
import { GATEWAY_TABLES, MADE_BY_GATEWAY } from '../gateway-tables.ts'
import type { Query } from '../query.ts'
import { EQ, nameIn } from './exact.ts'
import { literal, qualified, quoted } from './identifiers.ts'

/**
 * The owner of a relation decides what runs when it is read or written: triggers, rules, defaults, checks of domains, functions of a view. All of that
 * runs with the rights of the role that reads or writes. A role that may merely create in the gateway's schema could take one of our names before we do.
 * So no relation is read or written before the catalogue has said who owns it. Once a name is ours it stays ours: only its owner can drop the relation and
 * so free the name. A child table can only be created or attached by the owner of its parent.
 */
export const OWN_TABLES: readonly string[] = [
  'maintenance_migrations',
  'maintenance_runs',
  'maintenance_leases',
  'maintenance_archives',
  'maintenance_archived',
  'maintenance_archive_retention',
  'maintenance_archive_removed',
  'maintenance_holds',
  'maintenance_run_holds',
  'maintenance_held_files',
  'maintenance_policies',
  'maintenance_run_policies',
  'maintenance_partitioned',
  'maintenance_detached',
  'maintenance_receipts',
  'maintenance_discarded',
  'maintenance_archive_places',
]

/** Relations that migrations extend, replace or write to. */
export const MIGRATED: readonly string[] = [
  ...OWN_TABLES,
  ...GATEWAY_TABLES,
  'recent_audit_activity',
  'policy_violations',
  'tool_usage_stats',
  'maintenance_history',
  'maintenance_archive_history',
]

/** What the catalogue says of a relation and of its owner. */
export interface Holding {
  readonly relation: string
  /** As `pg_class.relkind`. */
  readonly kind: string
  readonly owner: string
  /** The owner is the connected role, or a role of which it was made a member by a trusted role. */
  readonly self: boolean
  readonly superuser: boolean
  /** The owner also owns the database or the schema. */
  readonly ownsPlace: boolean
}

/**
 * Returns which of these relations exist, with their `pg_class.relkind`; rejects with `refused` if one of them cannot be trusted. Reads the catalogue
 * only. A relation that is not in the result must not be touched, even if it appears a moment later: its owner has not been checked.
 */
export async function mustBeTrusted(query: Query, schema: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await query.query<Holding & { role: string }>(holdingsSql(names), [schema])
  const problems = untrusted(rows, new Set(names), { schema, role: rows[0]?.role ?? '' })
  if (problems.length > 0) throw new DatabaseError('refused', problems)
  return new Map(rows.map(({ relation, kind }) => [relation, kind]))
}

/** Why relations of these names are not touched, one line each. `holdings` always includes the gateway's tables. */
export function untrusted(
  holdings: readonly Holding[],
  names: ReadonlySet<string>,
  { schema, role }: { readonly schema: string; readonly role: string },
): readonly string[] {
  // If one role owns all of them that exist, that is the gateway's role.
  const tables = holdings.filter(({ relation }) => MADE_BY_GATEWAY.includes(relation))
  const others = tables.filter((holding) => !byRank(holding))
  const gateway = new Set(tables.map(({ owner }) => owner))
  const owners = new Set(others.map(({ owner }) => owner))
  // A privileged worker creates the tables that the gateway lacks. Then the owner of the audit logs is the gateway's role.
  const isGateway = owners.size === 1 && (others.length === tables.length || others.some(({ relation }) => relation === 'audit_logs'))
  const ofGateway = isGateway ? others[0]?.owner : gateway.size === 1 ? tables[0]?.owner : undefined
  return holdings
    .filter(({ relation }) => names.has(relation))
    .flatMap((holding) => {
      const { relation, kind, owner } = holding
      const noun = KINDS[kind] ?? 'TABLE'
      const title = `${schema}.${relation}`
      const name = qualified(schema, relation)
      const trusted = byRank(holding) || owner === ofGateway
      if (trusted && OWN_TABLES.includes(relation) && noun !== 'TABLE')
        return [
          `${title} is a ${noun.toLowerCase()}, but the worker's relation of that name is a table. Nothing was read from it or written to it. ` +
            `Find out what created it, then run: ALTER ${noun} ${name} RENAME TO ${quoted(`${relation}_other`)}; or DROP ${noun} ${name}`,
        ]
      if (trusted) return []
      const heir = quoted(ofGateway ?? role)
      const divided = gateway.size > 1 ? `, and the gateway's tables belong to several roles (${[...gateway].join(', ')})` : ''
      return [
        `${title} is a ${noun.toLowerCase()} of role ${owner}, which owns neither the database nor its schema nor all of the gateway's tables${divided}: ` +
          `its owner's triggers and functions would run with the rights of ${role}. Nothing was read from it or written to it. ` +
          `If nobody knows it, run: DROP ${noun} ${name}. If it is yours, check its triggers, rules and column types, then run: ALTER ${noun} ${name} OWNER TO ${heir}`,
      ]
    })
}

function byRank({ self, superuser, ownsPlace }: Holding): boolean {
  return self || superuser || ownsPlace
}

const KINDS: Readonly<Record<string, string>> = { v: 'VIEW', m: 'MATERIALIZED VIEW', f: 'FOREIGN TABLE', S: 'SEQUENCE' }

/**
 * A membership counts only if it was granted by a superuser or by the owner of the database or the schema: up to PostgreSQL 14 any role may grant
 * membership in itself, and later the creator of a role may grant membership in that. `pg_database_owner`, which may own the schema, means the owner of
 * the database.
 */
function holdingsSql(names: readonly string[]): string {
  return `WITH RECURSIVE place AS MATERIALIZED (
  SELECT n.oid AS schema, me.oid AS role FROM pg_catalog.pg_namespace AS n CROSS JOIN pg_catalog.pg_roles AS me
  WHERE n.nspname ${EQ} $1::pg_catalog.name AND me.rolname ${EQ} current_user
), place_owner AS MATERIALIZED (
  SELECT d.datdba AS role FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database()
  UNION SELECT n.nspowner FROM pg_catalog.pg_namespace AS n JOIN place AS p ON p.schema ${EQ} n.oid
), self AS (
  SELECT p.role FROM place AS p
  UNION SELECT m.roleid FROM self AS s JOIN pg_catalog.pg_auth_members AS m ON m.member ${EQ} s.role JOIN pg_catalog.pg_roles AS g ON g.oid ${EQ} m.grantor
  WHERE g.rolsuper OR EXISTS (SELECT FROM place_owner AS l WHERE l.role ${EQ} g.oid)
)
SELECT c.relname::pg_catalog.text AS relation, c.relkind::pg_catalog.text AS kind, o.rolname::pg_catalog.text AS owner, o.rolsuper AS superuser,
  EXISTS (SELECT FROM self AS s WHERE s.role ${EQ} o.oid) AS self, EXISTS (SELECT FROM place_owner AS l WHERE l.role ${EQ} o.oid) AS "ownsPlace",
  current_user::pg_catalog.text AS role
FROM pg_catalog.pg_class AS c
JOIN place AS p ON p.schema ${EQ} c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} c.relowner
WHERE c.relname ${EQ} ANY (${nameArray([...names, ...MADE_BY_GATEWAY])}) AND ${nameIn('c.relkind', ['r', 'p', 'f', 'v', 'm', 'S'], '"char"')}
ORDER BY c.relname`
}

/** Quoted, because the names may come from a command line. */
function nameArray(names: readonly string[]): string {
  return `ARRAY[${names.map((name) => `${literal(name)}::pg_catalog.name`).join(', ')}]`
}
