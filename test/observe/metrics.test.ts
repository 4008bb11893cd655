import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JOBS } from '../../src/catalogue.ts'
import { METRICS } from '../../src/observe/metric-definitions.ts'
import { openMetrics, type Metrics } from '../../src/observe/metrics.ts'
import { NOTHING_DONE, OUTCOMES, type RunResult } from '../../src/runs/result.ts'
import type { ArchiveStatus } from '../../src/status/archive-status.ts'
import type { JobStatus } from '../../src/status/job-status.ts'
import type { Status } from '../../src/status/read-status.ts'
import { hostClock } from '../../src/time/clock.ts'
import { archiveStatus, jobStatus, ranOnce } from '../status/made-up.ts'
import { samplesOf } from '../support/exposition.ts'

const NOW = 1_700_000_000_000
const JOB = 'purge-sessions'

const ARCHIVED = 'purge-audit-logs'

function opened(clock = { ...hostClock(), now: () => NOW }, archiving: readonly string[] = []): Metrics {
  return openMetrics({ version: '1.2.3', jobs: [JOB, ...archiving], archiving, clock })
}

const RESULT: RunResult = {
  ...NOTHING_DONE,
  job: JOB,
  trigger: 'schedule',
  dryRun: false,
  outcome: 'succeeded',
  reason: undefined,
  recorded: true,
  cutoff: NOW,
  durationMs: 40,
}

async function samples(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  return samplesOf(await metrics.text())
}

/** `undefined`: the database does not answer. */
function status(
  found: { readonly rows: number; readonly oldest: number | null } | undefined,
  archive: Partial<ArchiveStatus> = {},
): Status {
  const job = JOBS.find(({ name }) => name === JOB)!
  return {
    at: NOW,
    version: '1.2.3',
    database: { engine: 'e', place: 'p', name: 'n', reachable: found !== undefined, standby: false, space: undefined, problem: undefined },
    migrations: undefined,
    scheduleTimeZone: 'UTC',
    jobs: [jobStatus(job, { backlog: found === undefined ? undefined : { ...found, more: false, planned: undefined, cutoff: NOW } })],
    deletedByDay: undefined,
    archive: archiveStatus({ enabled: true, ...archive }),
    partitions: { enabled: true, tables: [], problem: undefined },
    observed: [],
  }
}

test('counters exist from the start, at 0, and an unknown gauge does not', async () => {
  const found = await samples(opened())
  assert.equal(found.get('mcp_maintenance_rows_deleted_total{job="purge-sessions"}'), 0)
  assert.equal(found.get('mcp_maintenance_job_runs_total{job="purge-sessions",outcome="failed"}'), 0)
  assert.equal(found.get('mcp_maintenance_job_running{job="purge-sessions"}'), 0)
  assert.equal(found.get('mcp_maintenance_build_info{version="1.2.3"}'), 1)
  const names = [...found.keys()]
  for (const { name } of [METRICS.lastSuccess, METRICS.expiredRows, METRICS.oldestExpiredAge, METRICS.migrations])
    assert.deepEqual(
      names.filter((each) => each.startsWith(name)),
      [],
      name,
    )
})

