import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JOBS } from '../../src/catalogue.ts'
import type { PastRun } from '../../src/runs/past-runs.ts'
import { NOTHING_DONE, type RunResult } from '../../src/runs/result.ts'
import type { Finding } from '../../src/status/finding.ts'
import { findingsOf } from '../../src/status/findings.ts'
import type { JobStatus } from '../../src/status/job-status.ts'
import { openObserved } from '../../src/status/observed.ts'
import type { Status } from '../../src/status/read-status.ts'
import { hostClock } from '../../src/time/clock.ts'
import { archiveStatus, jobStatus } from './made-up.ts'

const job = JOBS[0]!
const NOW = Date.parse('2026-03-02T00:00:00Z')

interface Changes {
  database?: Partial<Status['database']>
  migrations?: Partial<Status['migrations']>
  job?: Partial<JobStatus>
  archive?: Partial<Status['archive']>
  partitions?: Partial<Status['partitions']>
  observed?: Status['observed']
}

function found(changes: Changes): readonly Finding[] {
  return findingsOf({
    at: NOW,
    database: {
      engine: 'e',
      place: 'p',
      name: 'n',
      reachable: true,
      standby: false,
      space: undefined,
      problem: undefined,
      ...changes.database,
    },
    migrations: { enabled: true, applied: [], pending: [], problem: undefined, ...changes.migrations },
    jobs: [jobStatus(job, changes.job)],
    archive: archiveStatus(changes.archive ?? {}),
    partitions: { enabled: true, tables: [], problem: undefined, ...changes.partitions },
    observed: changes.observed ?? [],
  })
}

function told(changes: Changes): string {
  return found(changes)
    .map(({ sentence }) => sentence)
    .join('\n')
}

function judged(changes: Changes): readonly string[] {
  return found(changes).map(({ code, level, action = '' }) => `${level} ${code} ${action}`.trim())
}

function ended(outcome: string, error?: string): Partial<JobStatus> {
  const counts = { deleted: 0, batches: 0, undated: 0, unreadable: 0, locked: 0, held: 0, cutoff: undefined, retentionMs: undefined }
  const lastRun: PastRun = {
    id: 1,
    job: job.name,
    outcome,
    error,
    trigger: 't',
    worker: 'w',
    version: 'v',
    startedAt: 0,
    finishedAt: 1,
    archived: undefined,
    removed: undefined,
    ...counts,
  }
  return { lastRun }
}

test('there is no finding if all is as it should be, or as intended', () => {
  assert.equal(told({}), '')
  assert.equal(told({ job: ended('succeeded') }), '')
  assert.equal(told({ job: ended('interrupted', 'SIGTERM') }), '')
  assert.equal(told({ job: { ...ended('failed', 'x'), enabled: false, problems: ['p'], overdueSlot: 5 } }), '')
  assert.equal(told({ migrations: { enabled: false, pending: [{ version: 1, name: 'a' }], problem: 'of another shape' } }), '')
  assert.equal(told({ migrations: { enabled: false } }), '')
})

test('each problem is a finding with a sentence', () => {
  assert.equal(told({ job: ended('failed', 'why') }), 'the last run of purge-audit-logs failed: why')
  assert.equal(told({ job: ended('stopped') }), 'the last run of purge-audit-logs was stopped')
  assert.equal(told({ job: { overdueSlot: 0 } }), 'purge-audit-logs is late: no run since the slot of 1970-01-01 00:00 UTC')
  assert.equal(told({ job: { problems: ['a', 'b'] } }), 'purge-audit-logs: a\npurge-audit-logs: b')
  assert.equal(told({ migrations: { pending: [{ version: 12, name: 'a' }] } }), 'not applied yet: 012_a')
  assert.equal(told({ migrations: { pending: [{ version: 12, name: 'a' }], problem: 'of another shape' } }), 'of another shape')
  assert.equal(told({ database: { problem: 'the size is not known' } }), 'the size is not known')
})

test('an archive that is damaged, or would not be written, is a finding, unless it is disabled', () => {
  const summary = { head: null, rows: 0, bytes: 0, files: 0, pendingFiles: 0, newestAt: undefined, verification: { at: 0, sound: false } }
  const archive = { enabled: true, problems: ['the folder is full'], summary }
  assert.match(told({ archive }), /^the archive was found damaged .*\nthe folder is full$/)
  assert.equal(told({ archive: { ...archive, problems: [], summary: undefined } }), '')
  assert.equal(told({ archive: { ...archive, enabled: false } }), '')
})

