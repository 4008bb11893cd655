-- What was deleted, when, by which policy, and which holds were placed and released: a chain of receipts, on PostgreSQL.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   psql -v ON_ERROR_STOP=1 -f 010_add_receipts.sql
-- The runner says before it applies this file to whom it gives these rights: to each role that may update maintenance_leases, and so runs jobs or places holds.
-- @grants SELECT, INSERT ON maintenance_receipts
-- No table is qualified by a schema: everything goes where search_path points. Whatever else lies there changes nothing: operators, functions and
-- types are named as those of pg_catalog.

CREATE TABLE IF NOT EXISTS maintenance_receipts (
    n BIGINT PRIMARY KEY, -- without a gap
    kind pg_catalog.text NOT NULL, -- purge, removal, reconciliation, hold-placed, hold-released
    run BIGINT, -- of a purge: maintenance_runs.id
    body pg_catalog.text NOT NULL, -- JSON in ASCII, with the digest of the one before it
    sha256 pg_catalog.text NOT NULL, -- of body
    key_id pg_catalog.text, -- NULL: it is not signed
    signature pg_catalog.text
);

-- A run has one, whoever closed it.
CREATE UNIQUE INDEX IF NOT EXISTS idx_maintenance_receipts_run ON maintenance_receipts (run);

-- CREATE FUNCTION and CREATE TRIGGER know no IF NOT EXISTS, and OR REPLACE would overwrite somebody else's. A function of this name that is neither ours nor a
-- superuser's would run with the rights of whoever writes to this table: it is refused.
DO $do$
DECLARE
    stranger pg_catalog.name;
BEGIN
    SELECT o.rolname INTO stranger
    FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
    JOIN pg_catalog.pg_roles AS o ON o.oid OPERATOR(pg_catalog.=) p.proowner
    WHERE p.proname OPERATOR(pg_catalog.=) 'mcp_maintenance_receipts_stay' AND p.pronargs OPERATOR(pg_catalog.=) 0
        AND n.nspname OPERATOR(pg_catalog.=) pg_catalog.current_schema()
        AND NOT o.rolsuper AND o.rolname OPERATOR(pg_catalog.<>) current_user
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_class AS c
            WHERE c.oid OPERATOR(pg_catalog.=) 'maintenance_leases'::pg_catalog.regclass::pg_catalog.oid AND c.relowner OPERATOR(pg_catalog.=) p.proowner
        );
    IF stranger IS NOT NULL THEN
        RAISE EXCEPTION 'function mcp_maintenance_receipts_stay() belongs to role %, which does not own maintenance_leases: drop it, or give it to that owner', stranger;
    END IF;

    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
        WHERE p.proname OPERATOR(pg_catalog.=) 'mcp_maintenance_receipts_stay' AND p.pronargs OPERATOR(pg_catalog.=) 0
            AND n.nspname OPERATOR(pg_catalog.=) pg_catalog.current_schema()
    ) THEN
        CREATE FUNCTION mcp_maintenance_receipts_stay() RETURNS trigger
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            RAISE EXCEPTION 'a receipt is never changed or deleted';
        END;
        $body$;
    END IF;

    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_trigger AS t
        WHERE t.tgrelid OPERATOR(pg_catalog.=) 'maintenance_receipts'::pg_catalog.regclass::pg_catalog.oid AND t.tgname OPERATOR(pg_catalog.=) 'maintenance_receipts_stay'
    ) THEN
        CREATE TRIGGER maintenance_receipts_stay BEFORE UPDATE OR DELETE ON maintenance_receipts
            FOR EACH ROW EXECUTE FUNCTION mcp_maintenance_receipts_stay();
    END IF;

    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_trigger AS t
        WHERE t.tgrelid OPERATOR(pg_catalog.=) 'maintenance_receipts'::pg_catalog.regclass::pg_catalog.oid AND t.tgname OPERATOR(pg_catalog.=) 'maintenance_receipts_stay_whole'
    ) THEN
        CREATE TRIGGER maintenance_receipts_stay_whole BEFORE TRUNCATE ON maintenance_receipts
            FOR EACH STATEMENT EXECUTE FUNCTION mcp_maintenance_receipts_stay();
    END IF;
END
$do$;

-- Every role that may run jobs, or may place and release holds, writes receipts of that: of the lease's table the latter have the right to one column alone.
DO $do$
DECLARE
    writer pg_catalog.text;
BEGIN
    FOR writer IN
        SELECT DISTINCT CASE WHEN a.grantee OPERATOR(pg_catalog.=) '0'::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.format('%I'::pg_catalog.text, r.rolname) END
        FROM (
            SELECT b.grantee, b.privilege_type FROM pg_catalog.pg_class AS c
            CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r'::pg_catalog."char", c.relowner))) AS b
            WHERE c.oid OPERATOR(pg_catalog.=) 'maintenance_leases'::pg_catalog.regclass::pg_catalog.oid
            UNION ALL
            SELECT b.grantee, b.privilege_type FROM pg_catalog.pg_attribute AS t
            CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) AS b
            WHERE t.attrelid OPERATOR(pg_catalog.=) 'maintenance_leases'::pg_catalog.regclass::pg_catalog.oid
        ) AS a
        LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) a.grantee
        WHERE a.privilege_type OPERATOR(pg_catalog.=) 'UPDATE'
            -- Whoever owns the new table needs no right on it; the owner of the old one may be another role.
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_class AS n
                WHERE n.oid OPERATOR(pg_catalog.=) 'maintenance_receipts'::pg_catalog.regclass::pg_catalog.oid AND n.relowner OPERATOR(pg_catalog.=) a.grantee
            )
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT ON maintenance_receipts TO %s'::pg_catalog.text, writer);
    END LOOP;
END
$do$;
