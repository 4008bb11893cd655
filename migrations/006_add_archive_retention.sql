-- How long the archive's files are kept on PostgreSQL, as it was last accepted, and what each run removed from it.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   psql -v ON_ERROR_STOP=1 -f 006_add_archive_retention.sql
-- No table is qualified by a schema: everything goes where search_path points. Whatever else lies there changes nothing: types are those of pg_catalog.

-- One row for each table that is archived. A shorter ARCHIVE_RETENTION than this one needs a person before much of the archive goes.
CREATE TABLE IF NOT EXISTS maintenance_archive_retention (
    source pg_catalog.text PRIMARY KEY, -- the table the rows come from
    retention BIGINT, -- milliseconds; NULL: for ever
    complete_from BIGINT NOT NULL, -- files of earlier rows may have gone by a retention that was accepted before; milliseconds since 1970-01-01 UTC
    accepted_at BIGINT NOT NULL, -- milliseconds since 1970-01-01 UTC
    run BIGINT NOT NULL -- maintenance_runs.id of the run that accepted it
);

-- Beside maintenance_archived, which holds what a run added.
CREATE TABLE IF NOT EXISTS maintenance_archive_removed (
    run BIGINT PRIMARY KEY, -- maintenance_runs.id
    "rows" BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    files BIGINT NOT NULL
);
