import { DAY } from './time/clock.ts'

/** One job of the worker, as data: settings, environment names, help and labels are derived from it. */
export interface Job {
  /** As on the command line, in the log and in the history. */
  readonly name: string
  readonly table: string
  /** The column that says when a row's time has come. */
  readonly column: string
  /** Rows are kept this long after the column's time; absent: the column itself is the moment of expiry. */
  readonly retention?: { readonly defaultMs: number; readonly leastMs: number; readonly environment: string }
  /** Its rows are written to the archive before they go, where archiving is on. */
  readonly archived?: true
  /** Its key below `jobs` in the configuration. */
  readonly settings: string
  /** What its environment variables begin with. */
  readonly environment: string
  /** Default cron expression. */
  readonly schedule: string
  readonly summary: string
}

/** In the order in which a run of all jobs does and reports them. */
export const JOBS: readonly Job[] = [
  {
    name: 'purge-audit-logs',
    table: 'audit_logs',
    column: 'timestamp',
    retention: { defaultMs: 90 * DAY, leastMs: DAY, environment: 'AUDIT_LOGS_RETENTION' },
    archived: true,
    settings: 'purgeAuditLogs',
    environment: 'PURGE_AUDIT_LOGS',
    schedule: '0 3 * * *',
    summary: 'audit logs older than the retention',
  },
  {
    name: 'purge-policy-decisions',
    table: 'policy_decisions',
    column: 'expires_at',
    settings: 'purgePolicyDecisions',
    environment: 'PURGE_POLICY_DECISIONS',
    schedule: '*/15 * * * *',
    summary: 'policy decisions that have expired',
  },
  {
    name: 'purge-sessions',
    table: 'sessions',
    column: 'expires_at',
    settings: 'purgeSessions',
    environment: 'PURGE_SESSIONS',
    schedule: '*/15 * * * *',
    summary: 'sessions that have expired',
  },
  {
    name: 'purge-rate-limits',
    table: 'rate_limits',
    column: 'expires_at',
    settings: 'purgeRateLimits',
    environment: 'PURGE_RATE_LIMITS',
    schedule: '*/15 * * * *',
    summary: 'counters of rate limits that have expired',
  },
]
