import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, mock } from 'node:test'
import { parse } from 'yaml'
import { JOBS, retentionOf } from '../../src/catalogue.ts'
import { METRICS } from '../../src/observe/metric-definitions.ts'
import { openMetrics, type Metrics } from '../../src/observe/metrics.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { overdueSlot } from '../../src/schedule/slots.ts'
import { readStatus, type StatusContext } from '../../src/status/read-status.ts'
import { DAY, HOUR, hostClock, MINUTE, type EpochMs } from '../../src/time/clock.ts'
import { fakeTimeLibrary } from '../faults/fake-time.ts'
import { placedHold } from '../runs/keeping.ts'
import { migrated, run as runOne, type Fixture } from '../runs/support.ts'
import { command, type Ended } from '../support/command.ts'
import { sqliteDatabase, ENGINES, type TestDatabase } from '../support/engines.ts'
import { samplesOf } from '../support/exposition.ts'
import { CHECKOUT, filesBelow, run } from './checkout.ts'
import { templateOf, workerOf, type CronJobSpec } from './kubernetes.ts'
import { kustomize } from './kustomize.ts'
import { complaints, hourly, STEP_MS, type Expected, type Samples, type Target } from './simulated-days.ts'

const { code } = await run('promtool', ['--version'], { cwd: '/' })
const skip = code !== 0 && "promtool is not on this machine: it comes with Debian's package prometheus"
const library = fakeTimeLibrary()
const skipReal = skip !== false ? skip : library === undefined && 'libfaketime is not here: apt-get install faketime'

/** A Monday. */
const START = Date.parse('2026-03-02T00:00:00Z')
const at = (days: number, time: string): EpochMs => START + days * DAY + Date.parse(`1970-01-01T${time}:00Z`)
const NAMES = JOBS.map(({ name }) => name)
const [LOGS = ''] = NAMES

interface ScrapeConfig {
  readonly job_name: string
  readonly honor_labels?: boolean
}

async function scrapeOf(file: string): Promise<{ readonly job: string; readonly honorLabels: boolean }> {
  const { scrape_configs: all } = parse(await readFile(`${CHECKOUT}deploy/prometheus/${file}`, 'utf8')) as {
    scrape_configs: ScrapeConfig[]
  }
  return { job: all[0]!.job_name, honorLabels: all[0]!.honor_labels === true }
}

/** Creates triggers that refuse every DELETE. */
async function refuseDeletes(database: TestDatabase): Promise<void> {
  for (const { table } of JOBS)
    await database.sql(`CREATE TRIGGER refuse_${table} BEFORE DELETE ON ${table} BEGIN SELECT RAISE(ABORT, 'not now'); END`)
}

async function allowDeletes(database: TestDatabase): Promise<void> {
  for (const { table } of JOBS) await database.sql(`DROP TRIGGER refuse_${table}`)
}

/** `2026-03-02 03:01:00`, as the gateway stores it and faketime accepts it. */
function text(time: EpochMs): string {
  return new Date(time).toISOString().replace('T', ' ').slice(0, 19)
}

/** Inserts for each job a row that has just expired, and two audit logs that have not: a fresh one, and one that only a shorter retention would delete. */
async function rowsAt(database: TestDatabase, now: EpochMs, mark: string): Promise<void> {
  const gone = text(now - 5 * MINUTE)
  const logged = `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'invoke', 'success', $1)`
  for (const time of [now - 90 * DAY - 5 * MINUTE, now - 10 * DAY, now - MINUTE]) await database.sql(logged, [text(time)])
  await database.sql(`INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ($1, 'u', $2)`, [mark, gone])
  await database.sql(
    `INSERT INTO policy_decisions (user_identifier, resource, action, decision, expires_at) VALUES ('u', $1, 'a', 'allow', $2)`,
    [mark, gone],
  )
  await database.sql(`INSERT INTO rate_limits (subject, resource, window_start, window_seconds, expires_at) VALUES ('u', $1, $2, 60, $2)`, [
    mark,
    gone,
  ])
}

