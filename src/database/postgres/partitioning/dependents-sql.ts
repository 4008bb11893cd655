import { builtIn, EQ, GT, nameIn, NE, PLUS, textOf } from '../exact.ts'
import type { Grant } from './dependents.ts'

export type GrantRow = Grant

/** Then the server writes every name in full, as it has to be where no path resolves it, and every time in one way. */
export const CANONICAL = `SELECT pg_catalog.set_config('search_path'::pg_catalog.text, ''::pg_catalog.text, true);
SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'iso_8601'; SET LOCAL timezone = 'UTC'`

const NAME = (column: string): string => `${column}::pg_catalog.text`
const CONCAT = builtIn('||')
const NOTHING = "'{}'::pg_catalog.text[]"
const QUOTED = (name: string): string => `pg_catalog.quote_ident(${NAME(name)})`
const COMMENT = (id: string, catalogue: string): string => `pg_catalog.obj_description(${id}, '${catalogue}'::pg_catalog.name)`
const TABLE = '$1::pg_catalog.oid'

const table = `SELECT ${textOf('c.oid')} AS id, ${NAME('n.nspname')} AS schema, ${NAME('c.relname')} AS name,
  ${QUOTED('n.nspname')} ${CONCAT} '.'::pg_catalog.text ${CONCAT} ${QUOTED('c.relname')} AS quoted, ${NAME('o.rolname')} AS owner,
  ${COMMENT('c.oid', 'pg_class')} AS comment, ${NAME('c.relpersistence')} AS persistence, c.relrowsecurity AS "hasRowSecurity",
  EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid ${EQ} c.oid) AS "hasPolicies",
  EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class ${EQ} c.oid) AS "hasRules",
  ${NAME('c.relreplident')} AS "replicaIdentity", coalesce(c.reloptions, ${NOTHING}) AS options, ${NAME('s.spcname')} AS tablespace
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} c.relowner
LEFT JOIN pg_catalog.pg_tablespace AS s ON s.oid ${EQ} c.reltablespace
WHERE n.nspname ${EQ} $1::pg_catalog.name AND c.relname ${EQ} $2::pg_catalog.name AND ${nameIn('c.relkind', ['r', 'p'], '"char"')}`

const columns = `SELECT ${NAME('a.attname')} AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
  CASE WHEN a.attcollation ${NE} t.typcollation THEN ${QUOTED('cn.nspname')} ${CONCAT} '.'::pg_catalog.text ${CONCAT} ${QUOTED('co.collname')} END AS collation,
  a.attnotnull AS "notNull", ${NAME('a.attidentity')} AS identity, ${NAME('a.attgenerated')} AS generated,
  pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression, pg_catalog.col_description(a.attrelid, a.attnum::pg_catalog.int4) AS comment,
  coalesce(a.attstattarget::pg_catalog.int4, '-1'::pg_catalog.int4) AS "statisticsTarget", coalesce(a.attoptions, ${NOTHING}) AS options
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid ${EQ} a.atttypid
LEFT JOIN pg_catalog.pg_collation AS co ON co.oid ${EQ} a.attcollation
LEFT JOIN pg_catalog.pg_namespace AS cn ON cn.oid ${EQ} co.collnamespace
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid ${EQ} a.attrelid AND d.adnum ${EQ} a.attnum
WHERE a.attrelid ${EQ} ${TABLE} AND a.attnum ${GT} '0'::pg_catalog.int2 AND NOT a.attisdropped ORDER BY a.attnum`

/** \`pg_get_indexdef\` begins with the names of the index and of its table, in full; what comes behind them says what it is an index of. */
const indexes = `SELECT ${NAME('c.relname')} AS name, ${restOf('pg_catalog.pg_get_indexdef(i.indexrelid)')} AS definition,
  i.indisunique AS "isUnique", (i.indisvalid AND i.indisready AND i.indislive) AS "isValid", ${NAME('k.contype')} AS "constraint",
  coalesce(k.condeferrable, false) AS "isDeferrable",
  ARRAY(SELECT ${NAME('a.attname')} FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS u (number, place)
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid ${EQ} i.indrelid AND a.attnum ${EQ} u.number AND a.attnum ${NE} '0'::pg_catalog.int2
    WHERE u.place ${builtIn('<=')} i.indnkeyatts::pg_catalog.int8 ORDER BY u.place) AS columns,
  i.indpred IS NOT NULL AS "isPartial", ${NAME('s.spcname')} AS tablespace,
  coalesce(${COMMENT('k.oid', 'pg_constraint')}, ${COMMENT('c.oid', 'pg_class')}) AS comment
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} i.indexrelid
JOIN pg_catalog.pg_class AS t ON t.oid ${EQ} i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} t.relnamespace
LEFT JOIN pg_catalog.pg_tablespace AS s ON s.oid ${EQ} c.reltablespace
LEFT JOIN pg_catalog.pg_constraint AS k ON k.conindid ${EQ} i.indexrelid AND k.conrelid ${EQ} i.indrelid AND ${nameIn('k.contype', ['p', 'u', 'x'], '"char"')}
WHERE i.indrelid ${EQ} ${TABLE} ORDER BY (k.contype IS NOT NULL AND k.contype ${EQ} 'p') DESC, c.relname`