test('a run is counted while it goes on, and at its end as its record says', async () => {
  const metrics = opened()
  const { listener } = metrics
  listener.jobStarted?.(JOB, { trigger: 'schedule', dryRun: false })
  listener.jobBatch?.(JOB, { affected: 500, total: 500, durationMs: 20 })
  listener.jobBatch?.(JOB, { affected: 200, total: 700, durationMs: 60 })
  listener.jobPaused?.(JOB, 1_500, 'hold')
  const during = await samples(metrics)
  assert.equal(during.get('mcp_maintenance_rows_deleted_total{job="purge-sessions"}'), 700)
  assert.equal(during.get('mcp_maintenance_job_running{job="purge-sessions"}'), 1)
  assert.equal(during.get('mcp_maintenance_paused_seconds_total{job="purge-sessions",reason="hold"}'), 1.5)

  // The answer to the COMMIT of a batch of 50 was lost.
  listener.jobFinished?.({ ...RESULT, deleted: 750, undated: 3, locked: 1, held: 12, holds: 2, tooLarge: 2 })
  const after = await samples(metrics)
  assert.equal(after.get('mcp_maintenance_rows_deleted_total{job="purge-sessions"}'), 750)
  assert.equal(after.get('mcp_maintenance_job_running{job="purge-sessions"}'), 0)
  assert.equal(after.get('mcp_maintenance_job_runs_total{job="purge-sessions",outcome="succeeded"}'), 1)
  assert.equal(after.get('mcp_maintenance_job_duration_seconds_bucket{le="0.1",job="purge-sessions"}'), 1)
  assert.equal(after.get('mcp_maintenance_batch_duration_seconds_count{job="purge-sessions"}'), 2)
  assert.equal(after.get('mcp_maintenance_batch_duration_seconds_sum{job="purge-sessions"}'), 0.08)
  assert.equal(after.get('mcp_maintenance_rows_kept_total{job="purge-sessions",reason="undated"}'), 3)
  assert.equal(after.get('mcp_maintenance_rows_kept_total{job="purge-sessions",reason="locked"}'), 1)
  assert.equal(after.get('mcp_maintenance_rows_kept_total{job="purge-sessions",reason="too_large"}'), 2)
  assert.equal(after.get('mcp_maintenance_rows_kept_total{job="purge-sessions",reason="held"}'), 12)
  assert.equal(after.get('mcp_maintenance_job_last_success_timestamp_seconds{job="purge-sessions"}'), NOW / 1_000)

  listener.jobStarted?.(JOB, { trigger: 'schedule', dryRun: false })
  listener.jobBatch?.(JOB, { affected: 10, total: 10, durationMs: 1 })
  listener.jobFinished?.({ ...RESULT, outcome: 'failed', deleted: 10 })
  const failed = await samples(metrics)
  assert.equal(failed.get('mcp_maintenance_rows_deleted_total{job="purge-sessions"}'), 760)
  assert.equal(failed.get('mcp_maintenance_job_runs_total{job="purge-sessions",outcome="failed"}'), 1)
})

test('a skipped run is counted without a duration', async () => {
  const metrics = opened()
  metrics.listener.jobFinished?.({ ...RESULT, outcome: 'skipped', reason: 'another is at it' })
  const found = await samples(metrics)
  assert.equal(found.get('mcp_maintenance_job_runs_total{job="purge-sessions",outcome="skipped"}'), 1)
  assert.equal(found.get('mcp_maintenance_job_duration_seconds_count{job="purge-sessions"}'), 0)
  assert.equal(found.has('mcp_maintenance_job_last_success_timestamp_seconds{job="purge-sessions"}'), false)
})

test('the backlog gets older while nothing happens, and its age is 0 s if there is none', async () => {
  let now = NOW
  const metrics = opened({ ...hostClock(), now: () => now })
  metrics.updateGauges(status({ rows: 12, oldest: NOW - 5_000 }))
  now += 60_000
  const found = await samples(metrics)
  assert.equal(found.get('mcp_maintenance_expired_rows{job="purge-sessions"}'), 12)
  assert.equal(found.get('mcp_maintenance_oldest_expired_age_seconds{job="purge-sessions"}'), 65)
  metrics.updateGauges(status(undefined))
  const unanswered = await samples(metrics)
  assert.equal(unanswered.get('mcp_maintenance_expired_rows{job="purge-sessions"}'), 12)
  metrics.updateGauges(status({ rows: 0, oldest: null }))
  const purged = await samples(metrics)
  assert.equal(purged.get('mcp_maintenance_expired_rows{job="purge-sessions"}'), 0)
  assert.equal(purged.get('mcp_maintenance_oldest_expired_age_seconds{job="purge-sessions"}'), 0)
})

/** What a scrape says of the last run: the outcome whose series is 1, of those that there are. */
async function lastOutcome(metrics: Metrics): Promise<{ readonly is: readonly string[]; readonly series: number }> {
  const found = [...(await samples(metrics))].filter(([name]) => name.startsWith(`${METRICS.lastOutcome.name}{`))
  return { is: found.filter(([, value]) => value === 1).map(([name]) => /outcome="(\w+)"/.exec(name)![1]!), series: found.length }
}

function recordedRun(outcome: string, finishedAt: number, more: Partial<JobStatus> = {}): Status {
  const known = status({ rows: 0, oldest: null })
  const [job] = known.jobs
  return { ...known, jobs: [{ ...job!, lastRun: ranOnce({ job: JOB, outcome, startedAt: finishedAt - 1_000, finishedAt }), ...more }] }
}

