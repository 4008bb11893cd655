import { countText, plural, someText } from '../../number-text.ts'
import { durationText } from '../../time/time-text.ts'
import type { Query } from '../query.ts'
import type { Space } from '../space-keeping.ts'
import { EQ, MINUS, nameIn, secondsOf } from './exact.ts'
import { qualified } from './identifiers.ts'

/** Of a table, or of one of its partitions: autovacuum goes to each by itself. */
interface PartSpace {
  /** The table that is purged. */
  readonly table: string
  readonly place: string
  readonly name: string
  readonly isTable: boolean
  readonly live: number
  readonly dead: number
  readonly disabled: boolean
  readonly stopped: boolean
  readonly since_s: number | null
}

/** Autovacuum begins, by default, when a fifth of a table is dead. */
const MOST_DEAD_SHARE = 0.4
/** Fewer are not worth a word. */
const WORTH_A_WORD_ROWS = 100_000

export const NEEDLESS_COMPACTION =
  'PostgreSQL uses the space of deleted rows again by itself, once autovacuum has been there. "status" says where it is kept from that'

/** By the statistics, which the server keeps anyway: no table is read. */
export async function space(query: Query, schema: string, tables: readonly string[]): Promise<Space> {
  const { rows: sizes } = await query.query<{ bytes: number }>('SELECT pg_catalog.pg_database_size(pg_catalog.current_database()) AS bytes')
  const { rows } = await query.query<PartSpace>(PARTS, [schema, JSON.stringify(tables)])
  return {
    bytes: sizes[0]?.bytes ?? 0,
    freeBytes: undefined,
    deadRows: rows.reduce((sum, { dead }) => sum + dead, 0),
    advice: [...Map.groupBy(rows, ({ table }) => table)].flatMap(([table, parts]) => adviceOn(`${schema}.${table}`, parts)),
  }
}

function adviceOn(title: string, parts: readonly PartSpace[]): string[] {
  const disabled = parts.filter((part) => part.disabled)
  const off = offAdvice(title, disabled)
  if (disabled.length < parts.length && parts.some(({ stopped }) => stopped))
    return [
      ...off,
      `autovacuum is switched off on this server, so the space of rows deleted from ${title} is never used again. Run: ALTER SYSTEM SET autovacuum = on`,
    ]
  return [...off, ...deadAdvice(title, parts)]
}

function offAdvice(title: string, disabled: readonly PartSpace[]): string[] {
  const [first] = disabled
  if (first === undefined) return []
  const statement = `ALTER TABLE ${qualified(first.place, first.name)} RESET (autovacuum_enabled)`
  return [
    `autovacuum is switched off for ${partsText(title, disabled)}, so the space of deleted rows is never used again. ` +
      (disabled.length === 1 ? `Run: ${statement}` : `Run for each of them, as here for the first: ${statement}`),
  ]
}

function deadAdvice(title: string, parts: readonly PartSpace[]): string[] {
  const full = parts.filter(({ live, dead, disabled }) => !disabled && dead > MOST_DEAD_SHARE * (live + dead))
  const dead = full.reduce((sum, part) => sum + part.dead, 0)
  if (dead < WORTH_A_WORD_ROWS) return []
  const seconds = full.map(({ since_s: since }) => since)
  const longest = seconds.includes(null)
    ? 'has never been vacuumed'
    : `was last vacuumed ${durationText(Math.max(...seconds.map(Number)) * 1_000)} ago`
  return [
    `${countText(dead)} deleted rows of ${partsText(title, full)} still take their space: ${full.length === 1 ? 'it' : 'at least one of them'} ${longest}. An old transaction, a prepared one or a replication slot may keep autovacuum from it: see pg_stat_activity, pg_prepared_xacts and pg_replication_slots`,
  ]
}

/** The table itself, or which of its partitions. */
function partsText(title: string, parts: readonly PartSpace[]): string {
  if (parts.every(({ isTable }) => isTable)) return title
  const names = parts.map(({ place, name }) => `${place}.${name}`)
  return `${countText(names.length)} ${plural(names.length, 'partition')} of ${title} (${someText(names, 5)})`
}

/** As whoever set it may have written it: the server keeps the word. */
const OFF = ['false', 'fals', 'fal', 'fa', 'f', 'off', 'of', 'no', 'n', '0']

/** A table with partitions has no rows of its own. The root is carried by its number, since a name has a collation that a recursion does not take. */
const PARTS = `WITH RECURSIVE part (root, id) AS (
  SELECT c.oid, c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
  WHERE n.nspname ${EQ} $1::pg_catalog.name AND ${nameIn('c.relkind', ['r', 'p'], '"char"')}
    AND c.relname::pg_catalog.text ${EQ} ANY (ARRAY(SELECT pg_catalog.json_array_elements_text($2::pg_catalog.json)))
  UNION
  SELECT p.root, i.inhrelid FROM part AS p JOIN pg_catalog.pg_inherits AS i ON i.inhparent ${EQ} p.id
)
SELECT t.relname::pg_catalog.text AS "table", n.nspname::pg_catalog.text AS place, c.relname::pg_catalog.text AS name, p.id ${EQ} p.root AS "isTable",
  coalesce(s.n_live_tup, 0) AS live, coalesce(s.n_dead_tup, 0) AS dead,
  EXISTS (
    SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) AS o
    WHERE o.option_name ${EQ} 'autovacuum_enabled'::pg_catalog.text AND ${nameIn('pg_catalog.lower(o.option_value)', OFF)}
  ) AS disabled,
  pg_catalog.current_setting('autovacuum'::pg_catalog.text) ${EQ} 'off' AS stopped,
  ${secondsOf(`(pg_catalog.clock_timestamp() ${MINUS} GREATEST(s.last_autovacuum, s.last_vacuum))`)} AS since_s
FROM part AS p
JOIN pg_catalog.pg_class AS t ON t.oid ${EQ} p.root
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} p.id
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid ${EQ} c.oid
WHERE ${nameIn('c.relkind', ['r'], '"char"')}
ORDER BY t.relname, n.nspname, c.relname`