test('a database that does not answer is the only finding', () => {
  assert.equal(told({ database: { reachable: false, problem: 'it is gone' }, job: ended('failed') }), 'it is gone')
  assert.equal(told({ database: { reachable: false } }), 'the database cannot be reached')
})

test('a failure that could not be recorded is a finding, even if the database does not answer, until another worker has run the job', () => {
  const observed = [{ job: job.name, outcome: 'failed', at: 60_000, error: 'why' }] as const
  const sentence = 'a run of purge-audit-logs failed at 1970-01-01 00:01 UTC and could not be recorded: why'
  assert.equal(told({ observed }), sentence)
  assert.equal(told({ observed, database: { reachable: false, problem: 'it is gone' } }), `it is gone\n${sentence}`)
  assert.equal(told({ observed, job: ended('succeeded') }), sentence)
  const later = { lastRun: { ...ended('succeeded').lastRun!, finishedAt: 60_001 } }
  assert.equal(told({ observed, job: later }), '')
  assert.equal(told({ observed, job: { enabled: false } }), '')
})

test('a process keeps the last unrecorded failure of a job until a run succeeds', () => {
  const clock = { ...hostClock(), now: () => 5 }
  const observed = openObserved(clock)
  const result: RunResult = {
    ...NOTHING_DONE,
    job: 'a',
    trigger: 'schedule',
    dryRun: false,
    outcome: 'failed',
    reason: undefined,
    error: new Error('x'),
    exitCode: 1,
    durationMs: 1,
  }
  observed.listener.jobFinished(result)
  observed.listener.jobFinished({ ...result, outcome: 'stopped', error: new Error('y') })
  observed.listener.jobFinished({ ...result, outcome: 'skipped' })
  assert.deepEqual(observed.failures(), [{ job: 'a', outcome: 'stopped', at: 5, error: 'y' }])
  observed.listener.jobFinished({ ...result, recorded: true })
  assert.deepEqual(observed.failures(), [])
  observed.listener.jobFinished(result)
  observed.listener.jobFinished({ ...result, outcome: 'succeeded' })
  assert.deepEqual(observed.failures(), [])
})

test('what does not work is a fault, what may not be intended is advice, and the sentence or the action says what to do', () => {
  assert.deepEqual(judged({ database: { reachable: false, problem: 'it is gone' } }), ['fault database-unreachable'])
  assert.deepEqual(judged({ database: { problem: 'no gateway ever wrote to it' } }), ['advice database-in-doubt'])
  assert.deepEqual(judged({ migrations: { pending: [{ version: 12, name: 'a' }] } }), [
    'fault migrations-pending start the worker, or run migrate',
  ])
  const elsewhere = { enabled: false, pending: [{ version: 12, name: 'a' }] }
  assert.deepEqual(judged({ migrations: elsewhere }), ['advice migrations-pending run migrate as a role that may create tables'])
  assert.equal(told({ migrations: elsewhere }), 'not applied yet: 012_a, and MIGRATIONS_ENABLED is false')
  assert.deepEqual(judged({ migrations: { problem: 'of another shape' } }), ['fault migrations-refused'])
  assert.deepEqual(judged({ job: { ...ended('failed'), overdueSlot: 5, problems: ['no index'], warnings: ['another zone'] } }), [
    'fault job-late see that a worker is running',
    'fault job-failed',
    'fault job-hindered',
    'advice job-in-doubt',
  ])
  assert.deepEqual(judged({ job: ended('stopped') }), ['fault job-stopped'])
  assert.deepEqual(judged({ observed: [{ job: job.name, outcome: 'stopped', at: 1, error: 'why' }] }), ['fault run-unrecorded'])
  const summary = { head: null, rows: 0, bytes: 0, files: 0, pendingFiles: 0, newestAt: undefined, verification: { at: 0, sound: false } }
  assert.deepEqual(judged({ archive: { enabled: true, summary, problems: ['the folder is full'], warnings: ['a row is too long'] } }), [
    'fault archive-damaged run archive verify',
    'fault archive-hindered',
    'advice archive-in-doubt',
  ])
})
