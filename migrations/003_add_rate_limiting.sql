-- The gateway's counters for rate limiting on PostgreSQL: one row for each caller, resource and window of time.
--
-- Touches nothing that is there. Safe to run again, by the worker or by hand:
--   psql -v ON_ERROR_STOP=1 -f 003_add_rate_limiting.sql
-- No table is qualified by a schema: everything goes where search_path points. Whatever else lies there changes nothing: operators, functions and
-- types are named as those of pg_catalog.

-- One upsert counts a request:
--   INSERT INTO rate_limits (subject, resource, window_start, window_seconds, request_count, expires_at) VALUES (…, 1, …)
--   ON CONFLICT (subject, resource, window_start) DO UPDATE SET request_count = rate_limits.request_count + 1;
-- No index holds request_count, and pages keep room, so that PostgreSQL can write such an update beside the row it replaces.

CREATE TABLE IF NOT EXISTS rate_limits (
    subject pg_catalog.text NOT NULL, -- who is limited: a user, a key's hash, an address
    resource pg_catalog.text NOT NULL, -- what is limited: a tool, a route
    window_start TIMESTAMP NOT NULL,
    window_seconds INTEGER NOT NULL,
    request_count INTEGER NOT NULL DEFAULT 0,
    expires_at TIMESTAMP NOT NULL, -- purge-rate-limits goes by it: window_start + window_seconds or later
    PRIMARY KEY (subject, resource, window_start)
) WITH (fillfactor = 80);

CREATE INDEX IF NOT EXISTS idx_rate_limits_expires ON rate_limits (expires_at);
