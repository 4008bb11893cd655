import { countText } from '../../number-text.ts'
import { durationText } from '../../time/time-text.ts'
import type { Query } from '../query.ts'
import type { Space } from '../space-keeping.ts'
import { EQ, MINUS, nameIn, secondsOf } from './exact.ts'
import { qualified } from './identifiers.ts'

interface TableSpace {
  readonly table: string
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

/** By the statistics, which the server keeps anyway: no table is read. Partitions count with their table's name only where that itself is purged. */
export async function space(query: Query, schema: string, tables: readonly string[]): Promise<Space> {
  const { rows: sizes } = await query.query<{ bytes: number }>('SELECT pg_catalog.pg_database_size(pg_catalog.current_database()) AS bytes')
  const { rows } = await query.query<TableSpace>(TABLES, [schema, JSON.stringify(tables)])
  return {
    bytes: sizes[0]?.bytes ?? 0,
    freeBytes: undefined,
    deadRows: rows.reduce((sum, { dead }) => sum + dead, 0),
    advice: rows.flatMap((row) => adviceOn(row, schema)),
  }
}

function adviceOn({ table, live, dead, disabled, stopped, since_s: sinceS }: TableSpace, schema: string): string[] {
  const title = `${schema}.${table}`
  if (disabled)
    return [
      `autovacuum is switched off for ${title}, so the space of deleted rows is never used again. Run: ALTER TABLE ${qualified(schema, table)} RESET (autovacuum_enabled)`,
    ]
  if (stopped)
    return [
      `autovacuum is switched off on this server, so the space of rows deleted from ${title} is never used again. Run: ALTER SYSTEM SET autovacuum = on`,
    ]
  if (dead < WORTH_A_WORD_ROWS || dead <= MOST_DEAD_SHARE * (live + dead)) return []
  const last = sinceS === null ? 'it has never been vacuumed' : `it was last vacuumed ${durationText(sinceS * 1_000)} ago`
  return [
    `${countText(dead)} deleted rows of ${title} still take their space: ${last}. An old transaction, a prepared one or a replication slot may keep autovacuum from it: see pg_stat_activity, pg_prepared_xacts and pg_replication_slots`,
  ]
}

/** As whoever set it may have written it: the server keeps the word. */
const OFF = ['false', 'fals', 'fal', 'fa', 'f', 'off', 'of', 'no', 'n', '0']

const TABLES = `SELECT c.relname::pg_catalog.text AS "table", coalesce(s.n_live_tup, 0) AS live, coalesce(s.n_dead_tup, 0) AS dead,
  EXISTS (
    SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) AS o
    WHERE o.option_name ${EQ} 'autovacuum_enabled'::pg_catalog.text AND ${nameIn('pg_catalog.lower(o.option_value)', OFF)}
  ) AS disabled,
  pg_catalog.current_setting('autovacuum'::pg_catalog.text) ${EQ} 'off' AS stopped,
  ${secondsOf(`(pg_catalog.clock_timestamp() ${MINUS} GREATEST(s.last_autovacuum, s.last_vacuum))`)} AS since_s
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid ${EQ} c.oid
WHERE n.nspname ${EQ} $1::pg_catalog.name AND ${nameIn('c.relkind', ['r'], '"char"')}
  AND c.relname::pg_catalog.text ${EQ} ANY (ARRAY(SELECT pg_catalog.json_array_elements_text($2::pg_catalog.json)))
ORDER BY c.relname`
