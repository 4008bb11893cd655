import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse, stringify } from 'yaml'
import { JOBS } from '../../src/catalogue.ts'
import { openMetrics } from '../../src/observe/metrics.ts'
import { hostClock } from '../../src/time/clock.ts'
import { CHECKOUT, run, type Done } from './checkout.ts'
import { HTTP_PORT, METRICS, metricsIn } from './offered.ts'
import { labelsOnceScraped } from './prometheus-server.ts'

const FOLDER = `${CHECKOUT}deploy/prometheus/`
const { code } = await run('promtool', ['--version'], { cwd: '/' })
const skip = code !== 0 && "promtool is not on this machine: it comes with Debian's package prometheus"

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: Readonly<Record<string, string>>
}

interface ScrapeConfig {
  readonly job_name: string
  readonly honor_labels?: boolean
  readonly kubernetes_sd_configs?: unknown
  readonly static_configs?: readonly { readonly targets: readonly string[] }[]
}

async function yamlOf<T>(file: string): Promise<T> {
  return parse(await readFile(`${FOLDER}${file}`, 'utf8')) as T
}

async function rulesOf(file: string): Promise<readonly Rule[]> {
  const { groups } = await yamlOf<{ groups: readonly { rules: readonly Rule[] }[] }>(file)
  return groups.flatMap((group) => group.rules)
}

const WORKER_RULES = 'alerts.yml'
const TESTS = ['alerts.test.yml', 'alerts-weeks.test.yml']
const CRONJOB_RULES = 'alerts-cronjob.yml'
const rules = await rulesOf(WORKER_RULES)
const DOCTOR_RULES = 'alerts-doctor.yml'
/** Of what kube-state-metrics tells. */
const cronjobRules = [...(await rulesOf(CRONJOB_RULES)), ...(await rulesOf(DOCTOR_RULES))]

