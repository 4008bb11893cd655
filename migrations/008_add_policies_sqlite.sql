-- Which retention and rules each run went by on SQLite.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 008_add_policies_sqlite.sql

CREATE TABLE IF NOT EXISTS maintenance_policies (
    sha256 TEXT PRIMARY KEY NOT NULL, -- of the text
    policy TEXT NOT NULL, -- canonical JSON: the retention and its rules
    first_seen BIGINT NOT NULL -- milliseconds since 1970-01-01 UTC
);

-- Beside maintenance_runs: a run that was allowed to delete. The next one is compared with it.
CREATE TABLE IF NOT EXISTS maintenance_run_policies (
    run BIGINT PRIMARY KEY NOT NULL, -- maintenance_runs.id
    sha256 TEXT NOT NULL
);
