-- The worker's own tables on SQLite: one row a run of a job, who may run a job now, and a view for people.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 002_add_metrics_sqlite.sql

-- Times are milliseconds since 1970-01-01 UTC, so that one SQL text reaches both engines. The view shows them as times.

CREATE TABLE IF NOT EXISTS maintenance_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    outcome TEXT, -- succeeded, failed, skipped, interrupted, stopped; NULL while it runs
    "trigger" TEXT NOT NULL, -- run-now, schedule, catch-up
    worker TEXT NOT NULL, -- host:process
    version TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT, -- NULL while it runs
    cutoff BIGINT, -- rows with an earlier time had expired
    retention BIGINT, -- milliseconds; set when the run was allowed to delete, where its job has one
    rows_deleted BIGINT NOT NULL DEFAULT 0, -- with each batch, in its transaction
    batches BIGINT NOT NULL DEFAULT 0,
    undated BIGINT NOT NULL DEFAULT 0,
    unreadable BIGINT NOT NULL DEFAULT 0,
    locked BIGINT NOT NULL DEFAULT 0,
    error TEXT -- why it failed, was stopped, skipped or interrupted
);

CREATE INDEX IF NOT EXISTS idx_maintenance_runs_job ON maintenance_runs (job, started_at);
CREATE INDEX IF NOT EXISTS idx_maintenance_runs_started ON maintenance_runs (started_at, id);
-- A worker that begins looks for runs that nobody finished; there is hardly ever one.
CREATE INDEX IF NOT EXISTS idx_maintenance_runs_open ON maintenance_runs (job) WHERE outcome IS NULL;

CREATE TABLE IF NOT EXISTS maintenance_leases (
    job TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL, -- host:process
    fence BIGINT NOT NULL, -- one more with each holder
    expires_at BIGINT NOT NULL -- the clock of the holder's host; 0: given back
);

-- Columns are qualified: ORDER BY would otherwise mean the column of the view.
CREATE VIEW IF NOT EXISTS maintenance_history AS
SELECT
    r.id,
    r.job,
    r.outcome,
    r."trigger",
    r.worker,
    r.version,
    strftime('%Y-%m-%d %H:%M:%f', r.started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%d %H:%M:%f', r.finished_at / 1000.0, 'unixepoch') AS finished_at,
    strftime('%Y-%m-%d %H:%M:%f', r.cutoff / 1000.0, 'unixepoch') AS cutoff,
    r.retention,
    r.rows_deleted,
    r.batches,
    r.undated,
    r.unreadable,
    r.locked,
    r.error
FROM maintenance_runs AS r
ORDER BY r.started_at DESC, r.id DESC;
