import { EQ, GE, nameIn, NE } from '../exact.ts'
import { SESSION_COLUMNS } from '../migrating/sessions.ts'

/** What a table is connected with, by its number `$1`. */
export const OF_TABLE = '$1::pg_catalog.oid'

const KIND = '"char"'

function oneOf(column: string, kinds: readonly string[]): string {
  return nameIn(column, kinds, KIND)
}

export function is(column: string, kind: string): string {
  return `${column} ${EQ} '${kind}'::pg_catalog."char"`
}

function title(relation: string): string {
  return `(SELECT pg_catalog.concat(n.nspname::pg_catalog.text, '.'::pg_catalog.text, r.relname::pg_catalog.text)
    FROM pg_catalog.pg_class AS r JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} r.relnamespace WHERE r.oid ${EQ} ${relation})`
}

export const SHAPE = `SELECT current_user::pg_catalog.text AS role, c.reloftype ${NE} '0'::pg_catalog.oid AS "isTyped",
  ARRAY(SELECT ${title('i.inhparent')} FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid ${EQ} c.oid ORDER BY i.inhseqno) AS parents,
  c.relforcerowsecurity AS "forcesRowSecurity",
  (SELECT e.extname::pg_catalog.text FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid ${EQ} d.refobjid
    WHERE d.classid ${EQ} ${catalogue('pg_class')} AND d.objid ${EQ} c.oid AND ${is('d.deptype', 'e')} LIMIT 1) AS extension,
  EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS s WHERE s.srrelid ${EQ} c.oid) AS "isSubscribed",
  EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid ${EQ} c.oid AND a.attname ${EQ} 'id'::pg_catalog.name AND NOT a.attisdropped) AS "hasId",
  EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid ${EQ} c.oid AND a.attname ${EQ} $2::pg_catalog.name AND NOT a.attisdropped
    AND a.attgenerated ${NE} ''::pg_catalog."char") AS "isTimeGenerated",
  pg_catalog.has_schema_privilege(c.relnamespace, 'CREATE'::pg_catalog.text) AS "mayCreate",
  pg_catalog.has_schema_privilege(c.relowner, c.relnamespace, 'CREATE'::pg_catalog.text) AS "ownerMayCreate",
  pg_catalog.pg_total_relation_size(c.oid::pg_catalog.regclass) AS bytes
FROM pg_catalog.pg_class AS c WHERE c.oid ${EQ} ${OF_TABLE}`

/** The copies of one that a partitioned table passes on do not count. */
export const FOREIGN_KEYS = `SELECT k.conname::pg_catalog.text AS name, ${title('k.conrelid')} AS of, ${title('k.confrelid')} AS "to", k.confrelid ${EQ} ${OF_TABLE} AS "refersToUs"
FROM pg_catalog.pg_constraint AS k
WHERE ${is('k.contype', 'f')} AND k.conparentid ${EQ} '0'::pg_catalog.oid AND (k.confrelid ${EQ} ${OF_TABLE} OR k.conrelid ${EQ} ${OF_TABLE})
ORDER BY k.conname, k.oid`

/** A constraint that says NOT NULL is in this table from PostgreSQL 18 on. */
export const CHECKS = `SELECT k.conname::pg_catalog.text AS name, k.convalidated AS "isValid", NOT k.connoinherit AS "isInherited"
FROM pg_catalog.pg_constraint AS k
WHERE k.conrelid ${EQ} ${OF_TABLE} AND ${oneOf('k.contype', ['c', 'n'])} AND (NOT k.convalidated OR k.connoinherit) ORDER BY k.conname`

/** A partition may have no row trigger with transition tables; bit 0 of the type is for each row. */
export const TRIGGERS = `SELECT t.tgname::pg_catalog.text AS name FROM pg_catalog.pg_trigger AS t
WHERE t.tgrelid ${EQ} ${OF_TABLE} AND NOT t.tgisinternal AND (t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL)
  AND pg_catalog.int2and(t.tgtype, '1'::pg_catalog.int2) ${EQ} '1'::pg_catalog.int2 ORDER BY t.tgname`

export const TAKEN_NAMES = `SELECT c.relname::pg_catalog.text AS name FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
WHERE n.nspname ${EQ} $1::pg_catalog.name
  AND c.relname::pg_catalog.text ${EQ} ANY (ARRAY(SELECT pg_catalog.json_array_elements_text($2::pg_catalog.json))) ORDER BY c.relname`

/** An index that is built concurrently waits for all of these. A role that may not see another's transaction has NULL. */
export const OLDEST = `SELECT a.pid, ${SESSION_COLUMNS} FROM pg_catalog.pg_stat_activity AS a
WHERE a.xact_start IS NOT NULL AND a.pid ${NE} pg_catalog.pg_backend_pid() AND a.datname ${EQ} pg_catalog.current_database()
  AND a.backend_type ${EQ} 'client backend'::pg_catalog.text
ORDER BY a.xact_start LIMIT 1`

export const PREPARED = `SELECT pg_catalog.count(*) AS prepared FROM pg_catalog.pg_prepared_xacts AS p WHERE p.database ${EQ} pg_catalog.current_database()`

/** By the index on the time column: NULLs and the latest times are its ends. `$1`: the bound, `$2`: counts no further. */
export function waywardSql(table: string, column: string, type: string): string {
  const upTo = (where: string): string =>
    `(SELECT pg_catalog.count(*) FROM (SELECT FROM ${table} AS t WHERE ${where} LIMIT $2::bigint) AS r)`
  return `SELECT ${upTo(`t.${column} IS NULL`)} AS undated, ${upTo(`t.${column} ${GE} $1::pg_catalog.${type}`)} AS ahead`
}

export function latelySql(table: string, column: string): string {
  return `SELECT EXISTS (SELECT FROM (SELECT t.${column} AS at FROM ${table} AS t ORDER BY t.id DESC LIMIT $1::bigint) AS r WHERE r.at IS NULL) AS found`
}

export function catalogue(name: string): string {
  return `'pg_catalog.${name}'::pg_catalog.regclass::pg_catalog.oid`
}
