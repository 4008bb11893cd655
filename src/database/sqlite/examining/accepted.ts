import type { Examining } from '../../examining.ts'
import { afterName } from './definitions.ts'

/** Views and triggers of the gateway's published script, which 001 leaves as they are: they say the same, without our care for quoted names and for recursion. */
const SCRIPT = [
  `CREATE VIEW recent_audit_activity AS SELECT id, tool_name, user, action, status, execution_time, timestamp
   FROM audit_logs WHERE timestamp > datetime('now', '-24 hours') ORDER BY timestamp DESC`,
  `CREATE VIEW policy_violations AS SELECT id, tool_name, user, action, error as reason, timestamp
   FROM audit_logs WHERE status = 'policy_violation' ORDER BY timestamp DESC`,
  `CREATE VIEW tool_usage_stats AS SELECT tool_name, COUNT(*) as invocation_count, COUNT(DISTINCT user) as unique_users,
   AVG(execution_time) as avg_execution_time_ms, MAX(timestamp) as last_used_at
   FROM audit_logs WHERE action = 'invoke' AND status = 'success' GROUP BY tool_name ORDER BY invocation_count DESC`,
  ...['tools', 'mcp_servers'].map(
    (table) =>
      `CREATE TRIGGER update_${table}_updated_at AFTER UPDATE ON ${table} FOR EACH ROW BEGIN UPDATE ${table} SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id; END`,
  ),
]

export const PUBLISHED: Examining['accepted'] = SCRIPT.map((sql) => {
  const [, kind = '', name = ''] = /^CREATE (\w+) (\w+)/.exec(sql) ?? []
  const [, table = name] = / ON (\w+) FOR/.exec(sql) ?? []
  return { kind: kind === 'VIEW' ? 'view' : 'trigger', of: table, name, is: afterName(sql) }
})
