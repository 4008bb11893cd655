import { instantsIn } from '../../../time/zones.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Estimate } from '../../purging.ts'
import type { Query, Session, Value } from '../../query.ts'
import * as sql from './slice-sql.ts'

/** The index alone is counted up to here in tens of milliseconds. A dry run gives the exact number. */
const MOST_COUNTED = 100_000

/** A read-only transaction with a short time limit. */
export type Look = Session['transaction']

export interface EstimateOptions {
  readonly look: Look
  readonly timed: sql.TimedTable
  readonly cutoff: string
  readonly timeZone: string
}

/**
 * Counts up to a bound. Beyond it, or if counting takes too long (an index full of dead rows, a cold disk), returns the planner's estimate, which is as
 * old as the last ANALYZE.
 */
export async function estimate({ look, timed, cutoff, timeZone }: EstimateOptions): Promise<Estimate> {
  let oldest: number | null = null
  let counted = 0
  try {
    await look(async (tx) => {
      const reading = (await tx.query<{ oldest: number }>(sql.oldestSql(timed), [cutoff])).rows[0]?.oldest
      if (reading === undefined) return
      oldest = timed.type === 'timestamptz' ? reading : instantsIn(timeZone)(reading)
      counted = (await tx.query<{ rows: number }>(sql.boundedSql(timed), [cutoff, MOST_COUNTED + 1])).rows[0]?.rows ?? 0
    })
    if (counted <= MOST_COUNTED) return { rows: counted, exact: true, oldest }
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.kind !== 'busy') throw error
  }
  const planned = await look((tx) => plannedRows(tx, sql.expiredSql(timed), [cutoff]))
  return { rows: Math.max(planned, Math.min(counted, MOST_COUNTED)), exact: false, oldest }
}

/** The planner's estimate, which uses the table's current size even if it was never analyzed. */
export async function plannedRows(query: Query, statement: string, values?: readonly Value[]): Promise<number> {
  const { rows } = await query.query<{ 'QUERY PLAN': readonly [{ Plan: { 'Plan Rows': number } }] }>(
    `EXPLAIN (FORMAT JSON) ${statement}`,
    values,
  )
  return rows[0]?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0
}
