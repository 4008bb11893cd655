-- What was deleted, when, by which policy, and which holds were placed and released: a chain of receipts, on SQLite.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 010_add_receipts_sqlite.sql

CREATE TABLE IF NOT EXISTS maintenance_receipts (
    n INTEGER PRIMARY KEY NOT NULL, -- without a gap
    kind TEXT NOT NULL, -- purge, removal, reconciliation, hold-placed, hold-released
    run BIGINT, -- of a purge: maintenance_runs.id
    body TEXT NOT NULL, -- JSON in ASCII, with the digest of the one before it
    sha256 TEXT NOT NULL, -- of body
    key_id TEXT, -- NULL: it is not signed
    signature TEXT
);

-- A run has one, whoever closed it.
CREATE UNIQUE INDEX IF NOT EXISTS idx_maintenance_receipts_run ON maintenance_receipts (run);

CREATE TRIGGER IF NOT EXISTS maintenance_receipts_not_deleted BEFORE DELETE ON maintenance_receipts
BEGIN
    SELECT RAISE(ABORT, 'a receipt is never changed or deleted');
END;

-- INSERT OR REPLACE would delete a row without the trigger above.
CREATE TRIGGER IF NOT EXISTS maintenance_receipts_not_replaced BEFORE INSERT ON maintenance_receipts
WHEN EXISTS (SELECT 1 FROM maintenance_receipts AS r WHERE r.n = NEW.n OR r.run = NEW.run)
BEGIN
    SELECT RAISE(ABORT, 'there is a receipt of that number or run already, and it is never replaced');
END;

CREATE TRIGGER IF NOT EXISTS maintenance_receipts_not_changed BEFORE UPDATE ON maintenance_receipts
BEGIN
    SELECT RAISE(ABORT, 'a receipt is never changed or deleted');
END;
