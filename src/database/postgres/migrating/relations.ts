import type { Column, PartitionedTable, Relation, TypeFamily } from '../../migrating.ts'
import type { Query } from '../../query.ts'
import { EQ, GT, nameIn } from '../exact.ts'
import { qualified } from '../identifiers.ts'
import { mustBeTrusted, OWN_TABLES } from '../owners.ts'
import { plannedRows } from '../purging/estimate.ts'

/** Tables and views of one schema, by name; partitioned and foreign tables are tables, materialized views views. */
export async function relations(query: Query, schema: string): Promise<ReadonlyMap<string, Relation>> {
  // Checked on every call: a relation may have appeared since the database was opened. One that appears later is not in this result.
  const trusted = await mustBeTrusted(query, schema, OWN_TABLES)
  const { rows } = await query.query<Row>(RELATIONS, [schema])
  const partitioned = new Map(
    (await query.query<PartitionedTable & { table: string }>(PARTITIONED, [schema])).rows.map((row) => [row.table, row]),
  )
  const found = new Map<string, { kind: 'table' | 'view'; columns: Map<string, Column>; partitioned?: PartitionedTable }>()
  for (const { relation, relkind, column, type, base_type: base, mandatory } of rows) {
    if (OWN_TABLES.includes(relation) && !trusted.has(relation)) continue
    let known = found.get(relation)
    if (known === undefined) {
      const parts = partitioned.get(relation)
      known = {
        kind: relkind === 'v' || relkind === 'm' ? 'view' : 'table',
        columns: new Map(),
        ...(relkind === 'p' && parts !== undefined ? { partitioned: { columns: parts.columns, indexes: parts.indexes } } : {}),
      }
      found.set(relation, known)
    }
    if (column !== null && type !== null) known.columns.set(column, { family: FAMILIES[base ?? ''] ?? 'other', type, mandatory })
  }
  return found
}

/** Taken from the check of owners. Only ordinary and partitioned tables count. */
export async function tablesAmong(query: Query, schema: string, names: readonly string[]): Promise<ReadonlySet<string>> {
  const kinds = await mustBeTrusted(query, schema, [...OWN_TABLES, ...names])
  return new Set(names.filter((name) => ['r', 'p'].includes(kinds.get(name) ?? '')))
}

export async function approximateRows(query: Query, schema: string, table: string): Promise<number> {
  await mustBeTrusted(query, schema, [table])
  return plannedRows(query, `SELECT FROM ${qualified(schema, table)}`)
}

/** A role that may not see the other role's progress cannot tell a build that is under way from an invalid index. */
export async function indexState(query: Query, schema: string, name: string): Promise<'missing' | 'valid' | 'invalid'> {
  const { rows } = await query.query<{ valid: boolean }>(
    `SELECT coalesce(i.indisvalid AND i.indisready AND i.indislive, true)
       OR EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.index_relid ${EQ} c.oid) AS valid
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
     LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid ${EQ} c.oid
     WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name AND ${nameIn('c.relkind', ['i', 'I'], '"char"')}`,
    [schema, name],
  )
  if (rows[0] === undefined) return 'missing'
  return rows[0].valid ? 'valid' : 'invalid'
}

interface Row {
  readonly relation: string
  readonly relkind: string
  readonly column: string | null
  readonly type: string | null
  readonly base_type: string | null
  readonly mandatory: boolean
}

/** A domain counts as its base type, with its own default. A type that only has the name of a built-in one does not count as built in. */
const RELATIONS = `SELECT c.relname::pg_catalog.text AS relation, c.relkind::pg_catalog.text AS relkind, a.attname::pg_catalog.text AS "column",
  pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, b.typname::pg_catalog.text AS base_type,
  coalesce((a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND a.attidentity ${EQ} '' AND a.attgenerated ${EQ} '' AND t.typdefault IS NULL, false) AS mandatory
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid ${EQ} c.oid AND a.attnum ${GT} 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_type AS t ON t.oid ${EQ} a.atttypid
LEFT JOIN pg_catalog.pg_type AS b
  ON b.oid ${EQ} (CASE WHEN t.typtype ${EQ} 'd' THEN t.typbasetype ELSE t.oid END) AND b.typnamespace ${EQ} 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid
WHERE n.nspname ${EQ} $1::pg_catalog.name AND ${nameIn('c.relkind', ['r', 'p', 'f', 'v', 'm'], '"char"')}
ORDER BY c.relname, a.attnum`

const PARTITIONED = `SELECT c.relname::pg_catalog.text AS "table",
  ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid ${EQ} c.oid AND a.attnum ${GT} 0 AND a.attnum ${EQ} ANY (p.partattrs::pg_catalog.int2[]) ORDER BY a.attnum) AS columns,
  ARRAY(SELECT x.relname::pg_catalog.text FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS x ON x.oid ${EQ} i.indexrelid
    WHERE i.indrelid ${EQ} c.oid ORDER BY x.relname) AS indexes
FROM pg_catalog.pg_partitioned_table AS p
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} p.partrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
WHERE n.nspname ${EQ} $1::pg_catalog.name`

const FAMILIES: Readonly<Record<string, TypeFamily>> = {
  int2: 'whole',
  int4: 'whole',
  int8: 'whole',
  text: 'text',
  varchar: 'text',
  bpchar: 'text',
  name: 'text',
  bool: 'truth',
  timestamp: 'time',
  timestamptz: 'time',
}
