import { DAY, type EpochMs } from '../../../time/clock.ts'
import { instantsIn } from '../../../time/zones.ts'
import type { Query } from '../../query.ts'
import { cutoffText } from '../times.ts'
import * as sql from './slice-sql.ts'

/** Queries that a run makes before it deletes anything. Each uses the index and reads no more rows than it needs. */
export interface LookUp extends sql.TimedTable {
  readonly query: Query
  readonly cutoff: string
  readonly timeZone: string
}

export async function keptUntil({ query, cutoff, timeZone, ...timed }: LookUp, until: EpochMs, most: number): Promise<number> {
  const { rows } = await query.query<{ rows: number }>(sql.keptSql(timed), [cutoff, cutoffText(until, timed.type, timeZone), most])
  return rows[0]?.rows ?? 0
}

/** Jumps from the first row of one day to the first row of a later day. */
export async function daysSince({ query, cutoff, timeZone, ...timed }: LookUp, from: EpochMs, most: number): Promise<number> {
  const instantAt = timed.type === 'timestamptz' ? (reading: number): number => reading : instantsIn(timeZone)
  let days = 0
  for (let day = from; days < most; days += 1) {
    const { rows } = await query.query<{ first: number }>(sql.firstSinceSql(timed), [cutoff, cutoffText(day, timed.type, timeZone)])
    if (rows[0] === undefined) break
    // Where the zone's clocks changed, the reading may mean an instant before the requested day.
    day = Math.max(day + DAY, (Math.floor(instantAt(rows[0].first) / DAY) + 1) * DAY)
  }
  return days
}
