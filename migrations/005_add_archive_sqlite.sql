-- The archive's place in the database on SQLite: where its chain of files ends, the files in hand, and what each run archived; a view for people.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 005_add_archive_sqlite.sql

-- One row for each table that is archived. It changes in the transaction that deletes what was archived, so that it is never ahead of the rows.
CREATE TABLE IF NOT EXISTS maintenance_archives (
    source TEXT PRIMARY KEY NOT NULL, -- the table the rows come from
    position BIGINT NOT NULL DEFAULT 0, -- how many files were ever begun; the next one is numbered one more
    head TEXT, -- SHA-256 of the newest manifest; NULL: nothing is archived yet
    head_file TEXT, -- and its path below the archive's folder
    step TEXT, -- JSON: the files in hand, whose rows are being deleted; NULL: there are none
    removed TEXT, -- which rows of those files are deleted: 0-499,501
    "rows" BIGINT NOT NULL DEFAULT 0, -- in all files that are kept
    bytes BIGINT NOT NULL DEFAULT 0,
    files BIGINT NOT NULL DEFAULT 0,
    newest_at BIGINT, -- the latest time of an archived row, in milliseconds since 1970-01-01 UTC
    verified_at BIGINT, -- when archive verify last read all of it
    verified TEXT -- and what it said: sound, damaged
);

-- Beside maintenance_runs, and not in it: SQLite cannot add a column to a table that may have it already.
CREATE TABLE IF NOT EXISTS maintenance_archived (
    run BIGINT PRIMARY KEY NOT NULL, -- maintenance_runs.id
    "rows" BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    files BIGINT NOT NULL
);

-- For people: the runs that archived anything, newest first. maintenance_history stays as 002 makes it, since 002 can be run again.
CREATE VIEW IF NOT EXISTS maintenance_archive_history AS
SELECT
    r.id,
    r.job,
    r.outcome,
    strftime('%Y-%m-%d %H:%M:%f', r.started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%d %H:%M:%f', r.finished_at / 1000.0, 'unixepoch') AS finished_at,
    strftime('%Y-%m-%d %H:%M:%f', r.cutoff / 1000.0, 'unixepoch') AS cutoff,
    r.rows_deleted,
    a."rows" AS rows_archived,
    a.bytes AS bytes_archived,
    a.files AS files_archived
FROM maintenance_archived AS a
JOIN maintenance_runs AS r ON r.id = a.run
ORDER BY r.started_at DESC, r.id DESC;
