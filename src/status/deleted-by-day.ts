import type { Query } from '../database/query.ts'
import { boundedText } from '../database/stored-values.ts'
import { DAY, HOUR, type EpochMs } from '../time/clock.ts'

/** Rows that were deleted, by the UTC day on which their run began. */
export interface DeletedByDay {
  /** When each day begins: oldest first, none left out, the last one is today. */
  readonly days: readonly EpochMs[]
  /** By job, a number for each day. A job without a run on these days is absent. */
  readonly jobs: ReadonlyMap<string, readonly number[]>
}

/** What one or several runs of one day deleted. */
export interface DeletedOnDay {
  readonly job: string
  /** Any moment of the day. */
  readonly at: EpochMs
  readonly deleted: number
}

export interface ReadDeletions extends DeletedByDay {
  /** Days before this one can no longer change: every run that began on them has ended. */
  readonly settledUntil: EpochMs
}

/** Only this many of the newest runs are added up, which takes half as many microseconds. */
export const MOST_RUNS = 50_000

/** A run may be recorded a moment after it began. */
const SETTLING_MS = HOUR

export interface ReadDeletionsOptions {
  readonly now: EpochMs
  /** How many days, up to and including today. */
  readonly days: number
  /** The result of an earlier reading of the same database, whose settled days are not read again. */
  readonly before?: ReadDeletions | undefined
  readonly most?: number
}

/** Returns the requested days, or fewer if there were more than `most` runs: only complete days are returned. One search of the index on `started_at`. */
export async function readDeletedByDay(query: Query, table: string, options: ReadDeletionsOptions): Promise<ReadDeletions> {
  const { now, days, before, most = MOST_RUNS } = options
  const first = firstDay(now, days)
  const known = before?.days[0]
  const from = before === undefined || known === undefined ? first : Math.max(first, Math.min(before.settledUntil, firstDay(now, 1)))
  const { rows } = await query.query<DaySum>(deletedByDaySql(table), [from, most])
  const parts = rows.map(({ job, day, deleted }) => ({ job, at: day * DAY, deleted }))
  const open = Math.min(...rows.map((row) => row.open ?? Infinity))
  const settledUntil = firstDay(Math.min(now - SETTLING_MS, open), 1)

  const runs = rows.reduce((sum, row) => sum + row.runs, 0)
  if (runs >= most) return { ...deletedByDay(parts, now, dayOf(now) - Math.min(...rows.map(({ day }) => day))), settledUntil }
  if (before === undefined || known === undefined) return { ...deletedByDay(parts, now, days), settledUntil }
  const since = Math.max(first, Math.min(from, known))
  return { ...deletedByDay([...partsOf(before, from), ...parts], now, dayOf(now) - dayOf(since) + 1), settledUntil }
}

interface DaySum {
  readonly job: string
  /** Since 1970. */
  readonly day: number
  readonly deleted: number
  readonly runs: number
  /** When the first of them that has not ended began. */
  readonly open: EpochMs | null
}

export function deletedByDaySql(table: string): string {
  return `SELECT job, started_at / ${DAY} AS day, CAST(sum(rows_deleted) AS BIGINT) AS deleted, count(*) AS runs,
       min(open) AS open
     FROM (SELECT ${boundedText('job')} AS job, started_at, rows_deleted, CASE WHEN outcome IS NULL THEN started_at END AS open FROM ${table} WHERE started_at >= $1 ORDER BY started_at DESC, id DESC LIMIT $2) AS newest
     GROUP BY job, started_at / ${DAY} ORDER BY job, day`
}

function partsOf({ days, jobs }: DeletedByDay, until: EpochMs): DeletedOnDay[] {
  return [...jobs].flatMap(([job, numbers]) => days.flatMap((at, index) => (at < until ? [{ job, at, deleted: numbers[index]! }] : [])))
}

/** Adds up the rows of the last `days` days, including today. */
export function deletedByDay(parts: Iterable<DeletedOnDay>, now: EpochMs, days: number): DeletedByDay {
  const first = firstDay(now, days)
  const jobs = new Map<string, number[]>()
  for (const { job, at, deleted } of parts) {
    const index = dayOf(at) - dayOf(first)
    if (index < 0 || index >= days) continue
    const numbers = jobs.get(job) ?? Array.from({ length: days }, () => 0)
    numbers[index]! += deleted
    jobs.set(job, numbers)
  }
  return { days: Array.from({ length: days }, (_, index) => first + index * DAY), jobs }
}

function firstDay(now: EpochMs, days: number): EpochMs {
  return (dayOf(now) - days + 1) * DAY
}

function dayOf(time: EpochMs): number {
  return Math.floor(time / DAY)
}
