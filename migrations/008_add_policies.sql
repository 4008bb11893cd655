-- Which retention and rules each run went by on PostgreSQL.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   psql -v ON_ERROR_STOP=1 -f 008_add_policies.sql
-- No table is qualified by a schema: everything goes where search_path points. Whatever else lies there changes nothing: operators, functions and
-- types are named as those of pg_catalog.

CREATE TABLE IF NOT EXISTS maintenance_policies (
    sha256 pg_catalog.text PRIMARY KEY, -- of the text
    policy pg_catalog.text NOT NULL, -- canonical JSON: the retention and its rules
    first_seen BIGINT NOT NULL -- milliseconds since 1970-01-01 UTC
);

-- Beside maintenance_runs: the policy of a run that was allowed to delete, and the one that the job's next run is compared with. They differ while a rule is gone
-- and no row has gone by that: the other one still has it.
CREATE TABLE IF NOT EXISTS maintenance_run_policies (
    run BIGINT PRIMARY KEY, -- maintenance_runs.id
    job pg_catalog.text NOT NULL,
    sha256 pg_catalog.text NOT NULL,
    compared_sha256 pg_catalog.text NOT NULL
);

-- Every role that may run jobs records by which policy.
DO $do$
DECLARE
    worker pg_catalog.text;
BEGIN
    FOR worker IN
        SELECT DISTINCT CASE WHEN a.grantee OPERATOR(pg_catalog.=) '0'::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.format('%I'::pg_catalog.text, r.rolname) END
        FROM pg_catalog.pg_class AS c
        CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
        LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) a.grantee
        WHERE c.oid OPERATOR(pg_catalog.=) 'maintenance_leases'::pg_catalog.regclass::pg_catalog.oid
            AND a.privilege_type OPERATOR(pg_catalog.=) 'UPDATE' AND a.grantee OPERATOR(pg_catalog.<>) c.relowner
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE ON maintenance_policies TO %s'::pg_catalog.text, worker);
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON maintenance_run_policies TO %s'::pg_catalog.text, worker);
    END LOOP;
END
$do$;