test('what the last run came to is as it is on record, whoever ran it', async () => {
  const metrics = opened()
  assert.deepEqual(await lastOutcome(metrics), { is: [], series: 0 })
  metrics.updateGauges(recordedRun('stopped', NOW - 60_000))
  assert.deepEqual(await lastOutcome(metrics), { is: ['stopped'], series: OUTCOMES.length })
  metrics.updateGauges(recordedRun('succeeded', NOW - 30_000))
  assert.deepEqual((await lastOutcome(metrics)).is, ['succeeded'])
  metrics.listener.jobFinished?.({ ...RESULT, outcome: 'failed' })
  assert.deepEqual((await lastOutcome(metrics)).is, ['failed'])
  metrics.listener.jobFinished?.({ ...RESULT, outcome: 'skipped', reason: 'another is at it' })
  assert.deepEqual((await lastOutcome(metrics)).is, ['failed'], 'the job is still where it was')
})

test('a failure that could not be recorded is not forgotten for an earlier run that is on record', async () => {
  let now = NOW
  const metrics = opened({ ...hostClock(), now: () => now })
  metrics.listener.jobFinished?.({ ...RESULT, outcome: 'failed', recorded: false })
  metrics.updateGauges(recordedRun('succeeded', NOW - 60_000))
  assert.deepEqual((await lastOutcome(metrics)).is, ['failed'])
  now += 900_000
  metrics.updateGauges(recordedRun('succeeded', now - 1_000))
  assert.deepEqual((await lastOutcome(metrics)).is, ['succeeded'])
})

test('when a job is due stays known while the database does not answer, and goes with the table or the job', async () => {
  const metrics = opened()
  const due = async (): Promise<number | undefined> => (await samples(metrics)).get(`${METRICS.due.name}{job="${JOB}"}`)
  assert.equal(await due(), undefined)
  metrics.updateGauges(recordedRun('succeeded', NOW, { lastSuccessAt: NOW, dueAt: NOW + 900_000 }))
  assert.equal(await due(), (NOW + 900_000) / 1_000)
  metrics.updateGauges(status(undefined))
  assert.equal(await due(), (NOW + 900_000) / 1_000)
  metrics.updateGauges(recordedRun('skipped', NOW, { lastSuccessAt: NOW }))
  assert.equal(await due(), undefined)
})

test('holds and the rows that they keep are gauges of their own, which stay as they were while the holds cannot be read', async () => {
  const metrics = opened()
  const hold = { name: 'h', placedAt: NOW, reviewAt: undefined, kept: 12 }
  const [logs, sessions] = ['purge-audit-logs', JOB].map((name) => JOBS.find((each) => each.name === name)!)
  const withHolds = (found: JobStatus['holds'], held: number): Status => ({
    ...status(undefined),
    jobs: [jobStatus(logs!, { holds: found, held }), jobStatus(sessions!)],
  })
  const gauges = async (): Promise<unknown> => {
    const found = await samples(metrics)
    return [METRICS.holds.name, `${METRICS.heldRows.name}{job="purge-audit-logs"}`, `${METRICS.heldRows.name}{job="${JOB}"}`].map((name) =>
      found.get(name),
    )
  }
  metrics.updateGauges(withHolds([hold, hold], 12))
  // None of the rows of sessions can be held.
  assert.deepEqual(await gauges(), [2, 12, undefined])
  metrics.updateGauges(withHolds(undefined, 0))
  assert.deepEqual(await gauges(), [2, 12, undefined])
  metrics.updateGauges(withHolds([], 0))
  assert.deepEqual(await gauges(), [0, 0, undefined])
})

test('where counting ended before a single row was found, the gauge does not say that nothing waits', async () => {
  const metrics = opened()
  const cut = status({ rows: 0, oldest: null })
  metrics.updateGauges({
    ...cut,
    jobs: [jobStatus(cut.jobs[0]!.job, { backlog: { rows: 0, more: true, planned: 40, oldest: null, cutoff: NOW } })],
  })
  assert.equal((await samples(metrics)).get(`${METRICS.expiredRows.name}{job="${JOB}"}`), 40)
  metrics.updateGauges({
    ...cut,
    jobs: [jobStatus(cut.jobs[0]!.job, { backlog: { rows: 0, more: true, planned: undefined, oldest: null, cutoff: NOW } })],
  })
  assert.equal((await samples(metrics)).get(`${METRICS.expiredRows.name}{job="${JOB}"}`), 1)
})

