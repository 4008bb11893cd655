import { instantsIn } from '../../../time/zones.ts'
import { DatabaseError } from '../../database-error.ts'
import { MOST_COUNTED, type Estimate } from '../../purging.ts'
import type { Query, Session, Value } from '../../query.ts'
import * as sql from './slice-sql.ts'

/** A read-only transaction with a short time limit. */
export type Look = Session['transaction']

export interface EstimateOptions {
  readonly look: Look
  readonly timed: sql.TimedTable
  readonly cutoff: string
  readonly timeZone: string
}

/** Not counted if that takes too long: an index full of dead rows, a cold disk, a lock. What the planner expects is as old as the last ANALYZE. */
export async function estimate({ look, timed, cutoff, timeZone }: EstimateOptions): Promise<Estimate> {
  let oldest: number | null = null
  const counted = await unlessBusy(() =>
    look(async (tx) => {
      const reading = (await tx.query<{ oldest: number }>(sql.oldestSql(timed), [cutoff])).rows[0]?.oldest
      if (reading === undefined) return 0
      oldest = timed.type === 'timestamptz' ? reading : instantsIn(timeZone)(reading)
      return (await tx.query<{ rows: number }>(sql.boundedSql(timed), [cutoff, MOST_COUNTED + 1])).rows[0]?.rows
    }),
  )
  if (counted !== undefined && counted <= MOST_COUNTED) return { rows: counted, more: false, planned: undefined, oldest }
  const planned = await unlessBusy(() => look((tx) => plannedRows(tx, sql.expiredSql(timed), [cutoff])))
  return { rows: counted === undefined ? undefined : MOST_COUNTED, more: true, planned, oldest }
}

async function unlessBusy<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.kind !== 'busy') throw error
    return undefined
  }
}

/** The planner's estimate, which uses the table's current size even if it was never analyzed. */
export async function plannedRows(query: Query, statement: string, values?: readonly Value[]): Promise<number> {
  const { rows } = await query.query<{ 'QUERY PLAN': readonly [{ Plan: { 'Plan Rows': number } }] }>(
    `EXPLAIN (FORMAT JSON) ${statement}`,
    values,
  )
  return rows[0]?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0
}
