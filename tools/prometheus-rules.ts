import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** Writes the alert rules of deploy/prometheus/ once more as objects of the Prometheus operator, which kustomize cannot make of a plain file. */
const ROOT = fileURLToPath(new URL('..', import.meta.url))

export const RULE_FILES = [
  ['deploy/prometheus/alerts.yml', 'deploy/kubernetes/components/monitoring/rules.yaml', 'mcp-gateway-maintenance'],
  ['deploy/prometheus/alerts-cronjob.yml', 'deploy/kubernetes/components/monitoring-cronjob/rules.yaml', 'mcp-gateway-maintenance-cronjob'],
  ['deploy/prometheus/alerts-doctor.yml', 'deploy/kubernetes/components/monitoring-doctor/rules.yaml', 'mcp-gateway-maintenance-doctor'],
] as const

/** `from` as it is, without its comment at the top, as the spec of a PrometheusRule. */
export async function prometheusRule(from: string, name: string): Promise<string> {
  const text = await readFile(`${ROOT}${from}`, 'utf8')
  const groups = text.slice(text.indexOf('groups:')).trimEnd().split('\n')
  return [
    `# Written by "npm run docs" from ${from}.`,
    'apiVersion: monitoring.coreos.com/v1',
    'kind: PrometheusRule',
    'metadata:',
    `  name: ${name}`,
    'spec:',
    ...groups.map((line) => (line === '' ? '' : `  ${line}`)),
    '',
  ].join('\n')
}

export async function writePrometheusRules(): Promise<void> {
  for (const [from, to, name] of RULE_FILES) await writeFile(`${ROOT}${to}`, await prometheusRule(from, name))
}
