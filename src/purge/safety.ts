import { countText } from '../number-text.ts'
import { DAY, formatDuration, formatTime, HOUR, MINUTE, type EpochMs } from '../time/clock.ts'
import { durationText } from '../time/time-text.ts'

/** Clocks further apart than this: one of them is wrong, and nobody knows which. */
const CLOCKS_STOP_MS = HOUR
const CLOCKS_WARN_MS = 5 * MINUTE
/** A purge by a shorter retention than before may take this part of the table without asking. */
export const SMALL_PART = 1 / 10
/** A table of more rows than this is never emptied without asking. */
export const MOST_ROWS_EMPTIED = 1_000
/** It counts as emptied where of its newest rows, so many, fewer than a tenth stay: one that was written by a wrong clock proves nothing. */
export const NEWEST_ROWS = 100
export const LEAST_NEWEST_KEPT = NEWEST_ROWS * SMALL_PART
/** A row that is further ahead of the database's clock is of the future: it proves nothing either. Clocks may be this far apart. */
export const FUTURE_ROW_MS = CLOCKS_STOP_MS
/** Runs further apart than this without a sign of life between them: the clock jumped. */
export const JUMP_MS = 7 * DAY

/** What a person has looked at and wants done, by the option that says so: `--accept-…` of a run. */
export const ACCEPTABLE = {
  'shorter-retention': 'go on although the retention is shorter than before and much would go',
  'empty-table': 'go on although hardly a row would be left',
  clock: 'go on although the clock seems to have jumped and much would go',
  'shorter-archive-retention': 'remove files although the archive is kept for less than before and much would go',
} as const
export type Acceptance = keyof typeof ACCEPTABLE
export type Accepted = ReadonlySet<Acceptance>

export const NOTHING_ACCEPTED: Accepted = new Set()

export type ClockVerdict = { readonly kind: 'fine' } | { readonly kind: 'warning' | 'stop'; readonly message: string }

/** Rows are stamped by hosts and judged by the database: their clocks have to agree. */
export function judgeClocks(clockSkewMs: number): ClockVerdict {
  const apartMs = Math.abs(clockSkewMs)
  if (apartMs <= CLOCKS_WARN_MS) return { kind: 'fine' }
  const told = `the clock of this host is ${durationText(apartMs)} ${clockSkewMs > 0 ? 'ahead of' : 'behind'} the database's`
  if (apartMs <= CLOCKS_STOP_MS) return { kind: 'warning', message: `${told}; rows are purged by the database's clock` }
  return { kind: 'stop', message: `${told}: one of them is wrong, and with it what has expired. Nothing was deleted; correct the clock` }
}

export interface Shrinking {
  readonly job: string
  readonly table: string
  readonly retentionMs: number
  readonly lastAcceptedMs: number
  readonly rows: number
}

export function shrinkingMessage({ job, table, retentionMs, lastAcceptedMs, rows }: Shrinking): string {
  return (
    `the retention of ${job} is ${formatDuration(retentionMs)}, and the last run went by ${formatDuration(lastAcceptedMs)}: ${rowsLost(rows, table)} ` +
    `would go. Nothing was deleted. If that is meant, run once ` +
    `--run-now --job ${job} --accept-shorter-retention with the same settings, and the schedule goes by the new retention; if not, restore the old one`
  )
}

export function emptyingMessage(job: string, table: string): string {
  return (
    `more than ${countText(MOST_ROWS_EMPTIED)} rows of ${table} would go, and of the newest ${NEWEST_ROWS} whose time is not in the future fewer than ` +
    `${LEAST_NEWEST_KEPT} would stay: the clock is wrong, or next to nothing has been written for as long as the retention. Nothing was deleted. ` +
    `Look at the clock and at the newest rows; if they are right, run once --run-now --job ${job} --accept-empty-table`
  )
}

/** Two runs of a job, one after the other, by the times at which they began. */
export interface Gap {
  readonly from: EpochMs
  readonly to: EpochMs
}

/** A gap between two runs that only rows written in it can explain. */
export interface SuspectGap extends Gap {
  /** Whole days in UTC that lie in it, from the beginning of one to the end of another. */
  readonly daysFrom: EpochMs
  readonly daysTo: EpochMs
  /** On so many of them at least lie rows, or the clock jumped. */
  readonly leastDaysWithRows: number
}

/**
 * `undefined`: the gap is too short to be a jump. The day behind the run before and the day before this one are left out: there lie the last
 * rows that were written by the right clock, and the first by the wrong one.
 */
export function suspectGap({ from, to }: Gap): SuspectGap | undefined {
  if (!(to - from > JUMP_MS)) return undefined
  const daysFrom = Math.ceil((from + DAY) / DAY) * DAY
  const daysTo = Math.floor((to - DAY) / DAY) * DAY
  return { from, to, daysFrom, daysTo, leastDaysWithRows: Math.ceil(((daysTo - daysFrom) / DAY) * SMALL_PART) }
}

export interface Jump extends Gap {
  readonly job: string
  readonly table: string
  /** What makes much of it: `more than a tenth of the 1,200 rows of audit_logs`. */
  readonly losses: readonly string[]
}

export function jumpMessage({ from, to, job, table, losses }: Jump): string {
  return (
    `the clock has gone from ${formatTime(from)} to ${formatTime(to)} between two runs of ${job}, and ${table} has rows of hardly any day between: the clock jumped, ` +
    `or nothing was written for ${durationText(to - from)}. ${losses.join(' and ')} would go. Nothing was deleted. If the clock is wrong, correct it, on the database's ` +
    `host too; if it is right, run once --run-now --job ${job} --accept-clock`
  )
}

export interface ArchiveShrinking {
  readonly job: string
  readonly table: string
  readonly keptMs: number | undefined
  /** `undefined`: none is on record. */
  readonly accepted: { readonly keptMs: number | undefined } | undefined
  readonly going: number
  readonly files: number
}

export function archiveShrinkingMessage({ job, table, keptMs, accepted, going, files }: ArchiveShrinking): string {
  return (
    `the archive of ${table} is to be kept for ${keptText(keptMs)}, and ${accepted === undefined ? 'nothing is on record of how long it was kept before' : `${keptText(accepted.keptMs)} was accepted before`}: ` +
    `${countText(going)} of ${countText(files)} files would go, more than a tenth with those that went by it before, and with them the last copy of their rows. No file was removed; ` +
    `the purge went on. If that is meant, run once --run-now --job ${job} --accept-shorter-archive-retention with the same settings; if not, set ARCHIVE_RETENTION as it was, for every worker on this database`
  )
}

function keptText(keptMs: number | undefined): string {
  return keptMs === undefined ? 'ever' : formatDuration(keptMs)
}

export function filesLost(files: number, table: string): string {
  return `more than a tenth of the ${countText(files)} files of the archive of ${table}`
}

export function rowsLost(rows: number, table: string): string {
  return `more than a tenth of the ${countText(rows)} rows of ${table}`
}

/** Whether so few of the rows would go that nobody needs to be asked: that many may. */
export function smallPartOf(rows: number): number {
  return Math.floor(rows * SMALL_PART)
}
