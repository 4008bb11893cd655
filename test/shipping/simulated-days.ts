import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { HOUR, MINUTE, type EpochMs } from '../../src/time/clock.ts'
import { CHECKOUT, run } from './checkout.ts'

/** The result of a scrape, by series; `undefined`: there was no answer. */
export type Samples = ReadonlyMap<string, number> | undefined

/** A target of Prometheus, scraped every `STEP_MS`. */
export interface Target {
  readonly labels: Readonly<Record<string, string>>
  readonly honorLabels: boolean
  readonly scrapes: readonly Samples[]
}

export const STEP_MS = 5 * MINUTE

/** Alerts that fire, as `MaintenanceJobLate purge-sessions`, sorted. */
export interface Expected {
  readonly at: EpochMs
  readonly firing: readonly string[]
}

/** The labels that name what an alert is about. */
const SUBJECT_LABELS = ['job', 'job_name', 'cronjob'] as const

const FIRING = [
  ...SUBJECT_LABELS.map((label) => `max by (alertname, ${label}) (ALERTS{alertstate="firing", ${label}!=""})`),
  `max by (alertname) (ALERTS{alertstate="firing", ${SUBJECT_LABELS.map((label) => `${label}=""`).join(', ')}})`,
].join(' or ')

/**
 * Evaluates shipped rules on what targets reported from `start` on. promtool's clock begins at 0, so times in the metrics are moved back by `start`. Resolves
 * with promtool's complaints; '': at each time in `expected`, exactly those alerts fire.
 */
export async function complaints(
  folder: string,
  rules: string,
  start: EpochMs,
  targets: readonly Target[],
  expected: readonly Expected[],
): Promise<string> {
  const tests = {
    rule_files: [`${CHECKOUT}deploy/prometheus/${rules}`],
    evaluation_interval: '5m',
    tests: [
      {
        interval: '5m',
        input_series: targets.flatMap((target) => seriesOf(target, start)),
        promql_expr_test: expected.map(({ at, firing }) => ({
          expr: FIRING,
          eval_time: `${(at - start) / MINUTE}m`,
          exp_samples: firing.map((alert) => {
            const [name = '', what] = alert.split(' ')
            return { labels: `{alertname="${name}"${what === undefined ? '' : `, ${labelOf(name)}="${what}"`}}`, value: 1 }
          }),
        })),
      },
    ],
  }
  await writeFile(join(folder, 'days.test.yml'), stringify(tests))
  const { code, stdout, stderr } = await run('promtool', ['test', 'rules', 'days.test.yml'], { cwd: folder })
  return code === 0 ? '' : `${stdout}${stderr}`
}

function labelOf(alert: string): (typeof SUBJECT_LABELS)[number] {
  return alert === 'MaintenanceNightlyFailed' ? 'job_name' : alert === 'MaintenanceNightlyLate' ? 'cronjob' : 'job'
}

/** The series that Prometheus would store with the target's labels, one for each that was ever scraped. */
function seriesOf({ labels, honorLabels, scrapes }: Target, start: EpochMs): { series: string; values: string }[] {
  const names = new Set(scrapes.flatMap((each) => [...(each?.keys() ?? [])]))
  return [...names].map((name) => {
    const moved = /^\w+_(?:timestamp_seconds|successful_time|created)\{/.test(name) ? start / 1_000 : 0
    const values = scrapes.map((each) => {
      const value = each?.get(name)
      return value === undefined ? '_' : String(value - moved)
    })
    return { series: labelled(name, labels, honorLabels), values: shortened(values) }
  })
}

/** If the series has a label that the target also has, the series' own label is kept, or renamed. */
function labelled(series: string, ofTarget: Readonly<Record<string, string>>, honorLabels: boolean): string {
  const [, name = '', inside = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(series) ?? []
  const all = new Map(Object.entries(ofTarget))
  for (const [, label = '', value = ''] of inside.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
    if (!honorLabels && all.has(label)) all.set(`exported_${label}`, value)
    else all.set(label, value)
  return `${name}{${[...all].map(([label, value]) => `${label}="${value}"`).join(',')}}`
}

/** `1 1 1 2` in promtool's notation: `1x2 2`. */
function shortened(values: readonly string[]): string {
  const runs: [value: string, times: number][] = []
  for (const value of values) {
    const last = runs.at(-1)
    if (last?.[0] === value) last[1] += 1
    else runs.push([value, 1])
  }
  return runs.map(([value, times]) => (value === '_' ? `_x${times}` : times === 1 ? value : `${value}x${times - 1}`)).join(' ')
}

/** The same alerts at every full hour from `from` to `until`. */
export function hourly(from: EpochMs, until: EpochMs, firing: readonly string[]): readonly Expected[] {
  return Array.from({ length: Math.floor((until - from) / HOUR) + 1 }, (_, at) => ({ at: from + at * HOUR, firing }))
}
