import assert from 'node:assert/strict'
import { access, readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { JOBS } from '../../src/catalogue.ts'
import { openMetrics } from '../../src/observe/metrics.ts'
import { METRICS } from '../../src/observe/metric-definitions.ts'
import { hostClock } from '../../src/time/clock.ts'
import { command } from '../support/command.ts'
import { sqliteDatabase } from '../support/engines.ts'
import { CHECKOUT, run } from './checkout.ts'
import { HTTP_PORT } from './offered.ts'
import { labelsOnceScraped } from './prometheus-server.ts'

interface Operator {
  readonly type: string
  readonly if: string
  readonly parse_from?: string
  readonly timestamp?: { readonly parse_from: string; readonly layout_type: string; readonly layout: string }
  readonly severity?: { readonly parse_from: string }
  readonly from?: string
  readonly to?: string
}

interface Pipeline {
  readonly receivers: readonly string[]
  readonly processors: readonly string[]
  readonly exporters: readonly string[]
}

interface Collector {
  readonly receivers: {
    readonly prometheus: {
      readonly config: {
        readonly scrape_configs: readonly (Readonly<Record<string, unknown>> & {
          readonly static_configs: readonly { readonly targets: readonly string[] }[]
        })[]
      }
    }
    readonly journald: { readonly units: readonly string[]; readonly operators: readonly Operator[] }
  }
  readonly processors: Readonly<Record<string, unknown>>
  readonly exporters: Readonly<Record<string, unknown>>
  readonly service: { readonly pipelines: Readonly<Record<string, Pipeline>> }
}

const text = await readFile(`${CHECKOUT}deploy/otel/collector.yaml`, 'utf8')
const collector: Collector = parse(text)
const [scrape] = collector.receivers.prometheus.config.scrape_configs
const { code } = await run('prometheus', ['--version'], { cwd: '/' })
const skip = code !== 0 && "prometheus is not on this machine: it comes with Debian's package prometheus"

describe('the example for the OpenTelemetry Collector', () => {
  it('uses in its pipelines everything that it defines, and nothing else', () => {
    const pipelines = Object.values(collector.service.pipelines)
    for (const part of ['receivers', 'processors', 'exporters'] as const) {
      const used = new Set(pipelines.flatMap((pipeline) => pipeline[part]))
      assert.deepEqual([...used].toSorted(), Object.keys(collector[part]).toSorted(), part)
    }
    assert.deepEqual(Object.keys(collector.service.pipelines), ['metrics', 'logs'])
  })

  it("scrapes the worker's port, and reads the log of the shipped units", async () => {
    assert.deepEqual(scrape!.static_configs, [{ targets: [`127.0.0.1:${HTTP_PORT}`] }])
    for (const unit of collector.receivers.journald.units) await access(`${CHECKOUT}deploy/systemd/${unit}`)
  })

  it('renames the label job, which the collector reserves, as a real Prometheus shows', { skip }, async () => {
    const names = JOBS.map(({ name }) => name)
    const metrics = openMetrics({ version: '1.2.3', jobs: names, archiving: [], clock: hostClock() })
    const found = await labelsOnceScraped(scrape!, await metrics.text(), METRICS.running.name)
    assert.deepEqual(found.map(({ maintenance_job: name }) => name ?? '').toSorted(), names.toSorted())
    for (const labels of found) assert.deepEqual([labels['job'], labels['exported_job']], ['mcp-gateway-maintenance', undefined])
  })

  it('takes time, level and message from fields that every line of the log has, in the form that it expects', async () => {
    const [reads, moves, ...more] = collector.receivers.journald.operators
    assert.deepEqual([reads!.type, reads!.parse_from, moves!.type, moves!.to, more], ['json_parser', 'body.MESSAGE', 'move', 'body', []])
    const fields = [reads!.timestamp!.parse_from, reads!.severity!.parse_from, moves!.from!].map((each) => each.replace('attributes.', ''))
    assert.deepEqual(fields, ['time', 'level', 'msg'])
    assert.deepEqual([reads!.timestamp!.layout_type, reads!.timestamp!.layout], ['gotime', '2006-01-02T15:04:05.000Z07:00'])
    assert.deepEqual([reads!.if, moves!.if], ['body.MESSAGE startsWith "{"', 'attributes.msg != nil'])
    await using database = await sqliteDatabase()
    const { stdout } = await command(['--run-now'], { env: { DATABASE_URL: database.url } })
    const lines = stdout.trim().split('\n')
    assert.ok(lines.length > 4)
    for (const line of lines) {
      assert.ok(line.startsWith('{'))
      const { time, level, msg } = JSON.parse(line) as Record<string, unknown>
      assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      // Words that the collector's severity parser knows without configuration.
      assert.match(String(level), /^(?:trace|debug|info|warn|error|fatal)$/)
      assert.ok(typeof msg === 'string' && msg !== '')
    }
  })
})
