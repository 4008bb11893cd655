import type { TestDatabase } from './engines.ts'

/**
 * Everything that the catalogue of PostgreSQL says of a table and of what belongs to it, and the names of all that there is in its schema, one line each: two
 * tables with the same lines are the same to whoever uses them.
 */
export async function shapeOf(outside: TestDatabase, table = 'audit_logs'): Promise<readonly string[]> {
  const rows = await outside.sql<{ line: string }>(SHAPE, [table])
  return rows.map(({ line }) => line)
}

const ACL = (acl: string): string => `(SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(${acl}) AS a)`

const SHAPE = `WITH t AS (SELECT c.* FROM pg_class AS c WHERE c.relname = $1 AND c.relkind IN ('r', 'p')),
seq AS (SELECT d.objid, d.refobjsubid FROM pg_depend AS d, t WHERE d.refobjid = t.oid AND d.deptype IN ('a', 'i') AND d.classid = 'pg_class'::regclass
  AND EXISTS (SELECT FROM pg_sequence AS s WHERE s.seqrelid = d.objid))
SELECT concat_ws(' | ', 'table', relname, relkind, relowner::regrole, ${ACL('relacl')}, reloptions, relreplident, obj_description(t.oid, 'pg_class')) AS line FROM t
UNION ALL SELECT concat_ws(' | ', 'column', row_number() OVER (ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
  pg_get_expr(d.adbin, d.adrelid), ${ACL('a.attacl')}, a.attstattarget, col_description(a.attrelid, a.attnum))
  FROM t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef AS d ON d.adrelid = t.oid AND d.adnum = a.attnum
UNION ALL SELECT concat_ws(' | ', 'constraint', k.conname, k.contype, pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'))
  FROM t JOIN pg_constraint AS k ON k.conrelid = t.oid
UNION ALL SELECT concat_ws(' | ', 'index', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisprimary, obj_description(i.indexrelid, 'pg_class'))
  FROM t JOIN pg_index AS i ON i.indrelid = t.oid
UNION ALL SELECT concat_ws(' | ', 'trigger', pg_get_triggerdef(g.oid), g.tgenabled, obj_description(g.oid, 'pg_trigger'))
  FROM t JOIN pg_trigger AS g ON g.tgrelid = t.oid
UNION ALL SELECT concat_ws(' | ', 'sequence', seq.objid::regclass, seq.refobjsubid, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
  c.relowner::regrole, ${ACL('c.relacl')}, obj_description(c.oid, 'pg_class'))
  FROM seq JOIN pg_sequence AS s ON s.seqrelid = seq.objid JOIN pg_class AS c ON c.oid = seq.objid
UNION ALL SELECT concat_ws(' | ', 'view', v.oid::regclass, v.relowner::regrole, ${ACL('v.relacl')}, v.reloptions, pg_get_viewdef(v.oid))
  FROM pg_class AS v, t WHERE v.relkind = 'v' AND v.relnamespace = t.relnamespace
UNION ALL SELECT concat_ws(' | ', 'published', p.pubname, p.tablename, to_jsonb(p) ->> 'rowfilter', to_jsonb(p) ->> 'attnames') FROM pg_publication_tables AS p
UNION ALL SELECT concat_ws(' | ', 'there is', c.relkind, c.relname) FROM pg_class AS c, t WHERE c.relnamespace = t.relnamespace
UNION ALL SELECT concat_ws(' | ', 'function', p.oid::regprocedure) FROM pg_proc AS p, t WHERE p.pronamespace = t.relnamespace
ORDER BY 1`
