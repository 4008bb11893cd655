-- Takes away what another index already gives, on PostgreSQL. Every row that is written or purged pays for each index.
--
-- Touches no row and no UNIQUE index. Safe to run again, by the worker or by hand:
--   psql -v ON_ERROR_STOP=1 -f 004_drop_redundant_indexes.sql
-- Nothing is qualified by a schema: it looks where search_path points first.

-- Names alone prove nothing: an index goes only where it is a plain one on a single column, and another index of its table,
-- one that stays, begins with that column. What a table needs is therefore never taken, whoever made it. Each table is locked
-- for the moment that it takes to forget an index; where there is nothing to drop, none is.
DO $do$
DECLARE
    redundant CONSTANT name[] := ARRAY[
        -- of the gateway's published script
        'idx_tools_name', 'idx_audit_logs_user', 'idx_mcp_servers_name', 'idx_api_keys_hash', 'idx_sessions_token',
        -- of its ORM; not ix_tools_name, which is UNIQUE
        'ix_audit_logs_id', 'ix_audit_logs_tool_name', 'ix_audit_logs_user', 'ix_audit_logs_timestamp', 'ix_tools_id'
    ];
    doomed name;
BEGIN
    FOR doomed IN
        SELECT class.relname
        FROM pg_index AS index
        JOIN pg_class AS class ON class.oid = index.indexrelid
        WHERE class.relname = ANY (redundant)
            AND class.relnamespace = current_schema()::regnamespace
            AND NOT index.indisunique
            AND index.indnatts = 1 AND index.indkey[0] > 0 AND index.indpred IS NULL
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = index.indexrelid)
            AND EXISTS (
                SELECT
                FROM pg_index AS other
                JOIN pg_class AS other_class ON other_class.oid = other.indexrelid
                WHERE other.indrelid = index.indrelid
                    AND other_class.relname <> ALL (redundant)
                    AND other_class.relam = class.relam
                    AND other.indkey[0] = index.indkey[0]
                    AND other.indclass[0] = index.indclass[0]
                    AND other.indcollation[0] = index.indcollation[0]
                    AND other.indpred IS NULL
                    AND other.indisvalid
            )
        ORDER BY class.relname
    LOOP
        EXECUTE format('DROP INDEX IF EXISTS %I.%I', current_schema(), doomed);
    END LOOP;
END
$do$;
