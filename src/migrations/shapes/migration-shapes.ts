// Written by `npm run docs:shapes` from the files in migrations/: change those, and run it again.
import { table, view, type Shape } from './adoption.ts'

/** The tables and views that each migration makes, by its file's name without suffix: the same on either engine. */
export const SHAPES: Readonly<Record<string, Shape | undefined>> = {
  '001_initial_schema': {
    tools: table(`id whole, name text, version text, description text, path text, permissions text, parameters text, environment text,
      timeout whole, is_active truth, created_at time, updated_at time`),
    audit_logs: table(`id whole, tool_name text, user text, action text, status text, parameters text, output text, error text,
      execution_time whole, timestamp time`),
    mcp_servers: table(`id whole, name text, url text, type text, timeout whole, enabled truth, description text, metadata text,
      created_at time, updated_at time`),
    policy_decisions: table(`id whole, user_identifier text, resource text, action text, decision text, reason text, expires_at time,
      created_at time`),
    api_keys: table(`id whole, key_hash text, name text, user_identifier text, scopes text, enabled truth, expires_at time,
      last_used_at time, created_at time, created_by text`),
    sessions: table(`id whole, session_token text, user_identifier text, user_data text, ip_address text, user_agent text, expires_at time,
      created_at time, last_activity_at time`),
    recent_audit_activity: view(`id whole, tool_name text, user text, action text, status text, execution_time whole, timestamp time`),
    policy_violations: view(`id whole, tool_name text, user text, action text, reason text, timestamp time`),
    tool_usage_stats: view(`tool_name text, invocation_count whole, unique_users whole, avg_execution_time_ms other, last_used_at time`),
  },
  '002_add_metrics': {
    maintenance_runs: table(`id whole, job text, outcome text, trigger text, worker text, version text, started_at whole, finished_at whole,
      cutoff whole, retention whole, rows_deleted whole, batches whole, undated whole, unreadable whole, locked whole, error text`),
    maintenance_leases: table(`job text, holder text, fence whole, expires_at whole`),
    maintenance_history: view(`id whole, job text, outcome text, trigger text, worker text, version text, started_at time, finished_at time,
      cutoff time, retention whole, rows_deleted whole, batches whole, undated whole, unreadable whole, locked whole, error text`),
  },
  '003_add_rate_limiting': {
    rate_limits: table(`subject text, resource text, window_start time, window_seconds whole, request_count whole, expires_at time`),
  },
  '005_add_archive': {
    maintenance_archives: table(`source text, position whole, head text, head_file text, step text, removed text, rows whole, bytes whole,
      files whole, newest_at whole, verified_at whole, verified text`),
    maintenance_archived: table(`run whole, rows whole, bytes whole, files whole`),
    maintenance_archive_history: view(`id whole, job text, outcome text, started_at time, finished_at time, cutoff time, rows_deleted whole,
      rows_archived whole, bytes_archived whole, files_archived whole`),
  },
  '006_add_archive_retention': {
    maintenance_archive_retention: table(`source text, retention whole, complete_from whole, accepted_at whole, run whole`),
    maintenance_archive_removed: table(`run whole, rows whole, bytes whole, files whole`),
  },
  '007_add_holds': {
    maintenance_holds: table(`id whole, name text, job text, matches text, reason text, placed_at whole, placed_by text, review_at whole,
      released_at whole, released_by text, release_reason text`),
    maintenance_run_holds: table(`run whole, hold whole, rows whole`),
    maintenance_held_files: table(`hold whole, path text, rows whole`),
  },
  '008_add_policies': {
    maintenance_policies: table(`sha256 text, policy text, first_seen whole`),
    maintenance_run_policies: table(`run whole, job text, sha256 text, compared_sha256 text`),
  },
  '009_add_partitions': {
    maintenance_partitioned: table(`table_name text, first_partition text, bound text, began_at whole, converted_at whole,
      undoing_since whole`),
    maintenance_detached: table(`relation text, table_name text, lower_bound text, upper_bound text, detached_at whole`),
  },
  '010_add_receipts': {
    maintenance_receipts: table(`n whole, kind text, run whole, body text, sha256 text, key_id text, signature text`),
  },
  '011_add_discarded_files': {
    maintenance_discarded: table(`source text, path text, noted_at whole, kept whole`),
  },
  '012_add_archive_places': {
    maintenance_archive_places: table(`source text, place text, moved_at whole`),
  },
}
