import type { Query } from '../database/database.ts'
import { DAY, type EpochMs } from '../time.ts'

/** Rows that were deleted, by the UTC day on which their run began. */
export interface DeletedByDay {
  /** When each day begins: oldest first, none left out, the last one is today. */
  readonly days: readonly EpochMs[]
  /** By job, a number for each day. A job without a run on these days is absent. */
  readonly jobs: ReadonlyMap<string, readonly number[]>
}

/** What one run deleted, or many of one day. */
export interface DeletedOnDay {
  readonly job: string
  /** Any moment of the day. */
  readonly at: EpochMs
  readonly deleted: number
}

/** The newest runs alone are added up; it takes half as many microseconds. */
export const MOST_RUNS = 50_000

/**
 * Today and the days before it, `days` in all. Fewer, where there were more than `MOST_RUNS` runs: a day that is told is told whole.
 * One search of the index on `started_at`.
 */
export async function readDeletedByDay(query: Query, table: string, now: EpochMs, days: number, most = MOST_RUNS): Promise<DeletedByDay> {
  const { rows } = await query.query<{ job: string; day: number; deleted: number; runs: number }>(deletedByDaySql(table), [
    firstDay(now, days),
    most,
  ])
  const runs = rows.reduce((sum, row) => sum + row.runs, 0)
  const known = runs < most ? days : dayOf(now) - Math.min(...rows.map(({ day }) => day))
  return deletedByDay(
    rows.map(({ job, day, deleted }) => ({ job, at: day * DAY, deleted })),
    now,
    known,
  )
}

export function deletedByDaySql(table: string): string {
  return `SELECT job, started_at / ${DAY} AS day, CAST(sum(rows_deleted) AS BIGINT) AS deleted, count(*) AS runs
     FROM (SELECT job, started_at, rows_deleted FROM ${table} WHERE started_at >= $1 ORDER BY started_at DESC, id DESC LIMIT $2) AS newest
     GROUP BY job, started_at / ${DAY} ORDER BY job, day`
}

/** Adds up; what is of another day than today and the days before it, `days` in all, is left out. */
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
