import { overdueOf } from '../purge/overdue.ts'
import type { Growth } from '../archive/step.ts'
import { matchText } from '../policy/match.ts'
import type { PastRun } from '../runs/past-runs.ts'
import { formatDay, formatDuration, formatTime, type EpochMs } from '../time/clock.ts'
import type { ArchiveStatus } from './archive-status.ts'
import type { DeletedByDay } from './deleted-by-day.ts'
import { findingsOf } from './findings.ts'
import type { HoldStatus } from './holds-status.ts'
import type { JobStatus } from './job-status.ts'
import { daysAhead } from './partition-sentences.ts'
import type { PartitionsStatus, TablePartitions } from './partitions-status.ts'
import type { Status } from './read-status.ts'
import { periodText } from './sentences.ts'

/** A status as `docs/status.schema.json` describes it: names and meanings stay, more may be added. Times are ISO 8601 in UTC; null: not known, or none. */
export function statusDocument(status: Status) {
  const { at, version, database, migrations, scheduleTimeZone, jobs, deletedByDay, archive, partitions } = status
  const { engine, place, name, reachable, standby, space, problem } = database
  const findings = findingsOf(status)
  return {
    at: formatTime(at),
    version,
    attention: findings.map(({ sentence }) => sentence),
    findings: findings.map(({ code, level, sentence, action }) => ({ code, level, sentence, action: orNull(action) })),
    database: {
      engine,
      place,
      name,
      reachable,
      standby: reachable ? standby : null,
      sizeBytes: orNull(space?.bytes),
      freeBytes: orNull(space?.freeBytes),
      deadRows: orNull(space?.deadRows),
      problem: orNull(problem),
    },
    migrations:
      migrations === undefined
        ? null
        : {
            enabled: migrations.enabled,
            applied: migrations.applied.map((each) => ({ version: each.version, name: each.name, appliedAt: formatTime(each.appliedAt) })),
            pending: migrations.pending.map((each) => ({ version: each.version, name: each.name })),
            problem: orNull(migrations.problem),
          },
    scheduleTimeZone,
    jobs: jobs.map((job) => jobDocument(job, at)),
    deletedByDay: deletedByDay === undefined ? null : deletedByDayDocument(deletedByDay),
    archive: archiveDocument(archive),
    partitions: partitionsDocument(partitions, at),
  }
}

function jobDocument(status: JobStatus, at: EpochMs) {
  const {
    job,
    enabled,
    schedule,
    scheduleInWords,
    retentionMs,
    graceMs,
    lastRun,
    running,
    backlog,
    holds,
    held,
    problems,
    warnings,
    recentRuns,
  } = status
  const { rules = [] } = status
  return {
    job: job.name,
    table: job.table,
    enabled,
    schedule,
    scheduleInWords,
    retention: retentionMs === undefined ? null : formatDuration(retentionMs),
    rules: rules.map((rule) => ({ name: rule.name, match: matchText(rule.match), retention: periodText(rule.retentionMs) })),
    holds: holds === undefined ? null : holds.map((hold) => holdDocument(hold, at)),
    held,
    grace: retentionMs === undefined ? formatDuration(graceMs) : null,
    nextRunAt: timeOrNull(status.nextRunAt),
    late: status.overdueSlot !== undefined,
    overdueSlot: timeOrNull(status.overdueSlot),
    running: running === undefined ? null : { worker: running.worker, since: timeOrNull(running.since) },
    lastRun: lastRun === undefined ? null : runDocument(lastRun),
    lastSuccessAt: timeOrNull(status.lastSuccessAt),
    backlog:
      backlog === undefined
        ? null
        : {
            rows: backlog.rows ?? null,
            exact: !backlog.more,
            planned: backlog.planned ?? null,
            cutoff: formatTime(backlog.cutoff),
            oldestAt: backlog.oldest === null ? null : formatTime(backlog.oldest),
            oldestAgeMs: backlog.oldest === null ? null : at - backlog.oldest,
            overdueMs: overdueOf(backlog, backlog.cutoff),
          },
    problems: [...problems, ...warnings],
    recentRuns: recentRuns.map(runDocument),
  }
}