/** A worker in this process, by the simulated clock: jobs run at their slots, and it is scraped. */
interface Worker {
  alive: boolean
  readonly metrics: Metrics
  readonly scrapes: Samples[]
}

interface Day {
  readonly workers: readonly Worker[]
  readonly outside: TestDatabase
  /** Whether jobs run at their slots. */
  runs: boolean
  retentionMs: number | undefined
}

/** Simulates a span of time with the default schedules; the first worker that is alive runs the jobs. */
async function simulatedDay(
  workers: number,
  until: EpochMs,
  events: Readonly<Record<string, (day: Day) => Promise<void> | void>>,
  prepare: (outside: TestDatabase) => Promise<void> = () => Promise.resolve(),
): Promise<Day> {
  mock.timers.enable({ apis: ['Date'], now: START })
  try {
    await using fixture = await migrated(ENGINES[0]!)
    await prepare(fixture.outside)
    const day: Day = {
      workers: Array.from({ length: workers }, () => ({
        alive: true,
        metrics: openMetrics({ version: '1.2.3', jobs: NAMES, archiving: [LOGS], clock: hostClock() }),
        scrapes: [],
      })),
      outside: fixture.outside,
      runs: true,
      retentionMs: retentionOf(JOBS[0]!)?.defaultMs,
    }
    const context = await contextOf()
    // Every job has run once before the first step, as if the worker had just started.
    await runJobs(day, fixture, () => true)
    const pending = new Map(Object.entries(events).map(([time, event]) => [Date.parse(`${time}:00Z`), event]))
    for (let now = START; now <= until; now += STEP_MS) {
      mock.timers.setTime(now)
      await pending.get(now)?.(day)
      pending.delete(now)
      if (day.runs) await runJobs(day, fixture, (schedule) => overdueSlot(schedule, 'UTC', now - STEP_MS, now) !== undefined)
      const status = await readStatus(fixture.database, context)
      for (const { alive, metrics, scrapes } of day.workers) {
        if (alive) metrics.updateGauges(status)
        scrapes.push(alive ? samplesOf(await metrics.text()) : undefined)
      }
    }
    assert.deepEqual([...pending.keys()], [], 'everything has happened')
    return day
  } finally {
    mock.timers.reset()
  }
}

async function contextOf(): Promise<StatusContext> {
  return {
    version: '1.2.3',
    migrationsEnabled: true,
    files: await readMigrationFiles(CHECKOUT),
    jobs: JOBS.map((job) => ({ job, enabled: true, schedule: job.schedule, retentionMs: retentionOf(job)?.defaultMs, graceMs: 0 })),
    archive: { enabled: false, directory: '/nowhere', uid: undefined, keptMs: undefined },
    partitionsEnabled: true,
    scheduleTimeZone: 'UTC',
    clock: hostClock(),
  }
}

async function runJobs(day: Day, { database }: Fixture, isDue: (schedule: string) => boolean): Promise<void> {
  const worker = day.workers.find(({ alive }) => alive)
  if (worker === undefined) return
  const due = JOBS.filter(({ schedule }) => isDue(schedule))
  // Only every hour, because writing rows takes time.
  if (due.length > 0 && Date.now() % HOUR === 0) await rowsAt(day.outside, Date.now(), String(Date.now()))
  for (const job of due) {
    const retentionMs = job.name === LOGS ? day.retentionMs : undefined
    worker.metrics.listener.jobFinished?.(await runOne(database, { job, trigger: 'schedule', retentionMs }))
  }
}

async function assertAlerts(rules: string, targets: readonly Target[], expected: readonly Expected[]): Promise<void> {
  await using folder = await sqliteDatabase()
  assert.equal(await complaints(folder.folder, rules, START, targets, expected), '')
}

