-- A role that migrates: a member of the gateway's role that creates as that role, so that every table is the gateway's own.
-- Run as a superuser, or as a role that may grant the gateway's:
--   psql -v ON_ERROR_STOP=1 -v role=mcp_maintenance_migrate -v gateway=mcp_user -f deploy/postgres/migrate-role.sql postgresql://postgres@localhost/mcp_gateway
-- Then give it a password. psql asks for it, and sends no more than its hash; it stands in no command line, history or log:
--   psql -c '\password mcp_maintenance_migrate' postgresql://postgres@localhost/mcp_gateway
--
-- Its URL says which role it acts as, from its first statement on:
--   postgresql://mcp_maintenance_migrate@localhost/mcp_gateway?options=-c%20role%3Dmcp_user
-- Without the options it can do nothing: NOINHERIT. With them it can do what the gateway can, deleting included.

\set ON_ERROR_STOP on
\if :{?schema}
\else
\set schema public
\endif

BEGIN;

-- This runs with great rights: what others have put into a schema of the path must not be found in place of the server's own.
SET LOCAL search_path = pg_catalog, pg_temp;

SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT CONNECTION LIMIT 5', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec

SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec
GRANT :"gateway" TO :"role";

-- Since PostgreSQL 15 nobody may create in public unless told.
GRANT USAGE, CREATE ON SCHEMA :"schema" TO :"gateway";

COMMIT;