test('two open registries count separately', async () => {
  const [one, other] = [opened(), opened()]
  one.listener.jobFinished?.(RESULT)
  assert.equal((await samples(other)).get('mcp_maintenance_job_runs_total{job="purge-sessions",outcome="succeeded"}'), 0)
})

const LABEL = `{job="${ARCHIVED}"}`
const KNOWN = { removed: { rows: 0, bytes: 0, files: 0 }, lagMs: 0, verification: undefined }
const SUMMARY = { rows: 70, bytes: 3_000, files: 3, head: null, newestAt: NOW, pendingFiles: 0 }

test('archived rows are counted, and what is unknown of the archive has no value', async () => {
  const metrics = opened(undefined, [ARCHIVED])
  const before = await samples(metrics)
  assert.equal(before.get(`mcp_maintenance_archived_rows_total${LABEL}`), 0)
  assert.deepEqual(
    [...before.keys()].filter((name) => /^mcp_maintenance_archive_(?!removed_)/.test(name)),
    [],
  )
  metrics.listener.jobFinished?.({ ...RESULT, job: ARCHIVED, deleted: 50, archived: { rows: 50, bytes: 2_000, files: 2, ...KNOWN } })
  metrics.listener.jobFinished?.({
    ...RESULT,
    job: ARCHIVED,
    outcome: 'failed',
    archived: { rows: 20, bytes: 1_000, files: 1, ...KNOWN, removed: { rows: 9, bytes: 500, files: 3 } },
  })
  const after = await samples(metrics)
  for (const [name, value] of [
    ['rows', 70],
    ['bytes', 3_000],
    ['files', 3],
  ] as const)
    assert.equal(after.get(`mcp_maintenance_archived_${name}_total${LABEL}`), value)
  assert.equal(before.get(`mcp_maintenance_archive_removed_files_total${LABEL}`), 0)
  for (const [name, value] of [
    ['rows', 9],
    ['bytes', 500],
    ['files', 3],
  ] as const)
    assert.equal(after.get(`mcp_maintenance_archive_removed_${name}_total${LABEL}`), value)
})

test('the archive is reported as last known, and its lag grows while nothing happens', async () => {
  let now = NOW
  const metrics = opened({ ...hostClock(), now: () => now }, [ARCHIVED])
  metrics.updateGauges(status(undefined, { lagMs: 5_000, summary: { ...SUMMARY, verification: undefined } }))
  now += 60_000
  const lagging = await samples(metrics)
  assert.equal(lagging.get(`mcp_maintenance_archive_lag_seconds${LABEL}`), 65)
  assert.equal(lagging.get(`mcp_maintenance_archive_rows${LABEL}`), 70)
  assert.equal(lagging.has(`mcp_maintenance_archive_last_verification_successful${LABEL}`), false)

  metrics.updateGauges(status(undefined, { lagMs: 0, summary: { ...SUMMARY, verification: { at: NOW, sound: false } } }))
  metrics.updateGauges(status(undefined))
  const damaged = await samples(metrics)
  assert.equal(damaged.get(`mcp_maintenance_archive_lag_seconds${LABEL}`), 0)
  assert.equal(damaged.get(`mcp_maintenance_archive_last_verification_successful${LABEL}`), 0)
  assert.equal(damaged.get(`mcp_maintenance_archive_last_verification_timestamp_seconds${LABEL}`), NOW / 1_000)
  metrics.updateGauges(status(undefined, { summary: { ...SUMMARY, verification: { at: NOW + 1_000, sound: true } } }))
  assert.equal((await samples(metrics)).get(`mcp_maintenance_archive_last_verification_successful${LABEL}`), 1)
})

test('where nothing is archived the archive has no metrics', async () => {
  const metrics = opened()
  metrics.updateGauges(status(undefined, { enabled: false, lagMs: 0, summary: { ...SUMMARY, verification: { at: NOW, sound: true } } }))
  assert.deepEqual(
    [...(await samples(metrics)).keys()].filter((name) => name.startsWith('mcp_maintenance_archive')),
    [],
  )
})
