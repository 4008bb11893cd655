import { EQ, NE } from '../exact.ts'
import { catalogue, is, OF_TABLE } from './plan-sql.ts'

function own(class_: string, column: string): string {
  return `d.classid ${EQ} ${catalogue(class_)} AND EXISTS (SELECT FROM pg_catalog.${class_} AS x WHERE x.oid ${EQ} d.objid AND x.${column} ${EQ} ${OF_TABLE})`
}

/**
 * What holds the table, its row type or its constraints by their numbers, and is no part of it: all that the catalogue has of that, so that what a later
 * version of PostgreSQL adds is met too. Not here: foreign keys, children, and views that are replaced along with the table.
 */
export const DEPENDENTS = `WITH held AS MATERIALIZED (
  SELECT ${catalogue('pg_class')} AS class, ${OF_TABLE} AS object
  UNION ALL SELECT ${catalogue('pg_type')}, y.oid FROM pg_catalog.pg_type AS y WHERE y.typrelid ${EQ} ${OF_TABLE}
  UNION ALL SELECT ${catalogue('pg_type')}, y.typarray FROM pg_catalog.pg_type AS y WHERE y.typrelid ${EQ} ${OF_TABLE}
  UNION ALL SELECT ${catalogue('pg_constraint')}, k.oid FROM pg_catalog.pg_constraint AS k WHERE k.conrelid ${EQ} ${OF_TABLE}
), found AS MATERIALIZED (
  SELECT d.classid, d.objid, d.objsubid, v.oid AS view,
    CASE
      WHEN v.relkind ${EQ} 'm'::pg_catalog."char" THEN 'materialized'
      WHEN v.oid IS NOT NULL AND v.relkind ${NE} 'v'::pg_catalog."char" THEN 'rule'
      WHEN h.class ${EQ} ${catalogue('pg_constraint')} AND v.oid IS NOT NULL THEN 'key'
      WHEN h.class ${EQ} ${catalogue('pg_type')} THEN 'row type'
      WHEN v.oid IS NOT NULL THEN
        CASE WHEN NOT (pg_catalog.pg_has_role(v.relowner, 'USAGE'::pg_catalog.text)
          AND pg_catalog.has_schema_privilege(v.relnamespace, 'CREATE'::pg_catalog.text)) THEN 'view' END
      ELSE 'other'
    END AS why
  FROM held AS h
  JOIN pg_catalog.pg_depend AS d ON d.refclassid ${EQ} h.class AND d.refobjid ${EQ} h.object
  LEFT JOIN pg_catalog.pg_rewrite AS r ON d.classid ${EQ} ${catalogue('pg_rewrite')} AND r.oid ${EQ} d.objid
  LEFT JOIN pg_catalog.pg_class AS v ON v.oid ${EQ} r.ev_class
  WHERE NOT ${is('d.deptype', 'i')}
    AND NOT (${own('pg_attrdef', 'adrelid')}) AND NOT (${own('pg_trigger', 'tgrelid')}) AND NOT (${own('pg_policy', 'polrelid')})
    AND NOT (${own('pg_statistic_ext', 'stxrelid')}) AND NOT (${own('pg_publication_rel', 'prrelid')})
    AND NOT (${own('pg_constraint', 'conrelid')}) AND NOT (${own('pg_constraint', 'confrelid')})
    AND NOT (d.classid ${EQ} ${catalogue('pg_class')} AND (${is('d.deptype', 'a')}
      OR d.objid ${EQ} ${OF_TABLE} OR EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indexrelid ${EQ} d.objid AND i.indrelid ${EQ} ${OF_TABLE})
      OR EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid ${EQ} d.objid AND i.inhparent ${EQ} ${OF_TABLE})))
)
SELECT DISTINCT o.type, o.identity, f.why FROM found AS f CROSS JOIN LATERAL pg_catalog.pg_identify_object(
  CASE WHEN f.why ${NE} 'rule' AND f.view IS NOT NULL THEN ${catalogue('pg_class')} ELSE f.classid END,
  CASE WHEN f.why ${NE} 'rule' AND f.view IS NOT NULL THEN f.view ELSE f.objid END,
  CASE WHEN f.view IS NULL THEN f.objsubid ELSE 0 END
) AS o
WHERE f.why IS NOT NULL ORDER BY o.type, o.identity, f.why`