function restOf(definition: string): string {
  const only = `CASE WHEN t.relkind ${EQ} 'p' THEN 'ONLY '::pg_catalog.text ELSE ''::pg_catalog.text END`
  const unique = `CASE WHEN i.indisunique THEN 'UNIQUE '::pg_catalog.text ELSE ''::pg_catalog.text END`
  const before = `pg_catalog.concat('CREATE '::pg_catalog.text, ${unique}, 'INDEX '::pg_catalog.text, ${QUOTED('c.relname')}, ' ON '::pg_catalog.text, ${only},
    ${QUOTED('n.nspname')}, '.'::pg_catalog.text, ${QUOTED('t.relname')}, ' '::pg_catalog.text)`
  return `pg_catalog.substr(${definition}, (pg_catalog.length(${before}) ${PLUS} '1'::pg_catalog.int4))`
}

const checks = `SELECT ${NAME('k.conname')} AS name, pg_catalog.pg_get_constraintdef(k.oid) AS definition, k.convalidated AS "isValid",
  NOT k.connoinherit AS "isInherited"
FROM pg_catalog.pg_constraint AS k WHERE k.conrelid ${EQ} ${TABLE} AND k.contype ${EQ} 'c' ORDER BY k.conname`

/** Bits of \`tgtype\`: 1 for each row, 8 DELETE. \`tgparentid\` exists from PostgreSQL 13 on. */
const triggers = `SELECT ${NAME('t.tgname')} AS name, pg_catalog.pg_get_triggerdef(t.oid) AS definition,
  (t.tgtype ${builtIn('&')} '1'::pg_catalog.int2) ${NE} '0'::pg_catalog.int2 AS "forEachRow",
  (t.tgtype ${builtIn('&')} '8'::pg_catalog.int2) ${NE} '0'::pg_catalog.int2 AS "firesOnDelete",
  ${NAME('t.tgenabled')} AS enabled, ${COMMENT('t.oid', 'pg_trigger')} AS comment
FROM pg_catalog.pg_trigger AS t
WHERE t.tgrelid ${EQ} ${TABLE} AND NOT t.tgisinternal AND t.tgparentid ${EQ} '0'::pg_catalog.oid ORDER BY t.tgname`

/** Without a list of its own, a table or sequence has the server's default one. */
const KIND = `CASE WHEN c.relkind ${EQ} 'S' THEN 's'::pg_catalog."char" ELSE 'r'::pg_catalog."char" END`
const grants = `SELECT NULL::pg_catalog.text AS "column", ${NAME('r.rolname')} AS grantee, a.privilege_type AS privilege, a.is_grantable AS "mayGrant"
FROM pg_catalog.pg_class AS c
CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault(${KIND}, c.relowner))) AS a
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid ${EQ} a.grantee
WHERE c.oid ${EQ} ${TABLE}
UNION
SELECT ${NAME('t.attname')}, ${NAME('r.rolname')}, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_attribute AS t
CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) AS a
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid ${EQ} a.grantee
WHERE t.attrelid ${EQ} ${TABLE} AND t.attnum ${GT} '0'::pg_catalog.int2 AND NOT t.attisdropped
ORDER BY 1, 2, 3`

const statistics = `SELECT ${NAME('s.stxname')} AS name FROM pg_catalog.pg_statistic_ext AS s WHERE s.stxrelid ${EQ} ${TABLE} ORDER BY s.stxname`

/** Of an identity (\`i\`) or serial (\`a\`) column. Numbers are text: they may be greater than JavaScript's. */
const sequences = `SELECT ${textOf('c.oid')} AS id, ${NAME('n.nspname')} AS schema, ${NAME('c.relname')} AS name, ${NAME('a.attname')} AS "column",
  d.deptype ${EQ} 'i' AS "isIdentity",
  pg_catalog.format('START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s'::pg_catalog.text, s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
    s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE'::pg_catalog.text ELSE 'NO CYCLE'::pg_catalog.text END) AS parameters,
  ${COMMENT('c.oid', 'pg_class')} AS comment
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} d.objid AND c.relkind ${EQ} 'S'
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
JOIN pg_catalog.pg_sequence AS s ON s.seqrelid ${EQ} c.oid
JOIN pg_catalog.pg_attribute AS a ON a.attrelid ${EQ} d.refobjid AND a.attnum::pg_catalog.int4 ${EQ} d.refobjsubid
WHERE d.classid ${EQ} 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.refclassid ${EQ} 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
  AND d.refobjid ${EQ} ${TABLE} AND ${nameIn('d.deptype', ['i', 'a'], '"char"')} ORDER BY a.attnum, c.relname`

