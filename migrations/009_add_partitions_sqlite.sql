-- The tables that a partitioned audit_logs needs, on SQLite, which has no partitions: they stay empty. With them both engines have the same tables.
--
-- Touches nothing of the gateway's. Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 009_add_partitions_sqlite.sql

CREATE TABLE IF NOT EXISTS maintenance_partitioned (
    table_name TEXT PRIMARY KEY NOT NULL, -- audit_logs
    first_partition TEXT NOT NULL,
    bound TEXT NOT NULL,
    began_at BIGINT NOT NULL, -- milliseconds since 1970-01-01 UTC
    converted_at BIGINT,
    undoing_since BIGINT
);

CREATE TABLE IF NOT EXISTS maintenance_detached (
    relation TEXT PRIMARY KEY NOT NULL,
    table_name TEXT NOT NULL,
    lower_bound TEXT,
    upper_bound TEXT NOT NULL,
    detached_at BIGINT NOT NULL -- milliseconds since 1970-01-01 UTC
);
