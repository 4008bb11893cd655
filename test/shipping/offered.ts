import { describeSettings } from '../../src/config/schema.ts'

/** What the program offers to those who run it, in one place for the tests of what is shipped. */
export const METRICS: Readonly<Record<string, { readonly kind: 'counter' | 'gauge' | 'histogram'; readonly labels: readonly string[] }>> = {
  mcp_maintenance_rows_deleted_total: { kind: 'counter', labels: ['job'] },
  mcp_maintenance_job_runs_total: { kind: 'counter', labels: ['job', 'outcome'] },
  mcp_maintenance_job_duration_seconds: { kind: 'histogram', labels: ['job'] },
  mcp_maintenance_job_last_success_timestamp_seconds: { kind: 'gauge', labels: ['job'] },
  mcp_maintenance_job_running: { kind: 'gauge', labels: ['job'] },
  mcp_maintenance_expired_rows: { kind: 'gauge', labels: ['job'] },
  mcp_maintenance_oldest_expired_age_seconds: { kind: 'gauge', labels: ['job'] },
  mcp_maintenance_rows_kept_total: { kind: 'counter', labels: ['job', 'reason'] },
  mcp_maintenance_batch_duration_seconds: { kind: 'histogram', labels: ['job'] },
  mcp_maintenance_paused_seconds_total: { kind: 'counter', labels: ['job', 'reason'] },
  mcp_maintenance_migrations: { kind: 'gauge', labels: ['state'] },
  mcp_maintenance_build_info: { kind: 'gauge', labels: ['version'] },
}

export const HTTP_PORT = 9465
export const HTTP_PATHS: readonly string[] = ['/metrics', '/healthz', '/readyz', '/status']

const HTTP_SETTINGS = ['HTTP_ENABLED', 'HTTP_HOST', 'HTTP_PORT', 'METRICS_TEXTFILE']

export const ENVIRONMENT: ReadonlySet<string> = new Set([...describeSettings().flatMap((setting) => setting.environment), ...HTTP_SETTINGS])

/** The metric of a series: a histogram has three kinds of them. */
export function metricOf(series: string): string {
  const [, base] = /^(.+)_(?:bucket|sum|count)$/.exec(series) ?? []
  return base !== undefined && METRICS[base]?.kind === 'histogram' ? base : series
}

/** Metrics in an expression. */
export function metricsIn(expression: string): string[] {
  return [...expression.matchAll(/\bmcp_\w+/g)].map((match) => metricOf(match[0]))
}