/** The rule of a view depends on what the view reads. */
const views = `WITH RECURSIVE reads AS (
  SELECT DISTINCT r.ev_class AS id, d.refobjid AS of
  FROM pg_catalog.pg_depend AS d
  JOIN pg_catalog.pg_rewrite AS r ON r.oid ${EQ} d.objid AND r.ev_class ${NE} d.refobjid
  WHERE d.classid ${EQ} 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid AND d.refclassid ${EQ} 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
), above AS (
  SELECT r.id, '1'::pg_catalog.int4 AS depth FROM reads AS r WHERE r.of ${EQ} ${TABLE}
  UNION SELECT r.id, (a.depth ${PLUS} '1'::pg_catalog.int4) FROM above AS a JOIN reads AS r ON r.of ${EQ} a.id
)
SELECT ${NAME('n.nspname')} AS schema, ${NAME('c.relname')} AS name, ${NAME('o.rolname')} AS owner,
  pg_catalog.pg_has_role(c.relowner, 'USAGE'::pg_catalog.text) AS "isOwner", c.relkind ${EQ} 'm' AS "isMaterialized",
  EXISTS (SELECT FROM reads AS r WHERE r.id ${EQ} c.oid AND r.of ${EQ} ${TABLE}) AS "isDirect",
  pg_catalog.rtrim(pg_catalog.pg_get_viewdef(c.oid), ';'::pg_catalog.text) AS definition, coalesce(c.reloptions, ${NOTHING}) AS options
FROM (SELECT a.id, pg_catalog.max(a.depth) AS depth FROM above AS a GROUP BY a.id) AS f
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} f.id AND ${nameIn('c.relkind', ['v', 'm'], '"char"')}
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} c.relowner
ORDER BY f.depth, n.nspname, c.relname`

/** Row filters and lists of columns exist from PostgreSQL 15 on. */
const publications = `SELECT ${NAME('p.pubname')} AS name, pg_catalog.pg_has_role(p.pubowner, 'USAGE'::pg_catalog.text) AS "isOwner", p.puballtables AS "allTables",
  p.pubviaroot AS "viaRoot", r.oid IS NOT NULL AS "isNamed", pg_catalog.to_jsonb(t) ${builtIn('->>')} 'rowfilter'::pg_catalog.text AS filter,
  CASE WHEN r.oid IS NOT NULL AND (pg_catalog.to_jsonb(r) ${builtIn('->>')} 'prattrs'::pg_catalog.text) IS NOT NULL THEN
    ARRAY(SELECT pg_catalog.jsonb_array_elements_text(pg_catalog.to_jsonb(t) ${builtIn('->')} 'attnames'::pg_catalog.text)) END AS columns
FROM pg_catalog.pg_publication AS p
JOIN pg_catalog.pg_publication_tables AS t ON t.pubname ${EQ} p.pubname
JOIN pg_catalog.pg_class AS c ON c.relname ${EQ} t.tablename
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace AND n.nspname ${EQ} t.schemaname
LEFT JOIN pg_catalog.pg_publication_rel AS r ON r.prpubid ${EQ} p.oid AND r.prrelid ${EQ} c.oid
WHERE c.oid ${EQ} ${TABLE} ORDER BY p.pubname`

/** Each but the first, which takes schema and name, takes the table's id as \`$1\`. */
export const QUERIES = {
  table,
  columns,
  indexes,
  checks,
  triggers,
  grants,
  statistics,
  sequences,
  views,
  publications,
} as const

/** `$1`: the table's name in full, quoted. */
export const GRANTS_OF = grants.replaceAll(TABLE, 'pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid')

/** Views that name the table, in no order. */
export const DIRECT_VIEWS = `SELECT DISTINCT ${NAME('n.nspname')} AS schema, ${NAME('c.relname')} AS name
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_rewrite AS r ON r.oid ${EQ} d.objid AND r.ev_class ${NE} d.refobjid
JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} r.ev_class AND ${nameIn('c.relkind', ['v', 'm'], '"char"')}
JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
WHERE d.classid ${EQ} 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid AND d.refclassid ${EQ} 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
  AND d.refobjid ${EQ} ${TABLE}`
