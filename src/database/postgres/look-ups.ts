import { DAY, type EpochMs } from '../../time.ts'
import type { Query, TooLarge } from '../database.ts'
import { instantsIn } from '../wall-clock.ts'
import { idSql } from './line-length.ts'
import * as sql from './slice-sql.ts'
import type { RowRecord } from './stored-rows.ts'
import { cutoffText } from './times.ts'

/** What a run asks of its table before it deletes anything: each by the index, and no further than it must. */
export interface LookUp extends sql.TimedTable {
  readonly query: Query
  readonly cutoff: string
  readonly timeZone: string
}

export async function keptUntil({ query, cutoff, timeZone, ...timed }: LookUp, until: EpochMs, most: number): Promise<number> {
  const { rows } = await query.query<{ rows: number }>(sql.keptSql(timed), [cutoff, cutoffText(until, timed.type, timeZone), most])
  return rows[0]?.rows ?? 0
}

/** From the first row of one day to the first of a later one. */
export async function daysSince({ query, cutoff, timeZone, ...timed }: LookUp, from: EpochMs, most: number): Promise<number> {
  const instantAt = timed.type === 'timestamptz' ? (reading: number): number => reading : instantsIn(timeZone)
  let days = 0
  for (let day = from; days < most; days += 1) {
    const { rows } = await query.query<{ first: number }>(sql.firstSinceSql(timed), [cutoff, cutoffText(day, timed.type, timeZone)])
    if (rows[0] === undefined) break
    // Where the zone's clocks were set, the reading may mean a moment before the day that was asked for.
    day = Math.max(day + DAY, (Math.floor(instantAt(rows[0].first) / DAY) + 1) * DAY)
  }
  return days
}

export interface LengthLookUp extends sql.TimedTable {
  readonly query: Query
  readonly cutoff: string
  /** `undefined`: all do. */
  readonly fits: string | undefined
  readonly record: (query: Query) => Promise<RowRecord>
}

export async function tooLarge({ query, cutoff, fits, record, ...timed }: LengthLookUp, among: number | undefined): Promise<TooLarge> {
  if (fits === undefined) return { rows: 0, ids: [] }
  const statement = sql.misfitsSql(timed, fits, idSql((await record(query)).columns), MOST_TOLD)
  const { rows } = await query.query<{ id: string; rows: number }>(statement, [cutoff, among ?? null])
  return { rows: rows[0]?.rows ?? 0, ids: rows.map(({ id }) => id) }
}

/** Of the rows that are too large, so many are told by their names. */
const MOST_TOLD = 3