/** What it keeps is for `hold show`: a status may be read by anybody who reaches the port. */
function holdDocument({ name, placedAt, reviewAt, kept }: HoldStatus, at: EpochMs) {
  return {
    name,
    placedAt: formatTime(placedAt),
    reviewAt: timeOrNull(reviewAt),
    reviewDue: reviewAt !== undefined && reviewAt <= at,
    rows: orNull(kept),
  }
}

function deletedByDayDocument({ days, jobs }: DeletedByDay) {
  return {
    days: days.map(formatDay),
    jobs: [...jobs].map(([job, rows]) => ({ job, rows })),
  }
}

function archiveDocument({ enabled, directory, keptMs, summary, lagMs, expiredBefore, problems, warnings }: ArchiveStatus) {
  return {
    enabled,
    directory,
    retention: keptMs === undefined ? null : formatDuration(keptMs),
    head: summary?.head ?? null,
    rows: orNull(summary?.rows),
    bytes: orNull(summary?.bytes),
    files: orNull(summary?.files),
    filesInHand: orNull(summary?.pendingFiles),
    newestAt: timeOrNull(summary?.newestAt),
    expiredBefore: orNull(expiredBefore),
    lagMs: orNull(lagMs),
    verification:
      summary?.verification === undefined ? null : { at: formatTime(summary.verification.at), sound: summary.verification.sound },
    problems: [...problems, ...warnings],
  }
}

function partitionsDocument({ enabled, tables, problem }: PartitionsStatus, at: EpochMs) {
  return { enabled, tables: tables.map((each) => tableDocument(each, at)), problem: orNull(problem) }
}

function tableDocument({ table, job, state, problem }: TablePartitions, at: EpochMs) {
  const converted = state?.kind === 'converted' ? state : undefined
  return {
    table,
    job,
    state: state?.kind ?? null,
    since: state !== undefined && 'since' in state ? formatTime(state.since) : null,
    refusesFrom: state?.kind === 'converting' ? timeOrNull(state.refusesFrom) : null,
    coveredUntil: timeOrNull(converted?.coveredUntil),
    daysAhead: converted === undefined ? null : daysAhead(converted, at),
    partitions: orNull(converted?.partitions),
    defaultRows: orNull(converted?.unplaced.rows),
    defaultRowsExact: converted === undefined ? null : !converted.unplaced.more,
    detached: (converted?.detached ?? []).map(({ name, since }) => ({ name, since: formatTime(since) })),
    first: converted?.first === undefined ? null : { name: converted.first.name, until: formatTime(converted.first.until) },
    problems: [
      ...(problem === undefined ? [] : [problem]),
      ...(state?.kind === 'foreign' ? [state.reason] : []),
      ...(converted?.problems ?? []),
    ],
    notes: converted?.notes ?? [],
  }
}

/** Past runs as `docs/history.schema.json` describes them, oldest first. */
export function historyDocument(runs: readonly PastRun[], since: EpochMs) {
  return { since: formatTime(since), runs: runs.map(runDocument) }
}

/** A run as both schemas describe it. */
function runDocument(run: PastRun) {
  const { id, job, outcome, trigger, worker, version, startedAt, finishedAt, deleted, batches, undated, unreadable, locked, held } = run
  return {
    id,
    job,
    outcome: orNull(outcome),
    trigger,
    worker,
    version,
    startedAt: formatTime(startedAt),
    finishedAt: timeOrNull(finishedAt),
    durationMs: finishedAt === undefined ? null : finishedAt - startedAt,
    cutoff: timeOrNull(run.cutoff),
    retention: run.retentionMs === undefined ? null : formatDuration(run.retentionMs),
    deleted,
    batches,
    undated,
    unreadable,
    locked,
    held,
    archived: growthOrNull(run.archived),
    removedFromArchive: growthOrNull(run.removed),
    error: orNull(run.error),
  }
}

/** Its counts alone, in this order. */
function growthOrNull(growth: Growth | undefined) {
  return growth === undefined ? null : { rows: growth.rows, bytes: growth.bytes, files: growth.files }
}

function timeOrNull(time: EpochMs | undefined): string | null {
  return time === undefined ? null : formatTime(time)
}

function orNull<T>(value: T | undefined): T | null {
  return value ?? null
}
