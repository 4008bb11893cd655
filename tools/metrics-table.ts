import { METRICS, type MetricDefinition } from '../src/observe/metric-definitions.ts'

const BEGIN = '<!-- metrics: written by `npm run docs` -->'
const END = '<!-- end of metrics -->'

/** A document with the table of metrics between its markers brought up to date. Throws where it has no markers. */
export function withMetricsTable(document: string): string {
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin === -1 || end < begin) throw new Error(`the document has no place for the metrics, between ${BEGIN} and ${END}`)
  const lines = [['metric', 'kind', 'labels', ''], ['---', '---', '---', '---'], ...metricRows()].map((cells) => `| ${cells.join(' | ')} |`)
  return `${document.slice(0, begin)}${BEGIN}\n\n${lines.join('\n')}\n\n${document.slice(end)}`
}

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
