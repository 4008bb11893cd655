import assert from 'node:assert/strict'
import { test } from 'node:test'
import { retentionOf, JOBS } from '../../../src/catalogue.ts'
import { CONTENT_SECURITY_POLICY, pageOf } from '../../../src/http/page/page.ts'
import type { PastRun } from '../../../src/runs/past-runs.ts'
import { cameBackSentence } from '../../../src/runs/result.ts'
import type { ArchiveStatus } from '../../../src/status/archive-status.ts'
import { statusWithout, type Status } from '../../../src/status/read-status.ts'
import { DAY, hostClock, HOUR, MINUTE } from '../../../src/time/clock.ts'
import { archiveStatus } from '../../status/made-up.ts'

const NOW = 20_000 * DAY + 12 * HOUR
const LABEL = { engine: 'e', place: 'db.example:5432', name: 'mcp_gateway' }

const WITHOUT = statusWithout(LABEL, 'db.example:5432 does not answer', {
  version: '1.2.3',
  partitionsEnabled: true,
  scheduleTimeZone: 'UTC',
  clock: { ...hostClock(), now: () => NOW },
  jobs: JOBS.map((job) => ({ job, enabled: true, schedule: job.schedule, retentionMs: retentionOf(job)?.defaultMs, graceMs: 0 })),
  archive: { enabled: false, directory: '/srv/archive', uid: 0, keptMs: undefined },
})

/** Ninety days on which each job deleted as much as this, with five runs each. */
function status(deleted: number, run: Partial<PastRun> = {}): Status {
  const days = Array.from({ length: 90 }, (_, index) => (19_911 + index) * DAY)
  const jobs = WITHOUT.jobs.map((each, at) => {
    const recentRuns = Array.from({ length: 5 }, (_, ago) =>
      pastRun({ id: 5 - ago, job: each.job.name, startedAt: NOW - ago * HOUR - at, deleted, ...run }),
    )
    const backlog = { rows: deleted, more: false, planned: undefined, oldest: NOW - 100 * DAY, cutoff: NOW - 90 * DAY }
    return { ...each, lastRun: recentRuns[0], recentRuns, backlog }
  })
  return {
    ...WITHOUT,
    database: {
      ...LABEL,
      reachable: true,
      standby: false,
      space: { bytes: 3_000_000, freeBytes: 0, deadRows: undefined, advice: [] },
      problem: undefined,
    },
    migrations: { enabled: true, applied: [{ version: 1, name: 'initial_schema', appliedAt: NOW - DAY }], pending: [], problem: undefined },
    jobs,
    deletedByDay: { days, jobs: new Map(JOBS.map(({ name }) => [name, days.map(() => deleted)])), settledUntil: NOW },
  }
}

function pastRun(run: Partial<PastRun>): PastRun {
  return {
    id: 1,
    job: 'j',
    outcome: 'succeeded',
    trigger: 'schedule',
    worker: 'mcp-gateway-7d9f4c-x2k8p:1',
    version: '1.2.3',
    startedAt: NOW,
    finishedAt: NOW + MINUTE,
    cutoff: undefined,
    retentionMs: undefined,
    deleted: 0,
    batches: 1,
    undated: 0,
    unreadable: 0,
    locked: 0,
    held: 0,
    archived: undefined,
    removed: undefined,
    error: undefined,
    ...run,
  }
}

