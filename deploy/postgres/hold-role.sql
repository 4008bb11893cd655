-- A role that places and releases legal holds and can do no more: for the people who answer for them. It deletes nothing.
-- Run as the owner of the database or a superuser, once migration 007 is applied:
--   psql -v ON_ERROR_STOP=1 -v role=mcp_maintenance_hold -f deploy/postgres/hold-role.sql postgresql://postgres@localhost/mcp_gateway
-- Then give it a password. psql asks for it, and sends no more than its hash; it stands in no command line, history or log:
--   psql -c '\password mcp_maintenance_hold' postgresql://postgres@localhost/mcp_gateway
-- The schema is public; for another one add -v schema=NAME. To let a role of a person do it: GRANT mcp_maintenance_hold TO alice. The record then says alice.

\set ON_ERROR_STOP on
\if :{?schema}
\else
\set schema public
\endif

BEGIN;

-- This runs with great rights: what others have put into a schema of the path must not be found in place of the server's own.
SET LOCAL search_path = pg_catalog, pg_temp;

SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 20', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec

SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec
GRANT USAGE ON SCHEMA :"schema" TO :"role";

-- What each right is for; a table that is not there is passed over.
SELECT format('GRANT %s ON %I.%I TO %I', needed.rights, :'schema', needed.relation, :'role')
FROM (VALUES
    -- the holds themselves: a new one, and the release of one, whose triggers let nothing else change
    ('maintenance_holds', 'SELECT, INSERT, UPDATE (released_at, released_by, release_reason)'),
    -- to wait for the batch that a purge is deleting: the row is written as it is
    ('maintenance_leases', 'SELECT, INSERT, UPDATE (fence)'),
    -- how many rows a hold keeps, and kept in the last runs
    ('audit_logs', 'SELECT'),
    ('maintenance_runs', 'SELECT'),
    ('maintenance_run_holds', 'SELECT'),
    -- which files of the archive may have such rows, and which a run has begun to remove
    ('maintenance_archives', 'SELECT'),
    ('maintenance_held_files', 'SELECT'),
    -- which partitions have been taken out of the table and wait to be dropped: their rows count too
    ('maintenance_partitioned', 'SELECT'),
    ('maintenance_detached', 'SELECT'),
    -- the receipt of a hold that was placed or released
    ('maintenance_receipts', 'SELECT, INSERT'),
    -- which migrations are applied
    ('maintenance_migrations', 'SELECT')
) AS needed (relation, rights)
WHERE to_regclass(format('%I.%I', :'schema', needed.relation)) IS NOT NULL \gexec

COMMIT;
