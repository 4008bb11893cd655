import { DatabaseError } from '../database-error.ts'
import type { Query } from '../query.ts'
import { EQ, nameIn } from './exact.ts'
import { literal, qualified, quoted } from './identifiers.ts'

/**
 * Whoever owns a relation decides what runs when it is read or written: its triggers, rules and defaults, the checks of its columns' domains, the
 * functions of a view; and that runs with the rights of whoever asks. A role that may only create in the gateway's schema could take a name of ours
 * before we do. So nothing is read from a relation, and nothing written to it, before the catalogue says whose it is. Once it is ours that stays so: a
 * name that is taken is free again only when its owner drops what has it. A child table can only be made, or attached, by its parent's owner.
 */
export const OWN_TABLES: readonly string[] = [
  'maintenance_migrations',
  'maintenance_runs',
  'maintenance_leases',
  'maintenance_archives',
  'maintenance_archived',
  'maintenance_archive_retention',
  'maintenance_archive_removed',
]

/** Those of migration 001. Where one role owns all that are there, it is the gateway's. */
const GATEWAY_TABLES: readonly string[] = ['tools', 'audit_logs', 'mcp_servers', 'policy_decisions', 'api_keys', 'sessions']

/** What migrations complete, replace or write to. */
export const MIGRATED: readonly string[] = [
  ...OWN_TABLES,
  ...GATEWAY_TABLES,
  'rate_limits',
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
  /** The role that is connected, or one whose member somebody of trust has made it. */
  readonly self: boolean
  readonly superuser: boolean
  /** It owns the database or the schema. */
  readonly landlord: boolean
}

/**
 * Which of these are there, with their `pg_class.relkind`, all of them to be trusted; rejects with `refused` where one is not. From the catalogue alone. What is not among them must not
 * be touched, though it be there a moment later: nobody has looked at its owner.
 */
export async function mustBeTrusted(query: Query, schema: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await query.query<Holding & { role: string }>(holdingsSql(names), [schema])
  const problems = strangers(rows, new Set(names), { schema, role: rows[0]?.role ?? '' })
  if (problems.length > 0) throw new DatabaseError('refused', problems)
  return new Map(rows.map(({ relation, kind }) => [relation, kind]))
}

/** Why what these names stand for is not touched, a line each. `holdings` has the gateway's tables too, whatever is asked. */
export function strangers(
  holdings: readonly Holding[],
  names: ReadonlySet<string>,
  { schema, role }: { readonly schema: string; readonly role: string },
): readonly string[] {
  const tables = holdings.filter(({ relation }) => GATEWAY_TABLES.includes(relation))
  const others = tables.filter((holding) => !byRank(holding))
  const gateway = new Set(tables.map(({ owner }) => owner))
  const owners = new Set(others.map(({ owner }) => owner))
  // A worker of rank makes the tables that the gateway lacks: then the role that owns the audit logs is the gateway's.
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
          `${title} is a ${noun.toLowerCase()}, where the worker has a table of that name. Nothing was read from it and nothing written to it. ` +
            `Look at what made it, then run: ALTER ${noun} ${name} RENAME TO ${quoted(`${relation}_other`)}; or DROP ${noun} ${name}`,
        ]
      if (trusted) return []
      const heir = quoted(ofGateway ?? role)
      const divided = gateway.size > 1 ? `, and the gateway's tables belong to several roles (${[...gateway].join(', ')})` : ''
      return [
        `${title} is a ${noun.toLowerCase()} of role ${owner}, which owns neither the database nor its schema nor all of the gateway's tables${divided}: ` +
          `what its owner put on it would run with the rights of ${role}. Nothing was read from it and nothing written to it. ` +
          `Where nobody knows it, run: DROP ${noun} ${name}. Where it is yours, look at its triggers, rules and column types, then run: ALTER ${noun} ${name} OWNER TO ${heir}`,
      ]
    })
}

function byRank({ self, superuser, landlord }: Holding): boolean {
  return self || superuser || landlord
}

const KINDS: Readonly<Record<string, string>> = { v: 'VIEW', m: 'MATERIALIZED VIEW', f: 'FOREIGN TABLE', S: 'SEQUENCE' }

/**
 * A membership counts where a superuser, or who owns the database or the schema, gave it: up to PostgreSQL 14 every role may make others members of
 * itself, and later whoever made a role of that. The role `pg_database_owner`, which may own the schema, stands for the database's owner.
 */
function holdingsSql(names: readonly string[]): string {
  return `WITH RECURSIVE place AS MATERIALIZED (
  SELECT n.oid AS schema, me.oid AS role FROM pg_catalog.pg_namespace AS n CROSS JOIN pg_catalog.pg_roles AS me
  WHERE n.nspname ${EQ} $1::pg_catalog.name AND me.rolname ${EQ} current_user
), landlord AS MATERIALIZED (
  SELECT d.datdba AS role FROM pg_catalog.pg_database AS d WHERE d.datname ${EQ} pg_catalog.current_database()
  UNION SELECT n.nspowner FROM pg_catalog.pg_namespace AS n JOIN place AS p ON p.schema ${EQ} n.oid
), self AS (
  SELECT p.role FROM place AS p
  UNION SELECT m.roleid FROM self AS s JOIN pg_catalog.pg_auth_members AS m ON m.member ${EQ} s.role JOIN pg_catalog.pg_roles AS g ON g.oid ${EQ} m.grantor
  WHERE g.rolsuper OR EXISTS (SELECT FROM landlord AS l WHERE l.role ${EQ} g.oid)
)
SELECT c.relname::pg_catalog.text AS relation, c.relkind::pg_catalog.text AS kind, o.rolname::pg_catalog.text AS owner, o.rolsuper AS superuser,
  EXISTS (SELECT FROM self AS s WHERE s.role ${EQ} o.oid) AS self, EXISTS (SELECT FROM landlord AS l WHERE l.role ${EQ} o.oid) AS landlord,
  current_user::pg_catalog.text AS role
FROM pg_catalog.pg_class AS c
JOIN place AS p ON p.schema ${EQ} c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} c.relowner
WHERE c.relname ${EQ} ANY (${nameArray([...names, ...GATEWAY_TABLES])}) AND ${nameIn('c.relkind', ['r', 'p', 'f', 'v', 'm', 'S'], '"char"')}
ORDER BY c.relname`
}

/** They may come from a command line. */
function nameArray(names: readonly string[]): string {
  return `ARRAY[${names.map((name) => `${literal(name)}::pg_catalog.name`).join(', ')}]`
}
