-- The gateway's schema on SQLite: tables, indexes, updated_at triggers, views.
--
-- Completes what is there and touches no row: every object is made where its name is free.
-- Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 001_initial_schema_sqlite.sql

-- "user" is quoted because it is a reserved word in PostgreSQL, where a query without the quotes is wrong in silence.
-- JSON stays text, as the gateway's ORM writes it. Times are text in UTC: YYYY-MM-DD HH:MM:SS, with or without a
-- fraction; CURRENT_TIMESTAMP has that form. Truth values are 1 and 0.
-- AUTOINCREMENT never hands out the number of a purged row again.

CREATE TABLE IF NOT EXISTS tools (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    version TEXT NOT NULL DEFAULT '1.0.0',
    description TEXT NOT NULL,
    path TEXT NOT NULL,
    permissions TEXT NOT NULL, -- JSON array
    parameters TEXT, -- JSON schema
    environment TEXT, -- JSON object
    timeout INTEGER NOT NULL DEFAULT 30, -- seconds
    is_active BOOLEAN NOT NULL DEFAULT 1,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS audit_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tool_name TEXT NOT NULL,
    "user" TEXT NOT NULL,
    action TEXT NOT NULL, -- invoke, list_tools, register, delete, ...
    status TEXT NOT NULL, -- success, failure, denied, policy_violation
    parameters TEXT, -- JSON
    output TEXT,
    error TEXT,
    execution_time INTEGER, -- milliseconds
    timestamp TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS mcp_servers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    type TEXT NOT NULL DEFAULT 'http', -- http, grpc
    timeout INTEGER NOT NULL DEFAULT 30, -- seconds
    enabled BOOLEAN NOT NULL DEFAULT 1,
    description TEXT,
    metadata TEXT, -- JSON object
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS policy_decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_identifier TEXT NOT NULL,
    resource TEXT NOT NULL,
    action TEXT NOT NULL,
    decision TEXT NOT NULL, -- allow, deny
    reason TEXT,
    expires_at TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS api_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key_hash TEXT NOT NULL UNIQUE, -- SHA-256, hexadecimal; never the key itself
    name TEXT NOT NULL,
    user_identifier TEXT NOT NULL,
    scopes TEXT, -- JSON array
    enabled BOOLEAN NOT NULL DEFAULT 1,
    expires_at TIMESTAMP, -- NULL: never
    last_used_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_token TEXT NOT NULL UNIQUE,
    user_identifier TEXT NOT NULL,
    user_data TEXT, -- JSON object
    ip_address TEXT, -- IPv4 or IPv6
    user_agent TEXT,
    expires_at TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_activity_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Columns that a UNIQUE constraint or the front of another index already covers get no index of their own:
-- tools.name, mcp_servers.name, api_keys.key_hash, sessions.session_token, audit_logs."user".

CREATE INDEX IF NOT EXISTS idx_audit_logs_tool_name ON audit_logs (tool_name);
CREATE INDEX IF NOT EXISTS idx_audit_logs_action ON audit_logs (action);
CREATE INDEX IF NOT EXISTS idx_audit_logs_status ON audit_logs (status);
CREATE INDEX IF NOT EXISTS idx_audit_logs_timestamp ON audit_logs (timestamp DESC);
CREATE INDEX IF NOT EXISTS idx_audit_logs_user_timestamp ON audit_logs ("user", timestamp DESC);

CREATE INDEX IF NOT EXISTS idx_policy_decisions_lookup ON policy_decisions (user_identifier, resource, action, expires_at);
CREATE INDEX IF NOT EXISTS idx_policy_decisions_expires ON policy_decisions (expires_at);

CREATE INDEX IF NOT EXISTS idx_sessions_user ON sessions (user_identifier);
CREATE INDEX IF NOT EXISTS idx_sessions_expires ON sessions (expires_at);

CREATE INDEX IF NOT EXISTS idx_api_keys_user ON api_keys (user_identifier);
CREATE INDEX IF NOT EXISTS idx_api_keys_enabled ON api_keys (enabled);

CREATE INDEX IF NOT EXISTS idx_tools_active ON tools (is_active);

CREATE INDEX IF NOT EXISTS idx_mcp_servers_enabled ON mcp_servers (enabled);

-- A time that the UPDATE itself sets is kept. The second half of each condition makes the trigger's own UPDATE the last
-- one, also where recursive_triggers is on: it either changes updated_at or was not needed.

CREATE TRIGGER IF NOT EXISTS update_tools_updated_at AFTER UPDATE ON tools
FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at AND NEW.updated_at IS NOT CURRENT_TIMESTAMP
BEGIN
    UPDATE tools SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id;
END;

CREATE TRIGGER IF NOT EXISTS update_mcp_servers_updated_at AFTER UPDATE ON mcp_servers
FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at AND NEW.updated_at IS NOT CURRENT_TIMESTAMP
BEGIN
    UPDATE mcp_servers SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id;
END;

-- Columns are qualified: SQLite takes a quoted name it does not know for a piece of text, but never a qualified one.

CREATE VIEW IF NOT EXISTS recent_audit_activity AS
SELECT a.id, a.tool_name, a."user", a.action, a.status, a.execution_time, a.timestamp
FROM audit_logs AS a
WHERE a.timestamp > datetime('now', '-24 hours')
ORDER BY a.timestamp DESC;

CREATE VIEW IF NOT EXISTS policy_violations AS
SELECT a.id, a.tool_name, a."user", a.action, a.error AS reason, a.timestamp
FROM audit_logs AS a
WHERE a.status = 'policy_violation'
ORDER BY a.timestamp DESC;

CREATE VIEW IF NOT EXISTS tool_usage_stats AS
SELECT
    a.tool_name,
    count(*) AS invocation_count,
    count(DISTINCT a."user") AS unique_users,
    avg(a.execution_time) AS avg_execution_time_ms,
    max(a.timestamp) AS last_used_at
FROM audit_logs AS a
WHERE a.action = 'invoke' AND a.status = 'success'
GROUP BY a.tool_name
ORDER BY invocation_count DESC;
