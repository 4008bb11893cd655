import { stemOf } from '../migrations/file-names.ts'
import { formatDay, type EpochMs } from '../time/clock.ts'
import { minuteText } from '../time/time-text.ts'
import type { ArchiveStatus } from './archive-status.ts'
import { advice, fault, type Finding } from './finding.ts'
import { dueForReview } from './holds-status.ts'
import type { JobStatus } from './job-status.ts'
import type { MigrationsStatus } from './migrations-status.ts'
import { ofPartitions } from './partition-findings.ts'
import type { Status } from './read-status.ts'

/** All findings, in the order in which they are shown; none: all is well. Of what is disabled only migrations are reported, which somebody else has to apply. */
export function findingsOf(
  status: Pick<Status, 'at' | 'database' | 'migrations' | 'jobs' | 'archive' | 'partitions' | 'observed'>,
): readonly Finding[] {
  const { at, database, migrations, jobs, archive, partitions } = status
  const { reachable, problem, space } = database
  // Anything else may be from a time when it answered.
  if (!reachable) return [fault('database-unreachable', problem ?? 'the database cannot be reached'), ...unrecorded(status)]
  return [
    ...(problem === undefined ? [] : [advice('database-in-doubt', problem)]),
    ...(space?.advice ?? []).map((sentence) => advice('space-not-reused', sentence)),
    ...(migrations === undefined ? [] : ofMigrations(migrations)),
    ...jobs.filter(({ enabled }) => enabled).flatMap(ofJob),
    ...jobs.flatMap((job) => ofHolds(job, at)),
    ...unrecorded(status),
    ...(archive.enabled ? ofArchive(archive) : []),
    ...ofPartitions(partitions, at),
  ]
}

function ofMigrations({ enabled, pending, problem }: MigrationsStatus): Finding[] {
  // Tables of another shape are used as they are where migrations are disabled.
  if (problem !== undefined) return enabled ? [fault('migrations-refused', problem)] : []
  if (pending.length === 0) return []
  const sentence = `not applied yet: ${pending.map(stemOf).join(', ')}`
  if (enabled) return [fault('migrations-pending', sentence, 'start the worker, or run migrate')]
  // Where one is needed, the job that needs it fails, is skipped or warns.
  return [
    {
      ...advice('migrations-pending', `${sentence}, and MIGRATIONS_ENABLED is false`),
      action: 'run migrate as a role that may create tables',
    },
  ]
}

function ofJob({ job: { name }, lastRun, overdueSlot, problems, warnings }: JobStatus): Finding[] {
  const { outcome, error } = lastRun ?? {}
  const why = error === undefined ? '' : `: ${error}`
  return [
    ...(overdueSlot === undefined
      ? []
      : [fault('job-late', `${name} is late: no run since the slot of ${minuteText(overdueSlot)} UTC`, 'see that a worker is running')]),
    ...(outcome === 'failed' ? [fault('job-failed', `the last run of ${name} failed${why}`)] : []),
    ...(outcome === 'stopped' ? [fault('job-stopped', `the last run of ${name} was stopped${why}`)] : []),
    ...problems.filter((problem) => problem !== error).map((problem) => fault('job-hindered', `${name}: ${problem}`)),
    ...warnings.map((warning) => advice('job-in-doubt', `${name}: ${warning}`)),
  ]
}

/** Also of a job that is disabled: a hold outlives that. A hold that is merely in force is no finding. */
function ofHolds({ job: { table }, holds = [] }: JobStatus, at: EpochMs): Finding[] {
  return dueForReview(holds, at).map(({ name, reviewAt = at }) =>
    advice(
      'hold-review-due',
      `the legal hold ${JSON.stringify(name)} on rows of ${table} was to be reviewed by ${formatDay(reviewAt)}`,
      'hold show says what it keeps; if it is no longer needed, run hold release',
    ),
  )
}

/** Leaves out failures of jobs that another worker has run since. */
function unrecorded({ observed, jobs }: Pick<Status, 'observed' | 'jobs'>): Finding[] {
  return observed.flatMap(({ job, outcome, at, error }) => {
    const { enabled, lastRun } = jobs.find((each) => each.job.name === job) ?? {}
    if (enabled !== true || (lastRun?.finishedAt ?? -Infinity) > at) return []
    const ended = outcome === 'failed' ? 'failed' : 'was stopped'
    return [fault('run-unrecorded', `a run of ${job} ${ended} at ${minuteText(at)} UTC and could not be recorded: ${error}`)]
  })
}

function ofArchive({ summary, problems, warnings }: ArchiveStatus): Finding[] {
  return [
    ...(summary?.verification?.sound === false
      ? [fault('archive-damaged', 'the archive was found damaged when archive verify last ran', 'run archive verify')]
      : []),
    ...problems.map((problem) => fault('archive-hindered', problem)),
    ...warnings.map((warning) => advice('archive-in-doubt', warning)),
  ]
}
