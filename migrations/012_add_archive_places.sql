-- Where an archive was moved to by `archive copy --switch`, on PostgreSQL.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   psql -v ON_ERROR_STOP=1 -f 012_add_archive_places.sql
-- The runner says before it applies this file to whom it gives these rights: to each role that may update maintenance_leases, and so runs jobs.
-- @grants SELECT, INSERT, UPDATE ON maintenance_archive_places
-- No table is qualified by a schema: everything goes where search_path points. Whatever else lies there changes nothing: operators, functions and
-- types are named as those of pg_catalog.

-- For people: a worker whose settings still name the place before says where the archive is. What counts is where the newest link of the chain lies.
CREATE TABLE IF NOT EXISTS maintenance_archive_places (
    source pg_catalog.text PRIMARY KEY, -- the table the rows come from
    place pg_catalog.text NOT NULL, -- a folder, or s3://bucket/path
    moved_at BIGINT NOT NULL -- milliseconds since 1970-01-01 UTC
);

DO $do$
DECLARE
    worker pg_catalog.text;
BEGIN
    FOR worker IN
        SELECT DISTINCT CASE WHEN a.grantee OPERATOR(pg_catalog.=) '0'::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.format('%I'::pg_catalog.text, r.rolname) END
        FROM pg_catalog.pg_class AS c
        CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r'::pg_catalog."char", c.relowner))) AS a
        LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) a.grantee
        WHERE c.oid OPERATOR(pg_catalog.=) 'maintenance_leases'::pg_catalog.regclass::pg_catalog.oid
            AND a.privilege_type OPERATOR(pg_catalog.=) 'UPDATE'
            -- Whoever owns the new table needs no right on it; the owner of the old one may be another role.
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_class AS n
                WHERE n.oid OPERATOR(pg_catalog.=) 'maintenance_archive_places'::pg_catalog.regclass::pg_catalog.oid AND n.relowner OPERATOR(pg_catalog.=) a.grantee
            )
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE ON maintenance_archive_places TO %s'::pg_catalog.text, worker);
    END LOOP;
END
$do$;
