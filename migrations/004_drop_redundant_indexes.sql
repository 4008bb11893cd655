-- Takes away what another index already gives, on PostgreSQL. Every row that is written or purged pays for each index.
--
-- Touches no row and no UNIQUE index. Safe to run again, by the worker or by hand:
--   psql -v ON_ERROR_STOP=1 -f 004_drop_redundant_indexes.sql
-- It looks where search_path points first. Whatever else lies there changes nothing: operators, functions and types are named as those of pg_catalog.

-- Names alone prove nothing: an index goes only where it is a plain one on a single column, and another index of its table,
-- one that stays, begins with that column. What a table needs is therefore never taken, whoever made it. Passed over are those that
-- something else needs: one that is part of a partitioned table's index goes with that one or not at all. Each table is locked
-- for the moment that it takes to forget an index; where there is nothing to drop, none is.
DO $do$
DECLARE
    redundant CONSTANT pg_catalog.name[] := ARRAY[
        -- of the gateway's published script
        'idx_tools_name', 'idx_audit_logs_user', 'idx_mcp_servers_name', 'idx_api_keys_hash', 'idx_sessions_token',
        -- of its ORM; not ix_tools_name, which is UNIQUE
        'ix_audit_logs_id', 'ix_audit_logs_tool_name', 'ix_audit_logs_user', 'ix_audit_logs_timestamp', 'ix_tools_id'
    ]::pg_catalog.name[];
    doomed pg_catalog.name;
BEGIN
    FOR doomed IN
        SELECT c.relname
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE c.relname OPERATOR(pg_catalog.=) ANY (redundant)
            AND n.nspname OPERATOR(pg_catalog.=) pg_catalog.current_schema()
            AND NOT i.indisunique
            AND i.indnatts OPERATOR(pg_catalog.=) 1 AND i.indkey[0] OPERATOR(pg_catalog.>) 0 AND i.indpred IS NULL
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid OPERATOR(pg_catalog.=) i.indexrelid)
            -- A plain index hangs on its columns alone ('a'), and nothing hangs on it.
            AND NOT EXISTS (
                SELECT
                FROM pg_catalog.pg_depend AS d
                WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
                    AND d.objid OPERATOR(pg_catalog.=) i.indexrelid
                    AND d.deptype OPERATOR(pg_catalog.=) ANY ('{P,S,e,i}'::pg_catalog."char"[])
            )
            AND NOT EXISTS (
                SELECT
                FROM pg_catalog.pg_depend AS d
                WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
                    AND d.refobjid OPERATOR(pg_catalog.=) i.indexrelid
                    AND d.deptype OPERATOR(pg_catalog.=) 'n'
            )
            AND EXISTS (
                SELECT
                FROM pg_catalog.pg_index AS other
                JOIN pg_catalog.pg_class AS o ON o.oid OPERATOR(pg_catalog.=) other.indexrelid
                WHERE other.indrelid OPERATOR(pg_catalog.=) i.indrelid
                    AND o.relname OPERATOR(pg_catalog.<>) ALL (redundant)
                    AND o.relam OPERATOR(pg_catalog.=) c.relam
                    AND other.indkey[0] OPERATOR(pg_catalog.=) i.indkey[0]
                    AND other.indclass[0] OPERATOR(pg_catalog.=) i.indclass[0]
                    AND other.indcollation[0] OPERATOR(pg_catalog.=) i.indcollation[0]
                    AND other.indpred IS NULL
                    AND other.indisvalid
            )
        ORDER BY c.relname
    LOOP
        EXECUTE pg_catalog.format('DROP INDEX IF EXISTS %I.%I', pg_catalog.current_schema(), doomed);
    END LOOP;
END
$do$;
