import type { Job } from '../../src/catalogue.ts'
import type { Converted } from '../../src/database/partitioning.ts'
import type { PastRun } from '../../src/runs/past-runs.ts'
import type { ArchiveStatus } from '../../src/status/archive-status.ts'
import type { JobStatus } from '../../src/status/job-status.ts'

/** Of an enabled job of which nothing is known. */
export function jobStatus(job: Job, changes: Partial<JobStatus> = {}): JobStatus {
  return {
    job,
    enabled: true,
    schedule: job.schedule,
    scheduleInWords: '',
    nextRunAt: undefined,
    retentionMs: undefined,
    graceMs: 0,
    lastRun: undefined,
    lastSuccessAt: undefined,
    recentRuns: [],
    running: undefined,
    overdueSlot: undefined,
    holds: [],
    held: 0,
    backlog: undefined,
    dueAt: undefined,
    problems: [],
    warnings: [],
    ...changes,
  }
}

/** A run on record that did nothing. */
export function ranOnce(run: Pick<PastRun, 'job' | 'outcome' | 'startedAt' | 'finishedAt'>): PastRun {
  return {
    id: 1,
    trigger: 'schedule',
    worker: 'host-a:1',
    version: '1.2.3',
    cutoff: undefined,
    retentionMs: undefined,
    deleted: 0,
    batches: 0,
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

/** Of an archive of which nothing is known. */
export function archiveStatus(changes: Partial<ArchiveStatus>): ArchiveStatus {
  return {
    enabled: false,
    directory: '/archive',
    uid: 0,
    keptMs: undefined,
    summary: undefined,
    lagMs: undefined,
    expiredBefore: undefined,
    problems: [],
    warnings: [],
    ...changes,
  }
}

/** Partitions for 14 days from this time on, with nothing to look at. */
export function convertedTable(now: number, changes: Partial<Converted> = {}): Converted {
  return {
    kind: 'converted',
    since: now - 20 * 86_400_000,
    coveredUntil: now + 14 * 86_400_000,
    partitions: 33,
    unplaced: { rows: 0, more: false },
    detached: [],
    first: undefined,
    problems: [],
    notes: [],
    ...changes,
  }
}
