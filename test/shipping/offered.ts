import { describeSettings } from '../../src/config/schema.ts'
import { METRICS as DEFINITIONS, type MetricDefinition } from '../../src/observe/metric-definitions.ts'

/** What the program offers to those who run it, for the tests of what is shipped. */
export const METRICS: ReadonlyMap<string, MetricDefinition> = new Map(Object.values(DEFINITIONS).map((metric) => [metric.name, metric]))

export const ENVIRONMENT: ReadonlySet<string> = new Set(describeSettings().flatMap((setting) => setting.environment))

export const HTTP_PORT = describeSettings().find(({ key }) => key === 'http.port')?.default

/** The metric of a series: a histogram has three kinds of them. */
export function metricOf(series: string): string {
  const [, base] = /^(.+)_(?:bucket|sum|count)$/.exec(series) ?? []
  return base !== undefined && METRICS.get(base)?.kind === 'histogram' ? base : series
}

/** Metrics in an expression. */
export function metricsIn(expression: string): string[] {
  return [...expression.matchAll(/\bmcp_\w+/g)].map((match) => metricOf(match[0]))
}
