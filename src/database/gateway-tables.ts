/** The gateway's tables. Those that are missing are made by migrations 001 and 003. */
export const GATEWAY_TABLES: readonly string[] = [
  'tools',
  'audit_logs',
  'mcp_servers',
  'policy_decisions',
  'api_keys',
  'sessions',
  'rate_limits',
]

/** Those that the gateway makes itself, by which its role and its files are known: rate_limits is nearly always made by a migration. */
export const MADE_BY_GATEWAY: readonly string[] = GATEWAY_TABLES.filter((name) => name !== 'rate_limits')

/** Those by which its schema is known: other programs have tables with the names of the rest too. */
export const TELLING_TABLES: readonly string[] = MADE_BY_GATEWAY.filter((name) => name !== 'sessions')
