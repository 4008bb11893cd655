-- Where an archive was moved to by `archive copy --switch`, on SQLite.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 012_add_archive_places_sqlite.sql

-- For people: a worker whose settings still name the place before says where the archive is. What counts is where the newest link of the chain lies.
CREATE TABLE IF NOT EXISTS maintenance_archive_places (
    source TEXT PRIMARY KEY, -- the table the rows come from
    place TEXT NOT NULL, -- a folder, or s3://bucket/path
    moved_at BIGINT NOT NULL -- milliseconds since 1970-01-01 UTC
);