function textOf(html: string): string {
  return html.replaceAll(/<(style|title)[^]*?<\/\1>|<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ')
}

test('the page says in one line whether all is well', () => {
  assert.match(textOf(pageOf(status(5))), /All is well e db\.example:5432\/mcp_gateway , 3\.0 MB/)
  assert.match(textOf(pageOf(status(5, { outcome: 'failed' }))), /4 things need a look the last run of purge-audit-logs failed/)
  assert.match(textOf(pageOf(WITHOUT)), /The database cannot be reached db\.example:5432 does not answer/)
})

test('the page says that a server is a standby, and how many rows came back to a run', () => {
  const well = status(5)
  assert.doesNotMatch(textOf(pageOf(well)), /standby/)
  const there = { ...well, database: { ...well.database, standby: true } }
  assert.match(textOf(pageOf(there)), /3\.0 MB, a standby: what is shown may be older than on the primary/)
  assert.match(textOf(pageOf(status(5, { error: cameBackSentence(7) }))), /All is well .* 7 rows that this run had deleted came back/)
})

test('the page shows for each job its schedule in words, last run, next run and backlog', () => {
  const text = textOf(pageOf(status(1_234)))
  assert.match(
    text,
    /purge-audit-logs audit_logs older than 90d At 03:00 0 3 \* \* \* in UTC succeeded just now deleted 1,234, took 1 min in .* 1,234 rows oldest 10 d past its time/,
  )
  assert.match(text, /Recent runs .* 2024- 10-04 11:00/)
  assert.match(text, /001_initial_schema 2024-10-03 12:00/)
  assert.match(text, /2024-07-07 1,234 1,234 1,234 1,234/)
})

test('the page shows the rules of a job, its holds by their names, and the rows that they keep', () => {
  const well = status(5, { held: 100_000 })
  assert.doesNotMatch(textOf(pageOf(status(5))), /held|Legal holds/)
  const hold = { name: 'case <17>', placedAt: NOW - 30 * DAY, reviewAt: NOW - DAY, kept: 100_000 }
  const rules = [{ name: 'security', match: { status: ['denied', 'policy_*'] }, retentionMs: 365 * DAY }]
  const [logs, ...others] = well.jobs
  const html = pageOf({ ...well, jobs: [{ ...logs!, rules, holds: [hold], held: 100_000 }, ...others] })
  const text = textOf(html)
  assert.match(text, /audit_logs older than 90d longer: status denied or policy_\*, for 365d \(security\)/)
  assert.match(text, /5 rows oldest 10 d past its time held: 100,000 rows by 1 legal hold/)
  assert.match(
    text,
    /Legal holds Rows of audit_logs that stay until a hold is released case &lt;17&gt; since 2024-09-04 , review was due 2024-10-03 , 100,000 rows/,
  )
  assert.match(text, /the legal hold &quot;case &lt;17&gt;&quot; on rows of audit_logs was to be reviewed by 2024-10-03/)
  assert.match(text, /succeeded 5 100,000 held 1 min schedule/)
})

test('the page says what is unknown, and leaves out a part that does not exist', () => {
  const html = pageOf(WITHOUT)
  assert.match(textOf(html), /purge-sessions .* not known/)
  assert.doesNotMatch(html, /Recent runs|Rows deleted|Migrations|Archive|undefined|NaN|null/)
  assert.doesNotMatch(pageOf({ ...status(1), deletedByDay: { days: [], jobs: new Map(), settledUntil: NOW } }), /Rows deleted a day|NaN/)
})

test('the page shows an archive if there is one', () => {
  const archive = {
    enabled: true,
    directory: '/srv/archive',
    lagMs: 0,
  }
  const summary = {
    head: null,
    rows: 1_200,
    bytes: 34_000,
    files: 3,
    pendingFiles: 0,
    newestAt: Date.parse('2024-07-06T11:00:00.000Z'),
    verification: { at: Date.parse('2024-10-04T10:00:00.000Z'), sound: true },
  }
  const shown = (changes: Partial<ArchiveStatus>): string =>
    textOf(pageOf({ ...status(5), archive: archiveStatus({ ...archive, summary, ...changes }) }))
  assert.match(
    shown({}),
    /Archive .* \/srv\/archive holds 1,200 rows in 3 files, 34 kB kept for ever newest row 2024-07-06 11:00 lag none verified sound, 2 h ago/,
  )
  assert.match(shown({ summary: { ...summary, verification: { ...summary.verification, sound: false } } }), /✕ damaged/)
  assert.doesNotMatch(shown({ enabled: false, summary: { ...summary, rows: 0 } }), /Archive/)
})

/** Of the first job's bars, in pixels. */
function heights(rows: readonly number[]): readonly number[] {
  const of = status(1)
  const told = pageOf({ ...of, deletedByDay: { ...of.deletedByDay!, jobs: new Map([[JOBS[0]!.name, rows]]) } })
  const path = /<path d="(M[^"]*)"/.exec(told.slice(told.indexOf('class="chart"')))?.[1] ?? ''
  return [...path.matchAll(/v-([\d.]+)h/g)].map(([, height]) => Number(height))
}

test('a day far above the others does not make them vanish', () => {
  const days = Array.from({ length: 90 }, (_, index) => (index === 7 ? 1_000_000 : index < 80 ? 500 : 0))
  assert.equal(heights(days).length, 80 + 1)
  assert.equal(new Set(heights(days).filter((height) => height > 10 && height < 40)).size, 2)
  assert.deepEqual(
    heights(days.map((count) => Math.min(count, 500))),
    Array.from({ length: 80 }, () => 44),
  )
  assert.deepEqual(
    heights(days.map((count, index) => (index < 8 ? count : 0))).toSorted((a, b) => a - b),
    [...Array.from({ length: 7 }, () => 1.5), 44],
  )
})

test('the page is smaller than 110 KB, even if every day had millions and every run the longest error, which is shown whole', () => {
  const error = `"${'0123456789 '.repeat(180)}"`
  const failed = status(12_345_678, { outcome: 'failed', error })
  const full = pageOf({ ...failed, jobs: failed.jobs.map((job) => ({ ...job, problems: [error, error, error] })) })
  assert.ok(full.length > 30_000)
  assert.ok(Buffer.byteLength(full) < 110_000, `${Buffer.byteLength(full)} bytes`)
})

test('nothing on the page may be run, fetched, framed or sent', () => {
  assert.match(
    CONTENT_SECURITY_POLICY,
    /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
  )
  assert.doesNotMatch(pageOf(status(1)), /<script|javascript:|\bon\w+=|\bstyle=|https?:(?!\/\/www\.w3\.org\/2000\/svg)/)
})
