-- Which table of the gateway's the worker has turned into partitions, and which of them it has taken out and not dropped yet, on PostgreSQL.
--
-- Touches nothing of the gateway's, and turns nothing into partitions: the command `partition start` does that. Safe to run again, by the worker or by hand:
--   psql -v ON_ERROR_STOP=1 -f 009_add_partitions.sql
-- The runner says before it applies this file to whom it gives these rights: to each role that may update maintenance_leases, and so runs jobs.
-- @grants SELECT ON maintenance_partitioned
-- @grants SELECT, INSERT, DELETE ON maintenance_detached
-- No table is qualified by a schema: everything goes where search_path points. Whatever else lies there changes nothing: operators, functions and
-- types are named as those of pg_catalog.

CREATE TABLE IF NOT EXISTS maintenance_partitioned (
    table_name pg_catalog.text PRIMARY KEY, -- audit_logs
    first_partition pg_catalog.text NOT NULL, -- the table as it was, now the partition of the rows before bound
    bound pg_catalog.text NOT NULL, -- as the time column reads it
    began_at BIGINT NOT NULL, -- milliseconds since 1970-01-01 UTC
    converted_at BIGINT, -- NULL: partition start has not ended yet
    undoing_since BIGINT -- NULL: nobody has run partition undo
);

-- Between the transaction that takes a partition out and the one that drops it.
CREATE TABLE IF NOT EXISTS maintenance_detached (
    relation pg_catalog.text PRIMARY KEY, -- in the schema of the table
    table_name pg_catalog.text NOT NULL,
    lower_bound pg_catalog.text, -- as the time column reads it; NULL: none
    upper_bound pg_catalog.text NOT NULL,
    detached_at BIGINT NOT NULL -- milliseconds since 1970-01-01 UTC
);

-- Every role that may run jobs looks these up, and may be allowed to drop partitions.
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
            -- Whoever owns the new tables needs no right on them; the owner of the old one may be another role.
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_class AS n
                WHERE n.oid OPERATOR(pg_catalog.=) 'maintenance_partitioned'::pg_catalog.regclass::pg_catalog.oid AND n.relowner OPERATOR(pg_catalog.=) a.grantee
            )
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON maintenance_partitioned TO %s'::pg_catalog.text, worker);
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, DELETE ON maintenance_detached TO %s'::pg_catalog.text, worker);
    END LOOP;
END
$do$;
