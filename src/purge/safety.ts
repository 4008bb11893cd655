import { countText } from '../number-text.ts'
import { DAY, formatDuration, formatTime, HOUR, MINUTE, type EpochMs } from '../time/clock.ts'
import { durationText } from '../time/time-text.ts'

/** If two clocks differ by more than this, one of them is wrong, and it is unknown which. */
const CLOCKS_STOP_MS = HOUR
const CLOCKS_WARN_MS = 5 * MINUTE
/** With a shorter retention than before, a run may delete this share of the table without being accepted. */
export const SMALL_PART = 1 / 10
/** A table with more rows than this is never emptied without being accepted. */
export const MOST_ROWS_EMPTIED = 1_000
/** A table counts as emptied if fewer than a tenth of this many newest rows would stay: a single row could have been written under a wrong clock. */
export const NEWEST_ROWS = 100
export const LEAST_NEWEST_KEPT = NEWEST_ROWS * SMALL_PART
/** A row further ahead of the database's clock is in the future and does not count either. Two working clocks may differ by this much. */
export const FUTURE_ROW_MS = CLOCKS_STOP_MS
/** If two runs are further apart than this, with hardly any rows in between, the clock may have jumped. */
export const JUMP_MS = 7 * DAY

/** What a person has checked and accepts, by the option `--accept-…` that says so. */
export const ACCEPTABLE = {
  'shorter-retention': 'go on although the retention is shorter than before and many rows would be deleted',
  'empty-table': 'go on although hardly any row would be left',
  clock: 'go on although the clock seems to have jumped and many rows would be deleted',
  'shorter-archive-retention': 'remove files although the archive is kept for a shorter time than before and many files would be removed',
  'no-archive': 'delete rows for good although earlier ones were archived',
} as const
export type Acceptance = keyof typeof ACCEPTABLE
export type Accepted = ReadonlySet<Acceptance>

export const NOTHING_ACCEPTED: Accepted = new Set()

export type ClockVerdict = { readonly kind: 'fine' } | { readonly kind: 'warning' | 'stop'; readonly message: string }

/** Hosts write the times of rows and the database's clock judges them, so the clocks have to agree. */
export function judgeClocks(clockSkewMs: number): ClockVerdict {
  const apartMs = Math.abs(clockSkewMs)
  if (apartMs <= CLOCKS_WARN_MS) return { kind: 'fine' }
  const difference = `clock of this host is ${durationText(apartMs)} ${clockSkewMs > 0 ? 'ahead of' : 'behind'} the database's`
  if (apartMs <= CLOCKS_STOP_MS) return { kind: 'warning', message: `the ${difference}; the purge goes by the database's clock` }
  return {
    kind: 'stop',
    message: `The ${difference}. One of them is wrong, so what has expired is uncertain. Nothing was deleted. Correct the clock.`,
  }
}

export interface Shrinking {
  readonly job: string
  readonly table: string
  readonly retentionMs: number
  readonly lastAcceptedMs: number
  readonly stake: AtStake
}

export function shrinkingMessage({ job, table, retentionMs, lastAcceptedMs, stake }: Shrinking): string {
  return (
    `The retention of ${job} is ${formatDuration(retentionMs)}, but the last run used ${formatDuration(lastAcceptedMs)}: ${rowsLost(stake, table)} ` +
    `would be deleted. Nothing was deleted. If this is intended, run --run-now --job ${job} --accept-shorter-retention once with the same settings; ` +
    `scheduled runs then use the new retention. If not, restore the old one.`
  )
}

export function emptyingMessage(job: string, table: string): string {
  return (
    `More than ${countText(MOST_ROWS_EMPTIED)} rows of ${table} would be deleted, and fewer than ${LEAST_NEWEST_KEPT} of the newest ${NEWEST_ROWS} (ignoring times in the ` +
    `future) would stay: the clock is wrong, or hardly anything has been written for as long as the retention. Nothing was deleted. ` +
    `Check the clock and the newest rows. If they are right, run once: --run-now --job ${job} --accept-empty-table`
  )
}

/** The starts of two consecutive runs of a job. */
export interface Gap {
  readonly from: EpochMs
  readonly to: EpochMs
}

/** A gap so long that it is suspect unless rows were written in it. */
export interface SuspectGap extends Gap {
  /** The whole UTC days in the gap: the beginning of the first and the end of the last. */
  readonly daysFrom: EpochMs
  readonly daysTo: EpochMs
  /** If fewer of these days have rows, the clock jumped. */
  readonly leastDaysWithRows: number
}

/**
 * `undefined`: the gap is too short to be a jump. Leaves out the day after the earlier run and the day before the later one: they have the last rows written
 * under the right clock and the first written under the wrong one.
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
  /** What would be lost: `more than a tenth of the 1,200 rows of audit_logs`. */
  readonly losses: readonly string[]
}

export function jumpMessage({ from, to, job, table, losses }: Jump): string {
  return (
    `Two runs of ${job} are dated ${formatTime(from)} and ${formatTime(to)}, but ${table} has rows on hardly any day between: the clock jumped, ` +
    `or nothing was written for ${durationText(to - from)}, and ${losses.join(' and ')} would be deleted. Nothing was deleted. If the clock is wrong, correct it, ` +
    `also on the database's host. If it is right, run once: --run-now --job ${job} --accept-clock`
  )
}

export function unarchivedMessage(job: string, table: string): string {
  return (
    `Rows of ${table} were archived before they were deleted, but now archiving is off, and expired rows would be deleted for good. Nothing was deleted. ` +
    `If this is a mistake, set ARCHIVE_ENABLED=true for every worker on this database. If ${table} is no longer to be archived, run once: --run-now --job ${job} --accept-no-archive`
  )
}

export interface ArchiveShrinking {
  readonly job: string
  readonly table: string
  readonly keptMs: number | undefined
  /** `undefined`: none is recorded. */
  readonly accepted: { readonly keptMs: number | undefined } | undefined
  readonly going: number
  readonly files: number
}

export function archiveShrinkingMessage({ job, table, keptMs, accepted, going, files }: ArchiveShrinking): string {
  return (
    `The archive of ${table} is to be kept for ${keptText(keptMs)}, but ${accepted === undefined ? 'no earlier retention is recorded' : `the last accepted retention is ${keptText(accepted.keptMs)}`}: ` +
    `${countText(going)} of ${countText(files)} files would be removed, together with those removed before more than a tenth, and with them the last copy of their rows. No file was removed. ` +
    `The purge itself went on. If this is intended, run --run-now --job ${job} --accept-shorter-archive-retention once with the same settings. If not, restore ARCHIVE_RETENTION for every worker on this database.`
  )
}

function keptText(keptMs: number | undefined): string {
  return keptMs === undefined ? 'ever' : formatDuration(keptMs)
}

export function filesLost(files: number, table: string): string {
  return `more than a tenth of the ${countText(files)} files of the archive of ${table}`
}

/** The rows of a table but those that holds keep: they could not go, and many of them would make a large part of the others seem small. */
export interface AtStake {
  readonly rows: number
  readonly held: number
}

export function rowsLost({ rows, held }: AtStake, table: string): string {
  return `more than a tenth of the ${countText(rows)} rows of ${table}${held === 0 ? '' : ' that no hold keeps'}`
}

/** How many of these rows may be deleted without being accepted. */
export function smallPartOf(rows: number): number {
  return Math.floor(rows * SMALL_PART)
}
