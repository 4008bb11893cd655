import type { Job } from '../../src/catalogue.ts'
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
    lastRun: undefined,
    lastSuccessAt: undefined,
    recentRuns: [],
    running: undefined,
    overdueSlot: undefined,
    backlog: undefined,
    problems: [],
    warnings: [],
    ...changes,
  }
}

/** Of an archive of which nothing is known. */
export function archiveStatus(changes: Partial<ArchiveStatus>): ArchiveStatus {
  return {
    enabled: false,
    directory: '/archive',
    uid: 0,
    keptMs: undefined,
    held: undefined,
    lagMs: undefined,
    expiredBefore: undefined,
    problems: [],
    warnings: [],
    ...changes,
  }
}
