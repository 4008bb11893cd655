import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { converted } from '../../support/converting.ts'
import { POSTGRES_MAJORS } from '../../support/databases.ts'
import { postgresDatabase, type TestDatabase } from '../../support/engines.ts'
import { shapeOf } from '../../support/schema-shape.ts'
import { applyMigrations, opened } from '../../runs/support.ts'
import { undo } from './undoing.ts'

/** What people see of a table by its name, whatever it is made of. */
async function picture(outside: TestDatabase, schema = 'public'): Promise<unknown> {
  const table = `(SELECT c.oid FROM pg_class AS c WHERE c.relname = 'audit_logs' AND c.relnamespace = '${schema}'::regnamespace)`
  return {
    table: await outside.sql(
      `SELECT relowner::regrole::text AS owner, obj_description(oid, 'pg_class') AS comment,
         (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(relacl, acldefault('r', relowner))) AS a) AS acl FROM pg_class WHERE oid = ${table}`,
    ),
    columns: await outside.sql(
      `SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull, attidentity, attgenerated, attacl::text, attstattarget, attstorage, attcollation::regcollation::text,
         pg_get_expr(adbin, adrelid) AS expression, col_description(attrelid, attnum) AS comment
       FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
       WHERE attrelid = ${table} AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    ),
    indexes: await outside.sql(
      `SELECT c.relname AS name, CASE WHEN indisprimary THEN 'key' ELSE replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ') END AS body, obj_description(c.oid, 'pg_class') AS comment
       FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid WHERE indrelid = ${table} AND NOT (indisunique AND NOT indisprimary) ORDER BY 1`,
    ),
    checks: await outside.sql(
      `SELECT conname, pg_get_constraintdef(oid) AS body, obj_description(oid, 'pg_constraint') AS comment FROM pg_constraint WHERE conrelid = ${table} AND contype = 'c' ORDER BY 1`,
    ),
    triggers: await outside.sql(
      `SELECT tgname, pg_get_triggerdef(oid) AS body, tgenabled, obj_description(oid, 'pg_trigger') AS comment FROM pg_trigger WHERE tgrelid = ${table} AND NOT tgisinternal ORDER BY 1`,
    ),
    sequences: await outside.sql(
      `SELECT c.relname, s.seqtypid::regtype::text, s.seqincrement, s.seqmax, s.seqcache, obj_description(c.oid, 'pg_class') AS comment,
         (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(c.relacl, acldefault('s', c.relowner))) AS a) AS acl
       FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_sequence AS s ON s.seqrelid = c.oid
       WHERE d.refobjid = ${table} AND d.deptype IN ('a', 'i') ORDER BY 1`,
    ),
    views: await outside.sql(
      `SELECT relname, relowner::regrole::text AS owner, relacl::text, reloptions, pg_get_viewdef(oid) AS body FROM pg_class WHERE relkind = 'v' AND relnamespace = '${schema}'::regnamespace ORDER BY 1`,
    ),
    publications: await outside.sql(`SELECT to_jsonb(t) - 'schemaname' AS published FROM pg_publication_tables AS t ORDER BY pubname`),
    statistics: await outside.sql(`SELECT count(*) FROM pg_statistic_ext WHERE stxrelid = ${table}`),
  }
}

const LOGS = `CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO notes VALUES (tg_name || ' ' || tg_level || ' ' || tg_when || ' ' || tg_op); RETURN NEW; END $$`

/** What may be there besides the table of the migrations; the rows it has beforehand come from `rows`. */
const SHAPES: Readonly<Record<string, { readonly make: readonly string[]; readonly undo?: readonly string[] }>> = {
  'comments, settings and privileges of table, columns and sequence, and another owner': {
    make: [
      'CREATE ROLE gateway_of_likeness; CREATE ROLE "Reads Logs"; GRANT CREATE ON SCHEMA public TO gateway_of_likeness',
      'ALTER TABLE audit_logs OWNER TO gateway_of_likeness',
      `COMMENT ON TABLE audit_logs IS 'who''s done what'; COMMENT ON COLUMN audit_logs.status IS 'how it ended'`,
      `COMMENT ON INDEX idx_audit_logs_status IS 'for dashboards'; COMMENT ON SEQUENCE audit_logs_id_seq IS 'numbers'`,
      'GRANT SELECT, INSERT ON audit_logs TO "Reads Logs" WITH GRANT OPTION; GRANT SELECT (id), UPDATE (status) ON audit_logs TO PUBLIC',
      'GRANT USAGE ON SEQUENCE audit_logs_id_seq TO "Reads Logs"; REVOKE TRUNCATE ON audit_logs FROM gateway_of_likeness',
      'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC; ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC',
      'ALTER TABLE audit_logs ALTER "user" SET STATISTICS 500, ALTER output SET STORAGE EXTERNAL; CREATE STATISTICS together ON tool_name, status FROM audit_logs',
      'ALTER TABLE audit_logs SET (autovacuum_vacuum_scale_factor = 0.05)',
    ],
    undo: [
      'DROP OWNED BY gateway_of_likeness CASCADE; DROP OWNED BY "Reads Logs"',
      'DROP ROLE gateway_of_likeness; DROP ROLE "Reads Logs"',
    ],
  },
  'a dropped column, a generated one, checks, odd indexes and a column of a person’s own': {
    make: [
      'ALTER TABLE audit_logs ADD gone text; ALTER TABLE audit_logs DROP gone',
      `ALTER TABLE audit_logs ADD slow boolean GENERATED ALWAYS AS (execution_time > 1000) STORED, ADD "Request ON public.audit_logs Id" varchar(20) COLLATE "C" DEFAULT 'a''b'`,
      `ALTER TABLE audit_logs ADD CONSTRAINT "odd name" CHECK (length(status) < 100); COMMENT ON CONSTRAINT "odd name" ON audit_logs IS 'short'`,
      `CREATE INDEX "Odd ON public.audit_logs USING" ON audit_logs (lower("user") DESC NULLS LAST, id) INCLUDE (status) WITH (fillfactor = 70) WHERE status <> 'a'`,
      `CREATE INDEX ${'a_very_long_name_for_an_index_'.repeat(2)}ab ON audit_logs USING brin ("timestamp")`,
      `CREATE INDEX ${'a_very_long_name_for_an_index_'.repeat(2)}ac ON audit_logs (output)`,
    ],
  },
  'triggers before and after, each row and statement, disabled and always': {
    make: [
      'CREATE TABLE notes (what text)',
      LOGS,
      'CREATE TRIGGER a_before BEFORE INSERT OR UPDATE OF "user" ON audit_logs FOR EACH ROW EXECUTE FUNCTION noted()',
      `CREATE TRIGGER b_after AFTER INSERT ON audit_logs FOR EACH ROW WHEN (NEW.status <> ' ON public.audit_logs ') EXECUTE FUNCTION noted()`,
      'CREATE TRIGGER c_before BEFORE INSERT ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION noted()',
      'CREATE TRIGGER d_after AFTER INSERT ON audit_logs REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION noted()',
      `COMMENT ON TRIGGER d_after ON audit_logs IS 'counts'`,
      'CREATE TRIGGER e_never AFTER INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION noted(); ALTER TABLE audit_logs DISABLE TRIGGER e_never',
      'CREATE TRIGGER f_always AFTER DELETE ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION noted(); ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER f_always',
    ],
  },
  'a view on a view, security_barrier, a check option and privileges': {
    make: [
      'CREATE ROLE reads_views_of_likeness',
      `CREATE VIEW own WITH (security_barrier, check_option = local) AS SELECT id, "user" AS who, status FROM audit_logs WHERE "user" = CURRENT_USER`,
      'CREATE VIEW "Own Failures" AS SELECT o.who, r.action FROM own AS o JOIN recent_audit_activity AS r ON r.id = o.id',
      'GRANT SELECT ON own, "Own Failures" TO reads_views_of_likeness; ALTER VIEW own ALTER who SET DEFAULT CURRENT_USER',
    ],
    undo: ['DROP OWNED BY reads_views_of_likeness', 'DROP ROLE reads_views_of_likeness'],
  },
  'publications that name it, with a filter and some columns': {
    make: [
      `CREATE PUBLICATION "part of it" FOR TABLE audit_logs (id, "user", "timestamp") WHERE (id > 100) WITH (publish_via_partition_root)`,
      'CREATE PUBLICATION whole FOR TABLE audit_logs WITH (publish_via_partition_root)',
    ],
  },
  'an identity of its own kind': {
    make: [
      'ALTER TABLE audit_logs ALTER id SET GENERATED ALWAYS, ALTER id SET INCREMENT BY 7 SET CACHE 3 SET MAXVALUE 5000000000; ALTER SEQUENCE audit_logs_id_seq RENAME TO "Log Numbers"',
    ],
  },
}

for (const major of POSTGRES_MAJORS) {
  describe(`what belongs to the name of the table, on PostgreSQL ${major}`, () => {
    for (const [title, { make, undo: unmake = [] }] of Object.entries(SHAPES)) {
      test(title, async () => {
        await using outside = await postgresDatabase(major)
        await applyMigrations(outside.url)
        try {
          for (const statement of make) await outside.sql(statement)
          await outside.sql(
            `INSERT INTO audit_logs (tool_name, "user", action, status, execution_time, "timestamp")
             SELECT 't', 'u', 'invoke', 'success', n, timestamp '2026-01-01' + n * interval '1 minute' FROM generate_series(1, 500) AS n`,
          )
          const [before, shape] = [await picture(outside), await shapeOf(outside)]
          const rows = await outside.sql('SELECT a::text FROM audit_logs AS a ORDER BY id')
          const fires = async (): Promise<unknown> => {
            if (!title.startsWith('triggers')) return undefined
            await outside.sql('DELETE FROM notes')
            await outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('t', 'u', 'a', 's')`)
            await outside.sql('DELETE FROM audit_logs WHERE id = (SELECT max(id) FROM audit_logs)')
            return await outside.sql('SELECT what FROM notes ORDER BY what')
          }
          const fired = await fires()
          await converted(outside.url)
          assert.deepEqual(await picture(outside), before)
          assert.deepEqual(await fires(), fired)
          assert.deepEqual(await outside.sql('SELECT a::text FROM audit_logs AS a ORDER BY id'), rows)
          const [added] = await outside.sql<{ id: number }>(
            `INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('t', 'u', 'a', 's') RETURNING id`,
          )
          assert.ok(added!.id > 500, `${added!.id}`)
          // A read role dumps each partition.
          const differing = await outside.sql(
            `SELECT c.relname FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid JOIN pg_class AS p ON p.oid = inhparent
             WHERE p.relname = 'audit_logs' AND p.relkind = 'p' AND (c.relowner <> p.relowner OR
               (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(c.relacl, acldefault('r', c.relowner))) AS a)
                 <> (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(p.relacl, acldefault('r', p.relowner))) AS a))`,
          )
          assert.deepEqual(differing, [])
          await outside.sql(
            `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'u', 'a', 's', now() + interval '5 days'), ('t', 'u', 'a', 's', 'infinity')`,
          )
          const all = await outside.sql('SELECT a::text FROM audit_logs AS a ORDER BY id')
          await using database = await opened(outside.url)
          await undo({ database })
          assert.deepEqual(await picture(outside), before)
          assert.deepEqual(await shapeOf(outside), shape)
          assert.deepEqual(await outside.sql('SELECT a::text FROM audit_logs AS a ORDER BY id'), all)
          assert.deepEqual(await fires(), fired)
        } finally {
          for (const statement of unmake) await outside.sql(statement)
        }
      })
    }
  })
}
