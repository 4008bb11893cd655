import type { EpochMs } from '../../../time/clock.ts'
import { BUSY_ROWS, zoneSuspicion, type NewestRows } from '../../../time/zone-suspicion.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Inspection, Terms, TimeColumn } from '../../purging.ts'
import type { Query } from '../../query.ts'
import { EQ, GT, LT, nameIn } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { mustBeTrusted } from '../owners.ts'
import { asText, timeTypeOf } from '../times.ts'
import type { Taken } from './cascaded.ts'
import type { Look } from './estimate.ts'
import { neighbourhoodOf } from './foreign-keys.ts'
import { mustBeOursToDrop } from './others-retention.ts'
import { mustBeSearchable } from './searchable.ts'
import type { TimedTable } from './slice-sql.ts'
import { mustHaveColumns } from './spared-sql.ts'
import { mustTakeNothing, reachIn, takenFrom } from './taken-along.ts'
import { unindexedReferences } from './unindexed-references.ts'

export interface InspectOptions {
  readonly query: Query
  readonly look: Look
  readonly schema: string
  readonly timeZone: string
  readonly now: () => Promise<EpochMs>
  readonly terms: Terms
  /** The tables whose walk has to steer the planner: brought up to date. */
  readonly steered: Set<string>
  /** What foreign keys take along, by table: brought up to date. */
  readonly taken: Map<string, Taken>
}

/** Finds, before anything is deleted, what would make a purge fail or wrongly report that nothing has expired. */
export async function inspect(options: InspectOptions, column: TimeColumn): Promise<Inspection> {
  const { query, look, schema } = options
  const title = `${schema}.${column.table}`
  const facts = (await query.query<Facts>(FACTS, [schema, column.table, column.column])).rows[0]
  const trusted = await mustBeTrusted(query, schema, [column.table])
  if (facts === undefined || !trusted.has(column.table)) return { kind: 'absent', reason: `table ${title} does not exist` }

  if (!TABLES.has(facts.relkind))
    throw impossible(
      `${title} is ${KINDS[facts.relkind] ?? 'no table'}, and rows can only be deleted from a table. Replace it with a table, or disable the job`,
    )
  if (facts.type === null)
    throw impossible(
      `table ${title} has no column ${quoted(column.column)}, which the migrations give it. Find out what created the table, or disable the job`,
    )
  const type = timeTypeOf(facts.type)
  if (type === undefined) {
    throw impossible(
      `column ${quoted(column.column)} of ${title} has type ${facts.type}, but must be timestamp or timestamptz. Change the type, or disable the job`,
    )
  }
  const missing = [...(facts.may_select ? [] : ['SELECT']), ...(facts.may_delete ? [] : ['DELETE'])]
  const grants = [
    ...(facts.may_use ? [] : [`GRANT USAGE ON SCHEMA ${quoted(schema)} TO ${quoted(facts.role)}`]),
    ...(missing.length === 0 ? [] : [`GRANT ${missing.join(', ')} ON ${qualified(schema, column.table)} TO ${quoted(facts.role)}`]),
  ]
  if (grants.length > 0) {
    throw new DatabaseError('forbidden', `Role ${facts.role} may not purge ${title}. Nothing was deleted. Run: ${grants.join('; ')}`)
  }
  if (facts.hides_rows) {
    throw new DatabaseError(
      'forbidden',
      `Row-level security hides rows of ${title} from role ${facts.role}, which therefore cannot delete them or know that they have expired. ` +
        `Nothing was deleted. Connect as the table's owner or as a role with BYPASSRLS (ALTER ROLE ${quoted(facts.role)} BYPASSRLS).`,
    )
  }
  await mustHaveColumns(query, { schema, name: column.table, title }, options.terms.matched)
  const neighbourhood = await neighbourhoodOf(query, schema, column.table)
  const reach = reachIn(neighbourhood)
  const timed = { table: qualified(schema, column.table), title, column: quoted(column.column), type }
  const taken = mustTakeNothing(neighbourhood, reach, options.terms)
  const dropped = await mustBeOursToDrop(look, neighbourhood, options.terms)
  const { indexed, steered } = await mustBeSearchable({ query, look, neighbourhood, column: column.column, timed })
  options.taken.set(column.table, takenFrom(neighbourhood, reach))
  options.steered[steered ? 'add' : 'delete'](column.table)
  const lasting = [
    ...taken,
    ...dropped,
    ...(await unindexedReferences(look, neighbourhood, reach.searched)),
    ...(steered ? [steeredNote(timed)] : []),
  ]
  const judged = indexed && column.keep?.from === 'written' && type === 'timestamp'
  const warning = judged ? zoneSuspicion(await newestRows(options, column), await options.now(), options.timeZone) : undefined
  return { kind: 'ready', warnings: warning === undefined ? [] : [warning], lasting }
}

/** The column has no zone: its readings are returned as if they were UTC. */
async function newestRows({ query, schema }: InspectOptions, { table, column }: TimeColumn): Promise<NewestRows> {
  const time = `t.${quoted(column)}`
  const newestFirst = `SELECT ${time} AS at FROM ${qualified(schema, table)} AS t WHERE ${time} ${LT} 'infinity'::pg_catalog.timestamp ORDER BY ${time} DESC`
  const { rows } = await query.query<{ newest: string | null; earlier: string | null }>(
    `SELECT (SELECT ${asText('n.at')} FROM (${newestFirst} LIMIT 1) AS n) AS newest, (SELECT ${asText('e.at')} FROM (${newestFirst} OFFSET ${BUSY_ROWS - 1} LIMIT 1) AS e) AS earlier`,
  )
  const newest = Date.parse(`${rows[0]?.newest}Z`)
  return { table: `${schema}.${table}`, column, newest, spanMs: newest - Date.parse(`${rows[0]?.earlier}Z`) }
}

interface Facts {
  readonly relkind: string
  readonly type: string | null
  readonly role: string
  readonly may_use: boolean
  readonly may_select: boolean
  readonly may_delete: boolean
  readonly hides_rows: boolean
}

const FACTS = `SELECT c.relkind::pg_catalog.text AS relkind, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, current_user::pg_catalog.text AS role,
  pg_catalog.has_schema_privilege(n.oid, 'USAGE'::pg_catalog.text) AS may_use,
  pg_catalog.has_table_privilege(c.oid, 'SELECT'::pg_catalog.text) AS may_select,
  pg_catalog.has_table_privilege(c.oid, 'DELETE'::pg_catalog.text) AS may_delete,
  pg_catalog.row_security_active(c.oid) AS hides_rows
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
LEFT JOIN pg_catalog.pg_attribute AS a
  ON a.attrelid ${EQ} c.oid AND a.attname ${EQ} $3::pg_catalog.name AND a.attnum ${GT} 0 AND NOT a.attisdropped
WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name AND ${nameIn('c.relkind', ['r', 'p', 'v', 'm', 'f'], '"char"')}`

const TABLES: ReadonlySet<string> = new Set(['r', 'p'])
const KINDS: Readonly<Record<string, string>> = { v: 'a view', m: 'a materialized view', f: 'a foreign table' }

function steeredNote({ title, column, table }: TimedTable): string {
  return (
    `the planner would rather read or sort the whole of ${title} than search its index on ${column}, so the worker's statements make it search; ` +
    `look at enable_indexscan and enable_bitmapscan of the role and the database. If these are on, run: ANALYZE ${table}`
  )
}

function impossible(problem: string): DatabaseError {
  return new DatabaseError('failed', `${problem[0]?.toUpperCase()}${problem.slice(1)}. Nothing was deleted.`)
}
