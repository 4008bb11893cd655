-- The archive's place in the database on PostgreSQL: where its chain of files ends, the files in hand, and what each run archived; a view for people.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   psql -v ON_ERROR_STOP=1 -f 005_add_archive.sql
-- No table is qualified by a schema: everything goes where search_path points. Whatever else lies there changes nothing: operators, functions and
-- types are named as those of pg_catalog.

-- One row for each table that is archived. It changes in the transaction that deletes what was archived, so that it is never ahead of the rows.
CREATE TABLE IF NOT EXISTS maintenance_archives (
    source pg_catalog.text PRIMARY KEY, -- the table the rows come from
    position BIGINT NOT NULL DEFAULT 0, -- how many files were ever begun; the next one is numbered one more
    head pg_catalog.text, -- SHA-256 of the newest manifest; NULL: nothing is archived yet
    head_file pg_catalog.text, -- and its path below the archive's folder
    step pg_catalog.text, -- JSON: the files in hand, whose rows are being deleted; NULL: there are none
    removed pg_catalog.text, -- which rows of those files are deleted: 0-499,501
    "rows" BIGINT NOT NULL DEFAULT 0, -- in all files that are kept
    bytes BIGINT NOT NULL DEFAULT 0,
    files BIGINT NOT NULL DEFAULT 0,
    newest_at BIGINT, -- the latest time of an archived row, in milliseconds since 1970-01-01 UTC
    verified_at BIGINT, -- when archive verify last read all of it
    verified pg_catalog.text -- and what it said: sound, damaged
);

-- Beside maintenance_runs, and not in it: SQLite cannot add a column to a table that may have it already.
CREATE TABLE IF NOT EXISTS maintenance_archived (
    run BIGINT PRIMARY KEY, -- maintenance_runs.id
    "rows" BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    files BIGINT NOT NULL
);

-- For people: the runs that archived anything, newest first. maintenance_history stays as 002 makes it, since 002 can be run again.
CREATE OR REPLACE VIEW maintenance_archive_history AS
SELECT
    r.id,
    r.job,
    r.outcome,
    pg_catalog.to_timestamp(r.started_at::pg_catalog.float8 OPERATOR(pg_catalog./) '1000'::pg_catalog.float8) AT TIME ZONE 'UTC'::pg_catalog.text AS started_at,
    pg_catalog.to_timestamp(r.finished_at::pg_catalog.float8 OPERATOR(pg_catalog./) '1000'::pg_catalog.float8) AT TIME ZONE 'UTC'::pg_catalog.text AS finished_at,
    pg_catalog.to_timestamp(r.cutoff::pg_catalog.float8 OPERATOR(pg_catalog./) '1000'::pg_catalog.float8) AT TIME ZONE 'UTC'::pg_catalog.text AS cutoff,
    r.rows_deleted,
    a."rows" AS rows_archived,
    a.bytes AS bytes_archived,
    a.files AS files_archived
FROM maintenance_archived AS a
JOIN maintenance_runs AS r ON r.id OPERATOR(pg_catalog.=) a.run
ORDER BY r.started_at DESC, r.id DESC;