function targetsOf(day: Day, labels: Readonly<Record<string, string>>, honorLabels: boolean): readonly Target[] {
  return day.workers.map(({ scrapes }, each) => ({ labels: { ...labels, instance: `worker-${each}:9465` }, honorLabels, scrapes }))
}

describe('the shipped alerts, over a day of a worker', { skip }, async () => {
  const { job, honorLabels } = await scrapeOf('prometheus.yml')
  const objects = await kustomize(`${CHECKOUT}deploy/kubernetes/components/monitoring`)
  const { podMetricsEndpoints } = objects.find(({ kind }) => kind === 'PodMonitor')!['spec'] as {
    podMetricsEndpoints: { honorLabels: boolean }[]
  }
  const operator = {
    job: 'mcp-gateway/mcp-gateway-maintenance',
    namespace: 'mcp-gateway',
    endpoint: 'maintenance',
    container: 'maintenance',
  }
  const kept = podMetricsEndpoints[0]!.honorLabels
  const options = { timeout: 600_000 }

  it(
    'do not fire on a good day, for a worker that prometheus.yml scrapes and for pods that the PodMonitor finds, one of which ends at noon',
    options,
    async () => {
      const day = await simulatedDay(2, at(1, '04:00'), { '2026-03-02T12:00': ({ workers }) => void (workers[0]!.alive = false) })
      const expected = hourly(START, at(1, '04:00'), [])
      await assertAlerts('alerts.yml', targetsOf(day, { job }, honorLabels).slice(1), expected)
      await assertAlerts('alerts.yml', targetsOf(day, operator, kept), expected)
    },
  )

  it('come and go on a bad day, for a worker that prometheus.yml scrapes and for a pod that the PodMonitor finds', options, async () => {
    const bad = await simulatedDay(1, at(1, '05:30'), {
      '2026-03-02T02:40': ({ outside }) => refuseDeletes(outside),
      '2026-03-02T03:25': ({ outside }) => allowDeletes(outside),
      '2026-03-02T10:05': (day) => void (day.runs = false),
      '2026-03-02T14:00': (day) => void (day.runs = true),
      '2026-03-03T02:00': (day) => void (day.retentionMs = 2 * DAY),
      '2026-03-03T05:00': ({ workers }) => void (workers[0]!.alive = false),
    })
    const failing = `MaintenanceJobFailing ${LOGS}`
    const expected: readonly Expected[] = [
      { at: at(0, '02:30'), firing: [] },
      { at: at(0, '03:20'), firing: NAMES.map((name) => `MaintenanceJobFailing ${name}`) },
      // The failure of a nightly job still fires after an hour, and the job is late after two.
      { at: at(0, '05:00'), firing: [failing] },
      { at: at(0, '09:00'), firing: [failing, `MaintenanceJobLate ${LOGS}`] },
      { at: at(0, '12:40'), firing: [failing, ...NAMES.map((name) => `MaintenanceJobLate ${name}`)] },
      { at: at(0, '14:20'), firing: [failing, `MaintenanceJobLate ${LOGS}`] },
      // A retention of two days instead of ninety.
      { at: at(1, '03:30'), firing: [`MaintenanceSafetyStop ${LOGS}`] },
      { at: at(1, '05:30'), firing: ['MaintenanceAbsent'] },
    ]
    await assertAlerts('alerts.yml', targetsOf(bad, { job }, honorLabels), expected)
    await assertAlerts('alerts.yml', targetsOf(bad, operator, kept), expected)
  })
})

const HELD = 100_000

/** Rows of a hold, as old as can be and all expired. */
async function heldRows(outside: TestDatabase): Promise<void> {
  await logsAt(outside, 'alice', HELD, START - 400 * DAY)
  await placedHold(outside, 'case-17', { user: ['alice'] }, { placedAt: START - DAY })
}

