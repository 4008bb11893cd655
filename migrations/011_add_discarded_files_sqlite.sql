-- Files that are not part of the archive, and may appear in its bucket, or stay there, all the same, on SQLite.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 011_add_discarded_files_sqlite.sql

-- A file that was sent to a bucket may arrive after its process has died, and be discarded before. So it is removed again for a day, and as long as it is kept.
CREATE TABLE IF NOT EXISTS maintenance_discarded (
    source TEXT NOT NULL, -- the table the rows come from
    path TEXT NOT NULL, -- below the archive's place
    noted_at BIGINT NOT NULL, -- milliseconds since 1970-01-01 UTC
    kept BIGINT NOT NULL, -- 1: the bucket did not let it be removed
    PRIMARY KEY (source, path)
);
