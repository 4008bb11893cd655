import type { ArchiveSummary } from '../archive/archive-summary.ts'
import { overdueOf } from '../purge/overdue.ts'
import type { Label } from '../database/database.ts'
import type { Space } from '../database/space-keeping.ts'
import { counted, partCountText, plannedText, plural, sizeText } from '../number-text.ts'
import { matchText } from '../policy/match.ts'
import type { Rule } from '../policy/rules.ts'
import type { PastRun } from '../runs/past-runs.ts'
import { formatDay, formatDuration, type EpochMs } from '../time/clock.ts'
import { durationText } from '../time/time-text.ts'
import type { Finding } from './finding.ts'
import type { HoldStatus } from './holds-status.ts'
import type { Backlog, JobPlan, JobStatus } from './job-status.ts'
import type { MigrationsStatus } from './migrations-status.ts'
import type { Status } from './read-status.ts'

/** The wording of a status. The terminal and the page lay it out. */

/** Whether all is well, in one line. */
export function verdictText({ database }: Pick<Status, 'database'>, findings: readonly Finding[]): string {
  if (!database.reachable) return 'The database cannot be reached'
  if (findings.length === 0) return 'All is well'
  return plural(findings.length, 'One thing needs a look', `${findings.length} things need a look`)
}

export function findingText({ sentence, action }: Finding): string {
  if (action === undefined) return sentence
  // A command is a sentence of its own.
  return action.startsWith('Run') ? `${sentence}. ${action}` : `${sentence}: ${action}`
}

/** Where the database is; of a file its path ends with the name. */
export function placeText({ place, name }: Label): string {
  return place.endsWith(name) ? place : `${place}/${name}`
}

export const ON_STANDBY = 'a standby: what is shown may be older than on the primary'

export function migrationsText({ applied, pending, enabled }: MigrationsStatus): string {
  return `${applied.length} applied, ${pending.length === 0 ? 'none' : pending.length} pending${enabled ? '' : '; disabled by migrations.enabled'}`
}

export function removesText({ job, retentionMs, graceMs }: JobPlan): string {
  if (retentionMs !== undefined) return `${job.table} older than ${formatDuration(retentionMs)}`
  return `${job.table} that have expired${graceMs === 0 ? '' : ` more than ${formatDuration(graceMs)} ago`}`
}

/** `status denied or policy_violation, for 365d (security)` */
export function ruleText({ name, match, retentionMs }: Rule): string {
  return `${matchText(match)}, ${keptText(retentionMs)} (${name})`
}

/** As it is set. */
export function periodText(retentionMs: number | undefined): string {
  return retentionMs === undefined ? 'forever' : formatDuration(retentionMs)
}

/** `100,000 rows by 2 legal holds`, those of the last run; `undefined`: there is no hold, and none kept anything, or that is not known. */
export function heldText({ holds, held }: Pick<JobStatus, 'holds' | 'held'>): string | undefined {
  if (holds === undefined) return undefined
  if (holds.length === 0)
    return held === 0 ? undefined : `${counted(held, 'row')} when the last run counted; no legal hold is in force any more`
  const by = counted(holds.length, 'legal hold')
  return holds.every(({ kept }) => kept === undefined) && held === 0
    ? `by ${by}; no run has counted the rows yet`
    : `${counted(held, 'row')} by ${by}`
}

/** `since 2026-01-01, review was due 2026-03-01, 12 rows` */
export function holdText({ placedAt, reviewAt, kept }: HoldStatus, at: EpochMs): string {
  const review = reviewAt === undefined ? [] : [`${reviewAt <= at ? 'review was due' : 'review'} ${formatDay(reviewAt)}`]
  return [`since ${formatDay(placedAt)}`, ...review, ...(kept === undefined ? [] : [counted(kept, 'row')])].join(', ')
}

/** `took 1 min 5 s`; of a run that has not ended there is nothing to say. */
export function tookText({ startedAt, finishedAt }: Pick<PastRun, 'startedAt' | 'finishedAt'>): string | undefined {
  return finishedAt === undefined ? undefined : `took ${spanText(startedAt, finishedAt)}`
}

/** `95 MB, 12 MB of it free`; `undefined`: nothing is known. */
export function spaceText(space: Space | undefined): string | undefined {
  if (space === undefined) return undefined
  const { bytes, freeBytes = 0, deadRows = 0 } = space
  const free = freeBytes > 0 ? [`${sizeText(freeBytes)} of it free`] : []
  const dead = deadRows > 0 ? [`about ${counted(deadRows, 'deleted row')} not yet vacuumed`] : []
  return [sizeText(bytes), ...free, ...dead].join(', ')
}

export function waitingText(backlog: Backlog): string {
  const { rows } = backlog
  if (rows === 0) return backlog.more ? withPlanned('not known: counting ended among rows that are kept', backlog) : 'nothing'
  const found = rows === undefined ? 'not counted: that took too long' : `${partCountText(backlog)} ${plural(rows, 'row')}`
  return withPlanned(found, backlog)
}

function withPlanned(found: string, backlog: Backlog): string {
  const planned = plannedText(backlog)
  return planned === undefined ? found : `${found} (${planned})`
}

/** `undefined`: there is no oldest one, or it is not known. */
export function overdueText(backlog: Backlog): string | undefined {
  const overdueMs = overdueOf(backlog, backlog.cutoff)
  return overdueMs === null ? undefined : `oldest ${durationText(overdueMs)} past its time`
}

/** Clocks differ, so a negative duration counts as zero. */
export function spanText(from: EpochMs, to: EpochMs): string {
  return durationText(Math.max(0, to - from))
}

export function holdsText({ rows, files, bytes }: ArchiveSummary): string {
  return `${counted(rows, 'row')} in ${counted(files, 'file')}, ${sizeText(bytes)}`
}

export function keptText(keptMs: number | undefined): string {
  return keptMs === undefined ? 'for ever' : `for ${formatDuration(keptMs)}`
}

export const NEVER_VERIFIED = 'never: run archive verify'

export function lagText(lagMs: number): string {
  return lagMs === 0 ? 'none' : `${durationText(lagMs)}, by the oldest row that is not in it yet`
}