async function logsAt(outside: TestDatabase, user: string, rows: number, from: EpochMs): Promise<void> {
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
     SELECT 't', $1, 'invoke', 'success', datetime($2, n || ' seconds')
     FROM (WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < $3) SELECT n FROM s)`,
    [user, text(from), rows],
  )
}

describe('the shipped alerts, with 100,000 rows that a legal hold keeps', { skip }, async () => {
  const { job, honorLabels } = await scrapeOf('prometheus.yml')
  const options = { timeout: 900_000 }

  it('do not fire on good days', options, async () => {
    const day = await simulatedDay(1, at(2, '04:00'), {}, heldRows)
    const last = day.workers[0]!.scrapes.at(-1)!
    assert.deepEqual([last.get(METRICS.holds.name), last.get(`${METRICS.heldRows.name}{job="${LOGS}"}`)], [1, HELD])
    // One an hour, until the next night.
    assert.ok(last.get(`${METRICS.expiredRows.name}{job="${LOGS}"}`)! < 24)
    await assertAlerts('alerts.yml', targetsOf(day, { job }, honorLabels), hourly(START, at(2, '04:00'), []))
  })

  it('fire as ever when the purge does not run, and when what waits grows from day to day', options, async () => {
    const day = await simulatedDay(
      1,
      at(2, '14:00'),
      {
        '2026-03-02T10:05': (each) => void (each.runs = false),
        '2026-03-02T10:10': ({ outside }) => logsAt(outside, 'u', 12_000, at(0, '05:00') - 90 * DAY),
        '2026-03-03T10:10': ({ outside }) => logsAt(outside, 'u', 12_000, at(1, '05:00') - 90 * DAY),
      },
      heldRows,
    )
    const late = NAMES.map((name) => `MaintenanceJobLate ${name}`)
    await assertAlerts('alerts.yml', targetsOf(day, { job }, honorLabels), [
      { at: at(0, '10:00'), firing: [] },
      { at: at(0, '14:00'), firing: late.filter((each) => !each.endsWith(LOGS)) },
      { at: at(1, '09:00'), firing: late },
      { at: at(2, '14:00'), firing: [`MaintenanceBacklogGrowing ${LOGS}`, ...late] },
    ])
  })
})

/** The settings of the nightly unit, with the paths of the checkout. */
async function nightlySettings(): Promise<Record<string, string>> {
  const unit = await readFile(`${CHECKOUT}deploy/systemd/mcp-gateway-maintenance-once.service`, 'utf8')
  const [, config = ''] =
    /^Environment=MAINTENANCE_CONFIG=\/opt\/mcp-gateway-maintenance\/node_modules\/mcp-gateway-maintenance\/(\S+)$/m.exec(unit) ?? []
  assert.equal(config, 'config/nightly.yaml')
  return { MAINTENANCE_CONFIG: `${CHECKOUT}${config}` }
}

interface Night {
  readonly at: EpochMs
  readonly exit: number | null
  readonly textfile: Samples
}

/** Nights of the real command, started as the timer starts it, under a simulated clock. */
async function simulatedNights(): Promise<{ readonly nights: readonly Night[]; readonly answers: readonly Ended[] }> {
  await using database = await sqliteDatabase()
  const textfile = join(database.folder, 'maintenance.prom')
  const archive = join(database.folder, 'archive')
  const env = {
    ...(await nightlySettings()),
    DATABASE_URL: database.url,
    METRICS_TEXTFILE: textfile,
    ARCHIVE_ENABLED: 'true',
    ARCHIVE_DIRECTORY: archive,
  }
  const does = (time: EpochMs, words: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Ended> =>
    command(words, {
      env: {
        ...env,
        ...more,
        LD_PRELOAD: library ?? '',
        FAKETIME: `@${text(time)}`,
        TZ: 'UTC',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        DONT_FAKE_MONOTONIC: '1',
      },
    })
  const nights: Night[] = []
  const night = async (day: number, more: Readonly<Record<string, string>> = {}): Promise<void> => {
    const begun = at(day, '03:01')
    await rowsAt(database, begun, `night ${day}`)
    const { code: exit } = await does(begun, ['--run-now'], more)
    nights.push({ at: begun, exit, textfile: samplesOf(await readFile(textfile, 'utf8')) })
  }
  const answers: Ended[] = []
  await does(at(0, '02:00'), ['migrate'])
  await night(0)
  answers.push(await does(at(0, '14:00'), ['status', '--check']))
  // With a continuous worker's schedules: the reason for the nightly settings.
  answers.push(await does(at(0, '14:00'), ['status', '--check'], { MAINTENANCE_CONFIG: '' }))
  await night(1)
  const [oldest = ''] = (await filesBelow(archive)).filter((file) => file.endsWith('.ndjson.zst')).toSorted()
  await rm(join(archive, oldest))
  answers.push(await does(at(1, '12:00'), ['archive', 'verify']))
  await refuseDeletes(database)
  await night(2)
  await allowDeletes(database)
  await night(3, { AUDIT_LOGS_RETENTION: '2d' })
  answers.push(await does(at(4, '14:00'), ['status', '--check']))
  return { nights, answers }
}

describe('nightly runs that something else starts', { skip: skipReal }, async () => {
  const { nights, answers } = skipReal === false ? await simulatedNights() : { nights: [], answers: [] }
  const END = at(4, '12:00')
  const steps = Array.from({ length: (END - START) / STEP_MS + 1 }, (_, each) => START + each * STEP_MS)
  const lastAt = (now: EpochMs): Night | undefined => nights.findLast((night) => night.at <= now)

  it('end with the right exit codes, and status calls nothing late between them', () => {
    assert.deepEqual(
      nights.map(({ exit }) => exit),
      [0, 0, 1, 5],
    )
    assert.deepEqual(
      answers.map(({ code: exit }) => exit),
      [0, 1, 1, 1],
      answers.map(({ stdout }) => stdout).join('\n'),
    )
    assert.match(answers[1]!.stdout, /purge-sessions is late/)
    assert.doesNotMatch(answers[0]!.stdout, /late/)
    assert.match(answers[3]!.stdout, /purge-sessions is late/)
  })

  it('raise no alert on good days and every alert on bad ones, with the systemd timer and a textfile that node_exporter reads', async () => {
    const { job, honorLabels } = await scrapeOf('node-exporter.yml')
    const scrapes = steps.map((now) => lastAt(now)?.textfile)
    const targets: readonly Target[] = [{ labels: { job, instance: 'gateway:9100' }, honorLabels, scrapes }]
    const failing = NAMES.map((name) => `MaintenanceJobFailing ${name}`)
    const late = NAMES.map((name) => `MaintenanceJobLate ${name}`)
    const damaged = `MaintenanceArchiveDamaged ${LOGS}`
    const expected: readonly Expected[] = [
      ...hourly(at(0, '04:00'), at(2, '03:00'), []),
      { at: at(2, '03:30'), firing: [damaged, ...failing] },
      ...hourly(at(2, '06:00'), at(3, '03:00'), [damaged, ...failing, ...late]),
      // A run that was stopped is not late.
      ...hourly(at(3, '05:00'), at(4, '05:00'), [damaged, `MaintenanceSafetyStop ${LOGS}`]),
      // The night without a run: now every job is late, the stopped one too.
      { at: at(4, '05:30'), firing: [damaged, ...late, `MaintenanceSafetyStop ${LOGS}`] },
    ]
    await assertAlerts('alerts.yml', targets, expected)
    // Without honor_labels the job of a metric is lost, and no rule matches it.
    await using folder = await sqliteDatabase()
    const [target] = targets
    assert.match(await complaints(folder.folder, 'alerts.yml', START, [{ ...target!, honorLabels: false }], expected), /MaintenanceJobLate/)
  })

  it('raise no alert on good days and every alert on bad ones, with the CronJob as kube-state-metrics reports it', async () => {
    const [cronjob] = await kustomize(`${CHECKOUT}deploy/kubernetes/overlays/cronjob`)
    const { schedule, timeZone, jobTemplate } = cronjob!['spec'] as CronJobSpec
    const { args, env } = workerOf(cronjob!)
    // The CronJob's nights are those above: the same arguments, the same settings.
    assert.deepEqual([args, env!.find(({ name }) => name === 'MAINTENANCE_CONFIG')?.value], [['--run-now'], '/app/config/nightly.yaml'])
    assert.deepEqual([schedule, timeZone, templateOf(cronjob!)?.spec.restartPolicy], ['0 3 * * *', 'Etc/UTC', 'Never'])
    const { name } = cronjob!.metadata
    const of = (night: Night): string => `${name}-${night.at / MINUTE}`
    const kept = jobTemplate.spec.ttlSecondsAfterFinished * 1_000
    const scrapes = steps.map((now): Samples => {
      const begun = nights.filter((night) => night.at <= now)
      const good = begun.findLast(({ exit }) => exit === 0)
      return new Map([
        [`kube_cronjob_created{namespace="mcp",cronjob="${name}"}`, START / 1_000],
        ...(good === undefined
          ? []
          : [[`kube_cronjob_status_last_successful_time{namespace="mcp",cronjob="${name}"}`, good.at / 1_000] as const]),
        ...begun
          .filter((night) => night.at + kept > now && night.exit !== 0)
          .map((night) => [`kube_job_failed{namespace="mcp",job_name="${of(night)}",condition="true"}`, 1] as const),
      ])
    })
    const [, , failed, stopped] = nights
    await assertAlerts(
      'alerts-cronjob.yml',
      [{ labels: { job: 'kube-state-metrics' }, honorLabels: true, scrapes }],
      [
        ...hourly(START, at(2, '03:00'), []),
        { at: at(2, '04:00'), firing: [`MaintenanceNightlyFailed ${of(failed!)}`] },
        { at: at(2, '06:00'), firing: [`MaintenanceNightlyFailed ${of(failed!)}`, `MaintenanceNightlyLate ${name}`] },
        { at: at(3, '04:00'), firing: [`MaintenanceNightlyFailed ${of(stopped!)}`, `MaintenanceNightlyLate ${name}`] },
        { at: at(4, '06:00'), firing: [`MaintenanceNightlyLate ${name}`] },
      ],
    )
  })

  it('have the same time in the nightly settings, the timer and the CronJob', async () => {
    const { jobs, schedule } = parse(await readFile(`${CHECKOUT}config/nightly.yaml`, 'utf8')) as {
      jobs: Record<string, { schedule: string }>
      schedule: { timeZone: string }
    }
    assert.deepEqual(Object.fromEntries(JOBS.map(({ settings }) => [settings, { schedule: '0 3 * * *' }])), jobs)
    assert.equal(schedule.timeZone, 'UTC')
    const timer = await readFile(`${CHECKOUT}deploy/systemd/mcp-gateway-maintenance-once.timer`, 'utf8')
    assert.match(timer, /^OnCalendar=\*-\*-\* 03:00:00 UTC$/m)
    // The delay is less than the five minutes after which status calls a job late.
    assert.match(timer, /^RandomizedDelaySec=2min$/m)
  })

  it('write a textfile with every metric of the rules that needs no archive, pending migration or failure', () => {
    if (nights.length === 0) return
    const written = new Set([...nights[0]!.textfile!.keys()].map((series) => series.replace(/\{.*/, '')))
    for (const metric of [
      METRICS.due,
      METRICS.lastOutcome,
      METRICS.runs,
      METRICS.expiredRows,
      METRICS.migrations,
      METRICS.archiveFiles,
      METRICS.buildInfo,
    ])
      assert.ok(written.has(metric.name), metric.name)
  })
})
