import { METRICS, type MetricDefinition } from '../src/observe/metric-definitions.ts'

/** Cells of the table: metric, kind, labels, meaning. */
export function metricRows(): readonly (readonly string[])[] {
  return Object.values<MetricDefinition>(METRICS).map(({ name, kind, labels, help }) => [
    `\`${name}\``,
    kind,
    Object.entries(labels).map(labelled).join(', '),
    help.replace(/\.$/, ''),
  ])
}

/** The jobs have a table of their own, and of versions there is one. */
function labelled([label, values]: readonly [string, readonly string[]]): string {
  const known = label === 'job' || values.length === 0
  return known ? `\`${label}\`` : `\`${label}\` (${values.map((value) => `\`${value}\``).join(' ')})`
}
