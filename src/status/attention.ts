import { stemOf } from '../migrations/file-names.ts'
import { minuteText } from '../time/time-text.ts'
import type { ArchiveStatus } from './archive-status.ts'
import type { JobStatus } from './job-status.ts'
import type { MigrationsStatus } from './migrations-status.ts'
import { unrecorded } from './observed.ts'
import type { Status } from './read-status.ts'

/** What a person should look at, a sentence each; none: all is well. What is disabled is meant to be as it is. */
export function attentionOf({
  database,
  migrations,
  jobs,
  archive,
  observed,
}: Pick<Status, 'database' | 'migrations' | 'jobs' | 'archive' | 'observed'>): readonly string[] {
  const { reachable, problem } = database
  // What else is told may be of a time when it answered.
  if (!reachable) return [problem ?? 'the database cannot be reached', ...unrecorded(observed, jobs)]
  return [
    ...(problem === undefined ? [] : [problem]),
    ...(migrations?.enabled === true ? ofMigrations(migrations) : []),
    ...jobs.filter(({ enabled }) => enabled).flatMap(ofJob),
    ...unrecorded(observed, jobs),
    ...(archive.enabled ? ofArchive(archive) : []),
  ]
}

function ofMigrations({ pending, problem }: MigrationsStatus): string[] {
  if (problem !== undefined) return [problem]
  const names = pending.map(stemOf)
  return names.length === 0 ? [] : [`not applied yet: ${names.join(', ')}`]
}

function ofJob({ job, lastRun, overdueSlot, problems }: JobStatus): string[] {
  const { outcome, error } = lastRun ?? {}
  return [
    ...(overdueSlot === undefined ? [] : [`${job.name} is late: no run since the slot of ${minuteText(overdueSlot)} UTC`]),
    ...(outcome === 'failed' || outcome === 'stopped'
      ? [`the last run of ${job.name} ${outcome === 'failed' ? 'failed' : 'was stopped'}${error === undefined ? '' : `: ${error}`}`]
      : []),
    ...problems.map((problem) => `${job.name}: ${problem}`),
  ]
}

function ofArchive({ held, problems }: ArchiveStatus): readonly string[] {
  return held?.verification?.sound === false
    ? ['the archive was found damaged when all of it was last read: run archive verify', ...problems]
    : problems
}
