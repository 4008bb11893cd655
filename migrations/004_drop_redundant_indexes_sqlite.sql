-- Takes away what another index already gives, on SQLite. Every row that is written or purged pays for each index: these are
-- half of the cost of a purge.
--
-- Touches no row and no UNIQUE index. Safe to run again, by the worker or by hand:
--   sqlite3 -bail gateway.db < 004_drop_redundant_indexes_sqlite.sql

-- Names alone prove nothing, and SQLite drops without a condition. So the file fails here, before it drops anything, where one of
-- the names is a UNIQUE index, or the only index that begins with its column. (A column id that is the rowid needs none.)
-- A table of this database could be called pragma_index_list; temp.pragma_index_list is SQLite's own function.
CREATE TEMP TABLE redundant_indexes (
    name TEXT PRIMARY KEY,
    needed BOOLEAN NOT NULL DEFAULT 0
        CONSTRAINT "an index that 004 drops as redundant is not redundant here, see 004 in migrations/README.md" CHECK (NOT needed)
);

INSERT INTO temp.redundant_indexes (name) VALUES
    -- of the gateway's published script
    ('idx_tools_name'), ('idx_audit_logs_user'), ('idx_mcp_servers_name'), ('idx_api_keys_hash'), ('idx_sessions_token'),
    -- of its ORM; not ix_tools_name, which is UNIQUE
    ('ix_audit_logs_id'), ('ix_audit_logs_tool_name'), ('ix_audit_logs_user'), ('ix_audit_logs_timestamp'), ('ix_tools_id');

UPDATE temp.redundant_indexes SET needed = 1 WHERE name IN (
    SELECT i.name
    FROM main.sqlite_schema AS t, temp.pragma_index_list(t.name, 'main') AS i
    WHERE t.type = 'table' AND i.name IN (SELECT r.name FROM temp.redundant_indexes AS r) AND (
        i."unique" OR i.partial OR (SELECT count(*) FROM temp.pragma_index_info(i.name, 'main')) > 1
        OR NOT EXISTS (
            SELECT 1 FROM temp.pragma_index_xinfo(i.name, 'main') AS c WHERE c.seqno = 0 AND (
                EXISTS (
                    SELECT 1 FROM temp.pragma_index_list(t.name, 'main') AS o, temp.pragma_index_xinfo(o.name, 'main') AS oc
                    WHERE NOT o.partial AND oc.seqno = 0 AND oc.cid = c.cid AND oc.coll = c.coll
                        AND o.name NOT IN (SELECT r.name FROM temp.redundant_indexes AS r)
                )
                OR EXISTS (
                    SELECT 1 FROM temp.pragma_table_info(t.name, 'main') AS k
                    WHERE k.cid = c.cid AND k.pk = 1 AND upper(k.type) = 'INTEGER'
                )
            )
        )
    )
);

DROP INDEX IF EXISTS idx_tools_name;
DROP INDEX IF EXISTS idx_audit_logs_user;
DROP INDEX IF EXISTS idx_mcp_servers_name;
DROP INDEX IF EXISTS idx_api_keys_hash;
DROP INDEX IF EXISTS idx_sessions_token;

DROP INDEX IF EXISTS ix_audit_logs_id;
DROP INDEX IF EXISTS ix_audit_logs_tool_name;
DROP INDEX IF EXISTS ix_audit_logs_user;
DROP INDEX IF EXISTS ix_audit_logs_timestamp;
DROP INDEX IF EXISTS ix_tools_id;

DROP TABLE temp.redundant_indexes;
