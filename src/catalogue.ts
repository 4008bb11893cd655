import { DAY } from './time/clock.ts'

/** One job of the worker, as data: settings, environment names, help and labels are derived from it. */
export interface Job {
  /** Deletes the rows of a table that have expired. */
  readonly kind: 'purge'
  /** The name on the command line, in the log and in the history. */
  readonly name: string
  readonly table: string
  /** The column that decides when a row has expired. */
  readonly column: string
  readonly keep: Keep
  /** Whether some of its rows can be held, or kept longer than others, and by which columns they are named. */
  readonly holdable: Holdable
  /** Its rows are archived before they are deleted, if the archive is enabled. */
  readonly archived?: true
  /** Each of its runs that is allowed to delete leaves a receipt. */
  readonly receipts?: true
  /** Its key below `jobs` in the configuration. */
  readonly settings: string
  /** What its environment variables begin with. */
  readonly environment: string
  /** Default cron expression. */
  readonly schedule: string
  readonly summary: string
}

export type Holdable =
  | { readonly by: readonly string[] }
  | { readonly by: readonly []; /** Why none of its rows is ever held. */ readonly because: string }

/** How long a row is kept: for a retention after it was written, or for a grace after the time of expiry in its column. */
export type Keep = Retention | Grace

export interface Retention {
  readonly from: 'written'
  readonly defaultMs: number
  readonly leastMs: number
  readonly environment: string
}

/**
 * No grace by default, because the gateway's own statements delete expired rows without one. Set one if a clock is behind, or if the gateway still updates
 * rows that it has just read.
 */
export interface Grace {
  readonly from: 'expiry'
  readonly environment: string
}

/** `undefined`: its rows hold their own time of expiry. */
export function retentionOf({ keep }: Job): Retention | undefined {
  return keep.from === 'written' ? keep : undefined
}

/** `undefined`: its rows are kept for a retention instead. */
export function graceOf({ keep }: Job): Grace | undefined {
  return keep.from === 'expiry' ? keep : undefined
}

/** The environment variable of its retention rules; `undefined`: it has no retention, or nothing by which its rows are named. */
export function rulesVariable(job: Job): string | undefined {
  const retention = retentionOf(job)
  return retention === undefined || job.holdable.by.length === 0 ? undefined : `${retention.environment}_RULES`
}

/** The environment variable that names the tables whose rows may be deleted along with the job's own. */
export function cascadeVariable({ environment }: Job): string {
  return `${environment}_CASCADE`
}

/** The columns of audit_logs by which rows are held. */
export const HELD_COLUMNS = ['user', 'tool_name', 'action', 'status'] as const
export type HeldColumn = (typeof HELD_COLUMNS)[number]

/** In the order in which a run of all jobs starts and reports them. */
export const JOBS: readonly Job[] = [
  {
    kind: 'purge',
    name: 'purge-audit-logs',
    table: 'audit_logs',
    column: 'timestamp',
    keep: { from: 'written', defaultMs: 90 * DAY, leastMs: DAY, environment: 'AUDIT_LOGS_RETENTION' },
    holdable: { by: HELD_COLUMNS },
    archived: true,
    receipts: true,
    settings: 'purgeAuditLogs',
    environment: 'PURGE_AUDIT_LOGS',
    schedule: '0 3 * * *',
    summary: 'audit logs older than the retention',
  },
  {
    kind: 'purge',
    name: 'purge-policy-decisions',
    table: 'policy_decisions',
    column: 'expires_at',
    keep: { from: 'expiry', environment: 'POLICY_DECISIONS_GRACE' },
    holdable: {
      by: [],
      because: 'a policy decision is a cached answer that the gateway works out again; what came of it is in audit_logs',
    },
    settings: 'purgePolicyDecisions',
    environment: 'PURGE_POLICY_DECISIONS',
    schedule: '*/15 * * * *',
    summary: 'policy decisions that have expired',
  },
  {
    kind: 'purge',
    name: 'purge-sessions',
    table: 'sessions',
    column: 'expires_at',
    keep: { from: 'expiry', environment: 'SESSIONS_GRACE' },
    holdable: { by: [], because: 'a session is a credential, which must not outlive its time; what was done with it is in audit_logs' },
    settings: 'purgeSessions',
    environment: 'PURGE_SESSIONS',
    schedule: '*/15 * * * *',
    summary: 'sessions that have expired',
  },
  {
    kind: 'purge',
    name: 'purge-rate-limits',
    table: 'rate_limits',
    column: 'expires_at',
    keep: { from: 'expiry', environment: 'RATE_LIMITS_GRACE' },
    holdable: { by: [], because: 'a counter of requests says nothing of what was done; that is in audit_logs' },
    settings: 'purgeRateLimits',
    environment: 'PURGE_RATE_LIMITS',
    schedule: '*/15 * * * *',
    summary: 'counters of rate limits that have expired',
  },
]

/** A table of which rows can belong to a person. */
export interface PersonalTable {
  readonly table: string
  /** Each of them may name the person; the gateway's variants have one or the other. None: no row of the table names a person. */
  readonly named: readonly string[]
  /** The column that dates its rows, where no job removes them. */
  readonly dated?: string
  /** What becomes of its rows, where no job removes them. */
  readonly stays?: string
}

/** Where the name of a person stands: the gateway's tables, and the one into which archived rows are restored. */
export const PERSONAL_TABLES: readonly PersonalTable[] = [
  { table: 'audit_logs', named: ['user', 'username'] },
  { table: 'policy_decisions', named: ['user_identifier'] },
  { table: 'sessions', named: ['user_identifier'] },
  { table: 'rate_limits', named: ['subject'] },
  { table: 'api_keys', named: ['user_identifier', 'created_by'], dated: 'created_at', stays: 'until the gateway removes them' },
  { table: 'audit_logs_restored', named: ['user', 'username'], dated: 'timestamp', stays: 'until somebody drops the table' },
  { table: 'tools', named: [] },
  { table: 'mcp_servers', named: [] },
]
