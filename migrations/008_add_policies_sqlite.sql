-- Which retention and rules each run went by on SQLite.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 008_add_policies_sqlite.sql

CREATE TABLE IF NOT EXISTS maintenance_policies (
    sha256 TEXT PRIMARY KEY NOT NULL, -- of the text
    policy TEXT NOT NULL, -- canonical JSON: the retention and its rules
    first_seen BIGINT NOT NULL -- milliseconds since 1970-01-01 UTC
);

-- Beside maintenance_runs: the policy of a run that was allowed to delete, and the one that the job's next run is compared with. They differ while a rule is gone
-- and no row has gone by that: the other one still has it.
CREATE TABLE IF NOT EXISTS maintenance_run_policies (
    run BIGINT PRIMARY KEY NOT NULL, -- maintenance_runs.id
    job TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    compared_sha256 TEXT NOT NULL
);
