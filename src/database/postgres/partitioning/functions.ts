import type { TimeColumn } from '../../purging.ts'
import type { Query } from '../../query.ts'
import { EQ } from '../exact.ts'
import { literal, qualified, quoted } from '../identifiers.ts'
import { addingBlock, removingBlock, type Place } from './function-text.ts'

export const ADD_FUNCTION = 'maintenance_add_partition'
export const REMOVE_FUNCTION = 'maintenance_remove_partition'

/** With the arguments' types, for GRANT and DROP. */
const ADD = `${ADD_FUNCTION}(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text)`
const REMOVE = `${REMOVE_FUNCTION}(pg_catalog.text, pg_catalog.text)`

/** As `pg_proc.proconfig` has them. Not the caller's: who calls decides neither where names are found nor for how long others wait. */
const SETTINGS: Readonly<Record<string, string>> = {
  search_path: 'pg_catalog, pg_temp',
  lock_timeout: '100ms',
  row_security: 'off',
  datestyle: 'ISO, YMD',
  timezone: 'UTC',
}

export interface FunctionStatements {
  /** In a transaction, as the owner of the table or a superuser; makes them anew where they are. */
  readonly ensure: readonly string[]
  readonly drop: readonly string[]
}

export interface FunctionPlace extends Place {
  /** Of the table, and so of the functions, whose rights they have. */
  readonly owner: string
  /** Who may call them: see `updatersOf`. A right that everybody has is not passed on. */
  readonly roles: readonly string[]
}

/** What makes and removes the two functions by which a role that does not own the table makes, takes out and drops partitions of it. */
export function functionStatements({ owner, roles, ...place }: FunctionPlace): FunctionStatements {
  const signatures = [ADD, REMOVE].map((signature) => nameOf(place.schema, signature))
  const drop = signatures.map((signature) => `DROP FUNCTION IF EXISTS ${signature}`)
  const settings = Object.entries(SETTINGS).map(([name, value]) => `SET ${name} = ${name === 'search_path' ? value : literal(value)}`)
  const made = [
    [ADD_FUNCTION, ADDING, addingBody(place)],
    [REMOVE_FUNCTION, REMOVING, removingBody(place)],
  ].map(
    ([name, parameters, body]) =>
      `CREATE FUNCTION ${qualified(place.schema, name!)}(${parameters}) RETURNS pg_catalog.void LANGUAGE plpgsql SECURITY DEFINER ` +
      `${settings.join(' ')} AS ${literal(body!)}`,
  )
  const granted = roles.filter((role) => role !== 'PUBLIC' && role !== owner)
  return {
    // Not CREATE OR REPLACE, which leaves a stranger's function with its owner.
    ensure: [
      ...drop,
      ...made,
      ...signatures.flatMap((signature) => [
        `ALTER FUNCTION ${signature} OWNER TO ${quoted(owner)}`,
        `REVOKE ALL ON FUNCTION ${signature} FROM PUBLIC`,
        ...granted.map((role) => `GRANT EXECUTE ON FUNCTION ${signature} TO ${quoted(role)}`),
      ]),
    ],
    drop,
  }
}

export function grantStatement(schema: string, role: string): string {
  return `GRANT EXECUTE ON FUNCTION ${[ADD, REMOVE].map((signature) => nameOf(schema, signature)).join(', ')} TO ${quoted(role)}`
}

export type FunctionsFound =
  /** As we made them, of the table's owner, and this role may call them. */
  | 'usable'
  | 'absent'
  /** This role may not call them. */
  | 'forbidden'
  /** Of another owner, or of another text: of another version, or not ours at all. */
  | 'other'

/** What runs when they are called is the business of whoever made them, so they are not called before the catalogue has said that they are ours. */
export async function functionsFound(query: Query, place: Place, owner: string): Promise<FunctionsFound> {
  const { rows } = await query.query<FunctionRow>(FOUND, [place.schema])
  if (rows.length === 0) return 'absent'
  if (rows.length < 2 || !rows.every((row) => row.owner === owner && isOurs(row, place))) return 'other'
  return rows.every(({ mayCall }) => mayCall) ? 'usable' : 'forbidden'
}

export interface ChangedFunction {
  readonly name: string
  readonly table: string
  /** Drops it. */
  readonly statement: string
}

/** Those of the two that are there and are not as we made them for any of these tables, or belong to somebody else than it does. */
export async function changedFunctions(
  query: Query,
  schema: string,
  columns: readonly TimeColumn[],
  ownerOf: (table: string) => string | undefined,
): Promise<readonly ChangedFunction[]> {
  const [first] = columns
  if (first === undefined) return []
  const { rows } = await query.query<FunctionRow>(FOUND, [schema])
  return rows.flatMap((row) => {
    const place = columns.find(({ table, column }) => isOurs(row, { schema, table, column }))
    if (place !== undefined && ownerOf(place.table) === row.owner) return []
    const signature = row.name === ADD_FUNCTION ? ADD : REMOVE
    return [{ name: row.name, table: (place ?? first).table, statement: `DROP FUNCTION ${nameOf(schema, signature)}` }]
  })
}

function isOurs({ name, definer, language, source, settings }: FunctionRow, place: Place): boolean {
  const body = name === ADD_FUNCTION ? addingBody(place) : removingBody(place)
  return definer && language === 'plpgsql' && source === body && areOurs(settings)
}

function areOurs(settings: readonly string[] | null): boolean {
  const read = new Map(
    (settings ?? []).map((setting) => [setting.slice(0, setting.indexOf('=')).toLowerCase(), setting.slice(setting.indexOf('=') + 1)]),
  )
  return read.size === Object.keys(SETTINGS).length && Object.entries(SETTINGS).every(([name, value]) => read.get(name) === value)
}

const ADDING = ['wanted', 'relation', 'lower_bound', 'upper_bound'].map((name) => `${name} pg_catalog.text`).join(', ')
const REMOVING = ['wanted', 'relation'].map((name) => `${name} pg_catalog.text`).join(', ')

function addingBody(place: Place): string {
  return addingBlock('', place)
}

function removingBody(place: Place): string {
  return removingBlock('', place)
}

function nameOf(schema: string, signature: string): string {
  return `${quoted(schema)}.${signature}`
}

interface FunctionRow {
  readonly name: string
  readonly owner: string
  readonly definer: boolean
  readonly language: string
  readonly source: string
  readonly settings: readonly string[] | null
  readonly mayCall: boolean
}

/** By their arguments' types too: a call with exactly these means no other function of the name. \`25\` is the type text. */
const FOUND = `SELECT p.proname::pg_catalog.text AS name, o.rolname::pg_catalog.text AS owner, p.prosecdef AS definer, l.lanname::pg_catalog.text AS language,
  p.prosrc AS source, p.proconfig AS settings, pg_catalog.has_function_privilege(p.oid, 'EXECUTE'::pg_catalog.text) AS "mayCall"
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} p.pronamespace
JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} p.proowner
JOIN pg_catalog.pg_language AS l ON l.oid ${EQ} p.prolang
WHERE n.nspname ${EQ} $1::pg_catalog.name AND (
  (p.proname ${EQ} '${ADD_FUNCTION}'::pg_catalog.name AND pg_catalog.oidvectoreq(p.proargtypes, '25 25 25 25'::pg_catalog.oidvector))
  OR (p.proname ${EQ} '${REMOVE_FUNCTION}'::pg_catalog.name AND pg_catalog.oidvectoreq(p.proargtypes, '25 25'::pg_catalog.oidvector))
)`
