-- Legal holds on SQLite: rows that no run may delete until the hold is released, what each hold kept in a run, and which files of the archive hold such rows.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 007_add_holds_sqlite.sql

-- One row a hold. It is never deleted, and changes once: when it is released.
CREATE TABLE IF NOT EXISTS maintenance_holds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    job TEXT NOT NULL, -- whose rows it keeps: purge-audit-logs
    matches TEXT NOT NULL, -- JSON: {"user":["alice"],"from":"2026-01-01T00:00:00.000Z"}; {} is every row
    reason TEXT NOT NULL,
    placed_at BIGINT NOT NULL, -- milliseconds since 1970-01-01 UTC
    placed_by TEXT NOT NULL,
    review_at BIGINT, -- from then on somebody should ask whether it is still needed
    released_at BIGINT, -- NULL: it is in force
    released_by TEXT,
    release_reason TEXT,
    CHECK ((released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (release_reason IS NULL))
);

-- A name means one hold in force; a released hold keeps its name.
CREATE UNIQUE INDEX IF NOT EXISTS idx_maintenance_holds_name ON maintenance_holds (name) WHERE released_at IS NULL;

CREATE TRIGGER IF NOT EXISTS maintenance_holds_not_deleted BEFORE DELETE ON maintenance_holds
BEGIN
    SELECT RAISE(ABORT, 'a hold is never deleted, also not after its release: use mcp-gateway-maintenance hold release');
END;

-- INSERT OR REPLACE would delete a row without the trigger above.
CREATE TRIGGER IF NOT EXISTS maintenance_holds_not_replaced BEFORE INSERT ON maintenance_holds
WHEN EXISTS (SELECT 1 FROM maintenance_holds AS h WHERE h.id = NEW.id OR (h.name = NEW.name AND h.released_at IS NULL AND NEW.released_at IS NULL))
BEGIN
    SELECT RAISE(ABORT, 'there is a hold of that name or number already, and it is never replaced');
END;

CREATE TRIGGER IF NOT EXISTS maintenance_holds_only_released BEFORE UPDATE ON maintenance_holds
WHEN OLD.released_at IS NOT NULL OR NEW.released_at IS NULL
    OR NEW.id IS NOT OLD.id OR NEW.name IS NOT OLD.name OR NEW.job IS NOT OLD.job OR NEW.matches IS NOT OLD.matches
    OR NEW.reason IS NOT OLD.reason OR NEW.placed_at IS NOT OLD.placed_at OR NEW.placed_by IS NOT OLD.placed_by OR NEW.review_at IS NOT OLD.review_at
BEGIN
    SELECT RAISE(ABORT, 'a hold changes only once, when it is released: use mcp-gateway-maintenance hold release');
END;

-- How many expired rows each hold kept in a run, with the run's record.
CREATE TABLE IF NOT EXISTS maintenance_run_holds (
    run BIGINT NOT NULL, -- maintenance_runs.id
    hold BIGINT NOT NULL, -- maintenance_holds.id; 0: all of them together, where a row that two holds keep counts once
    "rows" BIGINT NOT NULL,
    PRIMARY KEY (run, hold)
);

-- How many rows of a file of the archive a hold keeps. Neither of them changes, so each pair is looked at once.
CREATE TABLE IF NOT EXISTS maintenance_held_files (
    hold BIGINT NOT NULL, -- maintenance_holds.id
    path TEXT NOT NULL, -- below the archive's folder
    "rows" BIGINT NOT NULL, -- 0: none
    PRIMARY KEY (hold, path)
);

-- While a hold is in force, a worker that does not know holds must not take or keep the lease of a job whose rows it keeps. Giving it back is allowed.
CREATE TRIGGER IF NOT EXISTS maintenance_leases_taken_know_holds BEFORE INSERT ON maintenance_leases
WHEN NEW.expires_at > 0 AND substr(NEW.holder, -14) <> ' (knows holds)'
    AND EXISTS (SELECT 1 FROM maintenance_holds AS h WHERE h.job = NEW.job AND h.released_at IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'a legal hold keeps rows of this job, and this worker does not know holds: it deletes nothing until it is upgraded or the hold is released');
END;

CREATE TRIGGER IF NOT EXISTS maintenance_leases_kept_know_holds BEFORE UPDATE ON maintenance_leases
WHEN NEW.expires_at > 0 AND substr(NEW.holder, -14) <> ' (knows holds)'
    AND (NEW.job IS NOT OLD.job OR NEW.holder IS NOT OLD.holder OR NEW.fence IS NOT OLD.fence OR NEW.expires_at IS NOT OLD.expires_at)
    AND EXISTS (SELECT 1 FROM maintenance_holds AS h WHERE h.job = NEW.job AND h.released_at IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'a legal hold keeps rows of this job, and this worker does not know holds: it deletes nothing until it is upgraded or the hold is released');
END;
