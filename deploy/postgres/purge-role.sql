-- A role that purges and can do no more: for workers that run with MIGRATIONS_ENABLED=false, or find every migration applied.
-- Run as the owner of the database or a superuser, once the tables are there, and again after an update that brings more:
--   psql -v ON_ERROR_STOP=1 -v role=mcp_maintenance -f deploy/postgres/purge-role.sql postgresql://postgres@localhost/mcp_gateway
-- Then give it a password. psql asks for it, and sends no more than its hash; it stands in no command line, history or log:
--   psql -c '\password mcp_maintenance' postgresql://postgres@localhost/mcp_gateway
-- The schema is public; for another one add -v schema=NAME.

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
    -- what a job removes
    ('audit_logs', 'SELECT, DELETE'),
    ('policy_decisions', 'SELECT, DELETE'),
    ('sessions', 'SELECT, DELETE'),
    ('rate_limits', 'SELECT, DELETE'),
    -- whether every migration is applied
    ('maintenance_migrations', 'SELECT'),
    -- the record of its runs, whose old rows go; who may run a job now
    ('maintenance_runs', 'SELECT, INSERT, UPDATE, DELETE'),
    ('maintenance_history', 'SELECT'),
    ('maintenance_leases', 'SELECT, INSERT, UPDATE, DELETE'),
    -- by which retention and rules runs went, and which run by which
    ('maintenance_policies', 'SELECT, INSERT, UPDATE'),
    ('maintenance_run_policies', 'SELECT, INSERT, UPDATE, DELETE'),
    -- where the archive ends, and what a run added to it, which goes with the run's record
    ('maintenance_archives', 'SELECT, INSERT, UPDATE'),
    ('maintenance_archived', 'SELECT, INSERT, UPDATE, DELETE'),
    ('maintenance_archive_history', 'SELECT'),
    -- how long its files are kept, and what a run removed from it, which goes with the run's record
    ('maintenance_archive_retention', 'SELECT, INSERT, UPDATE'),
    ('maintenance_archive_removed', 'SELECT, INSERT, UPDATE, DELETE'),
    -- what is removed from its bucket again, should it appear there late
    ('maintenance_discarded', 'SELECT, INSERT, UPDATE, DELETE'),
    -- where `archive copy --switch` has moved it to
    ('maintenance_archive_places', 'SELECT, INSERT, UPDATE'),
    -- which rows must stay: it may not place or release a hold, only record what each of them kept
    ('maintenance_holds', 'SELECT'),
    ('maintenance_run_holds', 'SELECT, INSERT, UPDATE, DELETE'),
    ('maintenance_held_files', 'SELECT, INSERT, UPDATE, DELETE'),
    -- whether audit_logs was turned into partitions, and which of them are about to be dropped
    ('maintenance_partitioned', 'SELECT'),
    ('maintenance_detached', 'SELECT, INSERT, DELETE'),
    -- receipts: each is written once, and never changed
    ('maintenance_receipts', 'SELECT, INSERT')
) AS needed (relation, rights)
WHERE to_regclass(format('%I.%I', :'schema', needed.relation)) IS NOT NULL \gexec

-- Where "partition start" has turned audit_logs into partitions: their rows are looked at before one is dropped, and the functions make and drop them.
SELECT format('GRANT SELECT, DELETE ON %I.%I TO %I', n.nspname, c.relname, :'role')
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.inhparent = to_regclass(format('%I.audit_logs', :'schema')) \gexec
SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', p.oid::regprocedure, :'role')
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_class AS c ON c.oid = to_regclass(format('%I.audit_logs', :'schema'))
WHERE n.nspname = :'schema' AND p.proname IN ('maintenance_add_partition', 'maintenance_remove_partition') AND p.proowner = c.relowner \gexec

COMMIT;