/** Runs promtool on a copy of the folder, with some of its files changed. */
async function promtool(words: readonly string[], changes: Readonly<Record<string, (text: string) => string>> = {}): Promise<Done> {
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-prometheus-'))
  try {
    await cp(FOLDER, folder, { recursive: true })
    for (const [file, change] of Object.entries(changes)) {
      const before = await readFile(join(folder, file), 'utf8')
      const after = change(before)
      assert.notEqual(after, before, 'the change changes nothing')
      await writeFile(join(folder, file), after)
    }
    return await run('promtool', words, { cwd: folder })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface RuleTests {
  readonly tests: readonly { readonly alert_rule_test: readonly { readonly alertname: string }[] }[]
}

/** The tests of one alert; the others would take longer. */
function testsOf(alert: string, text: string): string {
  const { tests, ...rest } = parse(text) as RuleTests
  const ofAlert = tests.map((each) => ({ ...each, alert_rule_test: each.alert_rule_test.filter(({ alertname }) => alertname === alert) }))
  return stringify({ ...rest, tests: ofAlert.filter(({ alert_rule_test: cases }) => cases.length > 0) })
}

/** The anchor of the heading that a section begins with, as a Markdown renderer makes it. */
function anchorOf(section: string): string {
  const [, heading = ''] = /^#+ (.+)/.exec(section) ?? []
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, '')
    .replaceAll(' ', '-')
}

describe('what is shipped for Prometheus', () => {
  it('is accepted by promtool', { skip }, async () => {
    const done = await promtool(['check', 'config', 'prometheus.yml'])
    assert.equal(done.code, 0, done.stdout + done.stderr)
    const node = await promtool(['check', 'config', 'node-exporter.yml'])
    assert.equal(node.code, 0, node.stdout + node.stderr)
    // Debian's promtool is built without Kubernetes; it can read the rest of the scrape job.
    const cluster = await promtool(['check', 'config', 'kubernetes.yml'], {
      'kubernetes.yml': (text) => text.replace(/kubernetes_sd_configs:\n\s+- role: pod/, "static_configs:\n      - targets: ['x']"),
    })
    assert.equal(cluster.code, 0, cluster.stdout + cluster.stderr)
  })

  it('raises the alerts that it should, and no others', { skip }, async () => {
    const done = await promtool(['test', 'rules', ...TESTS])
    assert.equal(done.code, 0, done.stdout + done.stderr)
  })

  const weakened: readonly [alert: string, file: string, change: (text: string) => string][] = [
    ['MaintenanceSafetyStop', WORKER_RULES, (text) => text.replace('outcome="stopped"', 'outcome="failed"')],
    [
      'MaintenanceJobFailing',
      WORKER_RULES,
      (text) => text.replace('last_run_outcome{outcome="failed"}', 'last_run_outcome{outcome="stopped"}'),
    ],
    ['MaintenanceJobFailing', WORKER_RULES, (text) => text.replace('runs_total{outcome="failed"}', 'runs_total{outcome="skipped"}')],
    ['MaintenanceJobLate', WORKER_RULES, (text) => text.replace('> 2 * 3600', '> 20 * 3600')],
    ['MaintenanceBacklogGrowing', WORKER_RULES, (text) => text.replace('offset 1d', 'offset 1m')],
    ['MaintenanceArchiveDamaged', WORKER_RULES, (text) => text.replace('_verification_successful) == 0', '_verification_successful) == 1')],
    ['MaintenanceArchiveUnverified', WORKER_RULES, (text) => text.replace('offset 8d > 0', 'offset 80d > 0')],
    ['MaintenancePartitionsRefusing', WORKER_RULES, (text) => text.replace('for: 1h', 'for: 10h')],
    ['MaintenancePartitionsRefusing', WORKER_RULES, (text) => text.replace('for: 1h', 'for: 0m')],
    ['MaintenancePartitionsRunningOut', WORKER_RULES, (text) => text.replace('< 3 * 86400', '< 2 * 86400')],
    [
      'MaintenancePartitionsRunningOut',
      WORKER_RULES,
      (text) =>
        text.replace('max by (job) (mcp_maintenance_partitions_covered_until', 'min by (job) (mcp_maintenance_partitions_covered_until'),
    ],
    ['MaintenancePartitionsLeft', WORKER_RULES, (text) => text.replace('for: 26h', 'for: 12h')],
    ['MaintenancePartitionsLeft', WORKER_RULES, (text) => text.replace('_partitions_detached) > 0', '_partitions_detached) > 2')],
    ['MaintenanceDefaultPartitionGrowing', WORKER_RULES, (text) => text.replace('default_rows offset 1d', 'default_rows offset 1m')],
    ['MaintenanceDefaultPartitionGrowing', WORKER_RULES, (text) => text.replace('> 1000\n', '> 100\n')],
    ['MaintenanceMigrationsPending', WORKER_RULES, (text) => text.replace('state="pending"', 'state="applied"')],
    [
      'MaintenanceAbsent',
      WORKER_RULES,
      (text) => text.replace('absent(mcp_maintenance_build_info)', 'absent(absent(mcp_maintenance_build_info))'),
    ],
    ['MaintenanceNightlyFailed', CRONJOB_RULES, (text) => text.replace('condition="true"', 'condition="false"')],
    ['MaintenanceNightlyLate', CRONJOB_RULES, (text) => text.replace('> 26 * 3600', '> 260 * 3600')],
    ['MaintenanceNightlyLate', CRONJOB_RULES, (text) => text.replace(' or kube_cronjob_created{cronjob="mcp-gateway-maintenance"}', '')],
    ['MaintenanceDoctorFailing', DOCTOR_RULES, (text) => text.replace('> 26 * 3600', '> 24 * 3600')],
    [
      'MaintenanceDoctorFailing',
      DOCTOR_RULES,
      (text) => text.replace(' or kube_cronjob_created{cronjob="mcp-gateway-maintenance-doctor"}', ''),
    ],
  ]
  for (const [at, [alert, file, change]] of weakened.entries()) {
    it(`has a test that notices when ${alert} is broken, case ${at + 1}`, { skip }, async () => {
      const done = await promtool(['test', 'rules', ...TESTS], {
        [file]: change,
        ...Object.fromEntries(TESTS.map((each) => [each, (text) => testsOf(alert, text)])),
      })
      assert.notEqual(done.code, 0)
      assert.match(done.stdout + done.stderr, new RegExp(`alertname:\\s*${alert}`))
    })
  }

  it('has an alert for each way in which things go wrong, and each says what it is and what to do', () => {
    assert.deepEqual(
      [...rules, ...cronjobRules].map((rule) => rule.alert),
      [...new Set(weakened.map(([alert]) => alert))],
    )
    for (const { alert, labels, annotations } of [...rules, ...cronjobRules]) {
      assert.match(labels.severity, /^(?:critical|warning)$/, alert)
      assert.match(annotations['summary'] ?? '', /(?:[\w$.{}]+ ){3}/, alert)
      assert.match(annotations['description'] ?? '', /[.?]$/, alert)
    }
  })

  it('has a section in the runbook for each alert, with the cause and the remedy', async () => {
    const sections = (await readFile(`${CHECKOUT}docs/troubleshooting.md`, 'utf8')).split(/^(?=#)/m)
    for (const { alert, annotations } of [...rules, ...cronjobRules]) {
      const anchor = `alert-${alert.toLowerCase()}`
      assert.equal(annotations['runbook_url'], `docs/troubleshooting.md#${anchor}`)
      const [section, ...more] = sections.filter((each) => anchorOf(each) === anchor)
      assert.ok(section !== undefined && more.length === 0, `${alert} has no heading that is ${anchor}`)
      assert.ok(section.split('\n').slice(1).join(' ').length > 100, alert)
    }
  })

  it('uses only metrics that kube-state-metrics is known to export', () => {
    const named = cronjobRules.flatMap(({ expr }) => [...expr.matchAll(/\bkube_\w+/g)].map((match) => match[0]))
    assert.deepEqual(new Set(named), new Set(['kube_job_failed', 'kube_cronjob_status_last_successful_time', 'kube_cronjob_created']))
  })

  it('uses only metrics and jobs that exist', () => {
    for (const { alert, expr } of rules) {
      const named = metricsIn(expr)
      assert.ok(named.length > 0, alert)
      assert.deepEqual(
        named.filter((name) => !METRICS.has(name)),
        [],
        alert,
      )
      for (const [, job] of expr.matchAll(/job!?="([^"]+)"/g))
        assert.ok(
          JOBS.some(({ name }) => name === job),
          job,
        )
    }
  })

  it("scrapes the worker's port, and keeps its labels", async () => {
    const scrapes: ScrapeConfig[] = []
    for (const file of ['prometheus.yml', 'kubernetes.yml', 'node-exporter.yml']) {
      const { scrape_configs } = await yamlOf<{ scrape_configs: readonly ScrapeConfig[] }>(file)
      scrapes.push(...scrape_configs)
    }
    assert.equal(scrapes.length, 3)
    for (const each of scrapes) assert.equal(each.honor_labels, true)
    assert.deepEqual(scrapes[0]?.static_configs, [{ targets: [`maintenance:${HTTP_PORT}`] }])
  })
})

describe('a real Prometheus', () => {
  for (const file of ['prometheus.yml', 'node-exporter.yml'])
    it(
      `has the worker's metrics under the labels of the rules with the scrape job of ${file}, and not without honor_labels`,
      { skip },
      async () => {
        const { scrape_configs } = await yamlOf<{ scrape_configs: readonly ScrapeConfig[] }>(file)
        const names = JOBS.map(({ name }) => name)
        const metrics = openMetrics({ version: '1.2.3', jobs: names, archiving: [], clock: hostClock() })
        const text = await metrics.text()
        const { honor_labels: _, ...without } = scrape_configs[0]!
        const kept = await labelsOnceScraped({ ...scrape_configs[0]! }, text, 'mcp_maintenance_job_running')
        assert.deepEqual(kept.map(({ job }) => job ?? '').toSorted(), names.toSorted())
        const renamed = await labelsOnceScraped(without, text, 'mcp_maintenance_job_running')
        assert.deepEqual(new Set(renamed.map(({ job }) => job)), new Set([without.job_name]))
        assert.deepEqual(renamed.map(({ exported_job: job }) => job ?? '').toSorted(), names.toSorted())
      },
    )
})

describe('the dashboard', async () => {
  const dashboard: { panels: readonly { title: string; targets: readonly { expr: string }[] }[]; templating: unknown } = JSON.parse(
    await readFile(`${CHECKOUT}deploy/grafana/dashboard.json`, 'utf8'),
  )
  const expressions = dashboard.panels.flatMap((panel) => panel.targets.map(({ expr }) => expr))

  it('shows exactly the metrics that exist', () => {
    const shown = new Set(metricsIn([...expressions, JSON.stringify(dashboard.templating)].join('\n')))
    assert.deepEqual([...shown].toSorted(), [...METRICS.keys()].toSorted())
  })

  it('uses expressions that Prometheus understands', { skip }, async () => {
    const known = expressions.map((expr) => expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', '.+'))
    const text = JSON.stringify({ groups: [{ name: 'dashboard', rules: known.map((expr, at) => ({ record: `panel_${at}`, expr })) }] })
    const done = await promtool(['check', 'rules', 'alerts.yml'], { 'alerts.yml': () => text })
    assert.equal(done.code, 0, done.stdout + done.stderr)
  })
})
