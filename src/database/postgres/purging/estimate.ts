import type { EpochMs } from '../../../time/clock.ts'
import { instantsIn } from '../../../time/zones.ts'
import { DatabaseError } from '../../database-error.ts'
import { MOST_COUNTED, type Estimate } from '../../purging.ts'
import type { Query, Session, Value } from '../../query.ts'
import { GE } from '../exact.ts'
import { cutoffText } from '../times.ts'
import * as sql from './slice-sql.ts'
import { boundedFreeSql } from './spared-scan-sql.ts'
import { unspared } from './spared-sql.ts'
import type { Expired } from './edges.ts'

/** A read-only transaction with a short time limit. */
export type Look = Session['transaction']

/** Not counted if that takes too long: an index full of dead rows, a cold disk, a lock. What the planner expects is as old as the last ANALYZE. */
export async function estimate(look: Look, expired: Expired, since: EpochMs | undefined): Promise<Estimate> {
  const { cutoff, timeZone, spared, ...timed } = expired
  const from = since === undefined ? [] : [cutoffText(since, timed.type, timeZone)]
  const also = (number: number): string => (since === undefined ? '' : ` AND t.${timed.column} ${GE} $${number}::pg_catalog.${timed.type}`)
  const instantOf = (reading: number): EpochMs => (timed.type === 'timestamptz' ? reading : instantsIn(timeZone)(reading))
  let oldest: number | null = null
  const counted = await unlessBusy(() =>
    look(async (tx): Promise<Counted> => {
      if (spared.length > 0) {
        const values: Value[] = [cutoff, MOST_COUNTED + 1, ...from]
        const { rows } = await tx.query<Counted & { oldest: number | null }>(boundedFreeSql(timed, also(3), spared, values), values)
        const { free, passed, oldest: reading } = rows[0]!
        oldest = reading === null ? null : instantOf(reading)
        return { free, passed }
      }
      const reading = (await tx.query<{ oldest: number }>(sql.oldestSql(timed, also(2)), [cutoff, ...from])).rows[0]?.oldest
      if (reading === undefined) return { free: 0, passed: 0 }
      oldest = instantOf(reading)
      const { rows } = await tx.query<{ rows: number }>(sql.boundedSql(timed, also(3)), [cutoff, MOST_COUNTED + 1, ...from])
      return { free: rows[0]!.rows, passed: rows[0]!.rows }
    }),
  )
  if (counted !== undefined && counted.passed <= MOST_COUNTED) return { rows: counted.free, more: false, planned: undefined, oldest }
  const condition = unspared({ sql: also(2), values: [cutoff, ...from] }, spared)
  const planned = await unlessBusy(() => look((tx) => plannedRows(tx, sql.expiredSql(timed, condition.sql), condition.values)))
  return { rows: counted === undefined ? undefined : Math.min(counted.free, MOST_COUNTED), more: true, planned, oldest }
}

interface Counted {
  readonly free: number
  /** How many rows were read for that, those that are spared included. */
  readonly passed: number
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
